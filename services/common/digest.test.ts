import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';
import { digestOf, digestStream } from './digest.ts';

const run = promisify(execFile);

/** Goal: a machine without a compiler. Method: a process in which the native build cannot be found. */
const WITHOUT_NATIVE = `
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === 'blake3') return next('blake3-wasm', context);
      if (specifier === '@c4312/blake3-native') throw new Error('not built');
      return next(specifier, context);
    },
  });
  const { digestBuild, digestOf, digestStream } = await import(process.argv[1]);
  const inPieces = (bytes, pieceBytes) => {
    const stream = digestStream();
    for (let at = 0; at < bytes.length; at += pieceBytes) {
      stream.update(bytes.subarray(at, at + pieceBytes));
    }
    return stream.finish();
  };
  const digests = process.argv.slice(2).map((size) => {
    const bytes = Buffer.alloc(Number(size), 'minikv');
    return [digestOf(bytes), inPieces(bytes, 3 << 20), inPieces(bytes, 1000)];
  });
  // Far more than there is room for at a time, faster than they would be collected as garbage.
  const many = Array.from({ length: 20_000 }, (_, at) => {
    const stream = digestStream();
    stream.update(Buffer.from('minikv'));
    if (at % 2 === 0) stream.discard();
    else return stream.finish();
  });
  console.log(JSON.stringify([digestBuild, digests, many.at(-1)]));
`;

describe('digest', () => {
  test('is BLAKE3-256, whole or in pieces', () => {
    const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
    expect(digestOf(new Uint8Array(0))).toBe(empty);
    const stream = digestStream();
    for (const piece of ['min', 'ik', 'v']) stream.update(Buffer.from(piece));
    expect(stream.finish()).toBe(digestOf(Buffer.from('minikv')));
  });

  test('is the same whichever hasher a size takes', () => {
    for (const size of [1, 63, 64, 65, 1023, 1024, 1025, 3071, 3072, 3073, 8192]) {
      const bytes = Uint8Array.from({ length: size }, (_, at) => (at * 7) & 0xff);
      const stream = digestStream();
      stream.update(bytes);
      expect(digestOf(bytes)).toBe(stream.finish());
    }
  });

  test('is the same by WebAssembly, whatever the size of value and pieces, and however many', async () => {
    // Beyond one piece of the build's own memory, and beyond all of it.
    const sizes = [0, 6, 1 << 20, (3 << 20) + 1, 20 << 20];
    const file = join(import.meta.dirname, 'digest.ts');
    const args = ['--input-type=module', '-e', WITHOUT_NATIVE, file, ...sizes.map(String)];
    const { stdout } = await run(process.execPath, args);
    const expected = sizes.map((size) => {
      const digest = digestOf(Buffer.alloc(size, 'minikv'));
      return [digest, digest, digest];
    });
    expect(JSON.parse(stdout)).toEqual(['wasm', expected, digestOf(Buffer.from('minikv'))]);
  });
});
