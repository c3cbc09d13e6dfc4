import { describe, expect, test } from '@jest/globals';
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
