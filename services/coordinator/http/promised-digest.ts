/**
 * What a client promises of its body: `X-Content-BLAKE3`, `Content-MD5`, `Digest`. BLAKE3 is checked by
 * the write itself before any volume votes; the others here, while the bytes pass, and they fail before
 * the body ends, so that nothing is applied.
 */
import { BODY_HASH_BYTES, type BodyHashName, bodyHash } from '../../common/body-hash.ts';
import { KvError } from '../../common/errors.ts';
import { type Digest, digest, isHex64 } from '../../common/ids.ts';
import type { RequestHeaders } from './request-headers.ts';

interface PromisedHash {
  readonly name: BodyHashName;
  readonly base64: string;
}

export interface Promises {
  readonly blake3: Digest | null;
  readonly hashes: readonly PromisedHash[];
}

const NONE: Promises = { blake3: null, hashes: [] };
const BLAKE3_BYTES = 32;

/** @throws KvError `INVALID_HEADER` for a malformed digest; unknown algorithms of `Digest` are passed over. */
export function promisesOf(headers: RequestHeaders): Promises {
  const blake3Header = headers.get('x-content-blake3');
  const md5 = headers.get('content-md5');
  const list = headers.get('digest');
  if (blake3Header === undefined && md5 === undefined && list === undefined) return NONE;
  const hashes: PromisedHash[] = [];
  let blake3 = blake3Header === undefined ? null : blake3OfHex(blake3Header);
  if (md5 !== undefined) hashes.push({ name: 'md5', base64: base64Of(md5, BODY_HASH_BYTES.md5) });
  for (const item of list?.split(',') ?? []) {
    const equals = item.indexOf('=');
    if (equals < 1) throw malformed();
    const name = item.slice(0, equals).trim().toLowerCase();
    const value = item.slice(equals + 1).trim();
    if (name === 'blake3') blake3 = sameOr(blake3, value);
    else if (isHashName(name)) {
      hashes.push({ name, base64: base64Of(value, BODY_HASH_BYTES[name]) });
    }
  }
  return { blake3, hashes };
}

/** The body, failing with `CHECKSUM_MISMATCH` in place of its end when a promised hash is not met. */
export async function* checkedBody(
  body: AsyncIterable<Uint8Array>,
  hashes: readonly PromisedHash[],
): AsyncGenerator<Uint8Array> {
  const running = hashes.map(({ name, base64 }) => ({ name, base64, hash: bodyHash(name) }));
  for await (const piece of body) {
    for (const { hash } of running) hash.update(piece);
    yield piece;
  }
  for (const { name, base64, hash } of running) {
    if (hash.finish() !== base64) {
      throw new KvError('CHECKSUM_MISMATCH', `the body does not have the promised ${name}`);
    }
  }
}

const isHashName = (name: string): name is BodyHashName => Object.hasOwn(BODY_HASH_BYTES, name);

function blake3OfHex(text: string): Digest {
  const lower = text.toLowerCase();
  if (!isHex64(lower)) throw malformed();
  return digest(lower);
}

function sameOr(known: Digest | null, base64: string): Digest {
  const given = digest(Buffer.from(base64Of(base64, BLAKE3_BYTES), 'base64').toString('hex'));
  if (known !== null && known !== given) {
    throw new KvError('INVALID_HEADER', 'two BLAKE3 digests contradict each other');
  }
  return given;
}

function base64Of(text: string, bytes: number): string {
  const decoded = Buffer.from(text, 'base64');
  if (decoded.length !== bytes || decoded.toString('base64') !== text) throw malformed();
  return text;
}

const malformed = (): KvError => new KvError('INVALID_HEADER', 'a digest of the body is malformed');
