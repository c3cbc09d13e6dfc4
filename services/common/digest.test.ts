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
  const stream = digestStream();
  for (const piece of ['min', 'ik', 'v']) stream.update(Buffer.from(piece));
  console.log(JSON.stringify([digestBuild, digestOf(Buffer.from('minikv')), stream.finish()]));
`;

describe('digest', () => {
  test('is BLAKE3-256, whole or in pieces', () => {
    const empty = 'af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262';
    expect(digestOf(new Uint8Array(0))).toBe(empty);
    const stream = digestStream();
    for (const piece of ['min', 'ik', 'v']) stream.update(Buffer.from(piece));
    expect(stream.finish()).toBe(digestOf(Buffer.from('minikv')));
  });

  test('is the same by WebAssembly where the native build is missing', async () => {
    const file = join(import.meta.dirname, 'digest.ts');
    const args = ['--input-type=module', '-e', WITHOUT_NATIVE, file];
    const { stdout } = await run(process.execPath, args);
    const expected = digestOf(Buffer.from('minikv'));
    expect(JSON.parse(stdout)).toEqual(['wasm', expected, expected]);
  });
});
