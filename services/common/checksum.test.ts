import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { expect, test } from '@jest/globals';
import { crc32 } from './checksum.ts';
import { crc32c } from './crc32c.ts';

const run = promisify(execFile);

/** Around the size from which another implementation serves, and far beyond. */
const SIZES = [0, 1, 255, 256, 257, 1023, 4096, 1 << 20];
const SEED = 0x89abcdef;

const patterned = (bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, at) => (at * 7) & 0xff);

const expected = SIZES.map((size) => [
  zlibCrc32(patterned(size)),
  zlibCrc32(patterned(size), SEED),
]);

test('CRC-32 is that of zlib, whatever the size, the seed and where in a buffer the bytes stand', () => {
  expect(crc32(Buffer.from('123456789'))).toBe(0xcbf43926);
  for (const [at, size] of SIZES.entries()) {
    const inside = patterned(size + 3).subarray(0, size);
    expect([crc32(inside), crc32(inside, SEED)]).toEqual(expected[at]);
    const [head, tail] = [inside.subarray(0, size >> 1), inside.subarray(size >> 1)];
    expect(crc32(tail, crc32(head))).toBe(crc32(inside));
  }
});

/** Goal: a machine for which the package has no build. Method: a process in which it cannot be found. */
const WITHOUT_PACKAGE = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier.startsWith('@node-rs/')) throw new Error('no build');
      return next(specifier, context);
    },
  });
  const [crc32File, crc32cFile, seed, ...sizes] = process.argv.slice(1);
  const { crc32 } = await import(crc32File);
  const { crc32c } = await import(crc32cFile);
  const crcs = sizes.map((size) => {
    const bytes = Uint8Array.from({ length: Number(size) }, (_, at) => (at * 7) & 0xff);
    return [crc32(bytes), crc32(bytes, Number(seed)), crc32c(bytes)];
  });
  console.log(JSON.stringify(crcs));
`;

test('CRC-32 and CRC-32C are the same without the native package', async () => {
  const files = ['checksum.ts', 'crc32c.ts'].map((file) => join(import.meta.dirname, file));
  const args = ['--input-type=module', '-e', WITHOUT_PACKAGE, ...files, String(SEED)];
  const { stdout } = await run(process.execPath, [...args, ...SIZES.map(String)]);
  expect(JSON.parse(stdout)).toEqual(
    SIZES.map((size, at) => [...(expected[at] ?? []), crc32c(patterned(size))]),
  );
});
