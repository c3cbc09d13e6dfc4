/**
 * The token of a redirect: a volume hands out one copy to whoever brings it, for at most a minute.
 * HMAC-SHA-256 by the cluster's replicated key over copy, disk and expiry.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { CopyId, DiskId } from './ids.ts';

export const TOKEN_LIFE_MS = 30_000;

export interface RedirectGrant {
  readonly copyId: CopyId;
  readonly disk: DiskId;
  /** Wall time in milliseconds after which the token is void. */
  readonly expiresMs: number;
}

export function signRedirect(keyHex: string, grant: RedirectGrant): string {
  return mac(keyHex, grant).toString('hex');
}

/** True for an unexpired token of this grant; takes the same time for every wrong one. */
export function checkRedirect(
  keyHex: string,
  grant: RedirectGrant,
  token: string,
  nowMs: number,
): boolean {
  const expected = mac(keyHex, grant);
  const given = Buffer.from(token, 'hex');
  if (given.length !== expected.length) return false;
  return timingSafeEqual(given, expected) && nowMs <= grant.expiresMs;
}

/** A cluster has one key, which OpenSSL takes long to take in. */
let prepared: { readonly keyHex: string; readonly key: KeyObject } | null = null;

function keyOf(keyHex: string): KeyObject {
  if (prepared?.keyHex !== keyHex) {
    prepared = { keyHex, key: createSecretKey(keyHex, 'hex') };
  }
  return prepared.key;
}

function mac(keyHex: string, grant: RedirectGrant): Buffer {
  return createHmac('sha256', keyOf(keyHex))
    .update(`v1\n${grant.copyId}\n${grant.disk}\n${grant.expiresMs}`)
    .digest();
}
