import { describe, expect, test } from '@jest/globals';
import { formatHostPort, parseHostPort, resolveAll } from './address.ts';

describe('host:port', () => {
  test.each([
    ['localhost:80', 'localhost', 80],
    ['0.0.0.0:0', '0.0.0.0', 0],
    ['a-0.b.ns.svc:5001', 'a-0.b.ns.svc', 5001],
    ['[::1]:65535', '::1', 65535],
  ])('%s is read and written back', (text, host, port) => {
    expect(parseHostPort(text)).toEqual({ host, port });
    expect(formatHostPort({ host, port })).toBe(text);
  });

  test.each([
    '',
    'host',
    ':80',
    'host:',
    'host:99999',
    'host:-1',
    '::1:80',
    'a b:80',
    'http://a:80',
  ])('"%s" is refused', (text) => {
    expect(() => parseHostPort(text)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });

  test('an address needs no look-up, a name without one is UNAVAILABLE', async () => {
    expect(await resolveAll('127.0.0.1:5')).toEqual(['127.0.0.1:5']);
    expect(await resolveAll('[::1]:5')).toEqual(['[::1]:5']);
    await expect(resolveAll('no-such-host.invalid:5')).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });
});
