import { describe, expect, test } from '@jest/globals';
import { digestOf, digestStream } from './digest.ts';
import { copyId, diskId } from './ids.ts';
import { checkRedirect, signRedirect } from './redirect-token.ts';

const key = '11'.repeat(32);
const grant = { copyId: copyId('ab'.repeat(16)), disk: diskId(3), expiresMs: 1000 };

describe('redirect tokens', () => {
  test('open the copy, disk and time that they were signed for and no other', () => {
    const token = signRedirect(key, grant);
    expect(checkRedirect(key, grant, token, 1000)).toBe(true);
    expect(checkRedirect(key, grant, token, 1001)).toBe(false);
    expect(checkRedirect(key, { ...grant, disk: diskId(4) }, token, 0)).toBe(false);
    expect(checkRedirect(key, { ...grant, expiresMs: 9000 }, token, 0)).toBe(false);
    expect(checkRedirect('22'.repeat(32), grant, token, 0)).toBe(false);
    expect(checkRedirect(key, grant, 'zz', 0)).toBe(false);
  });
});

describe('digest', () => {
  test('is BLAKE3-256, whole or in pieces', () => {
    const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
    expect(digestOf(new Uint8Array(0))).toBe(empty);
    const stream = digestStream();
    for (const piece of ['min', 'ik', 'v']) stream.update(Buffer.from(piece));
    expect(stream.finish()).toBe(digestOf(Buffer.from('minikv')));
  });
});
