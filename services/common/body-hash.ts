/** Hashes that clients may promise for a body besides BLAKE3 (`Content-MD5`, `Digest`). */
import { createHash } from 'node:crypto';

export type BodyHashName = 'md5' | 'sha-256' | 'sha-512';

/** Bytes of each hash. */
export const BODY_HASH_BYTES: Readonly<Record<BodyHashName, number>> = {
  md5: 16,
  'sha-256': 32,
  'sha-512': 64,
};

export interface BodyHash {
  update(bytes: Uint8Array): void;
  /** The hash in base64; call once. */
  finish(): string;
}

export function bodyHash(name: BodyHashName): BodyHash {
  const hash = createHash(name.replace('-', ''));
  return {
    update(bytes) {
      hash.update(bytes);
    },
    finish: () => hash.digest('base64'),
  };
}
