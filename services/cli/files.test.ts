/** Files as values and back, while others write to the same places. */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Value } from '../client/kv-client.ts';
import { digestOf } from '../common/digest.ts';
import { localValue, writeFileWhole } from './files.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-files-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function bytesOf(value: Value): Promise<Buffer> {
  if (value instanceof Uint8Array) return Buffer.from(value);
  const pieces: Uint8Array[] = [];
  for await (const piece of value.open()) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('localValue', () => {
  const LARGE = Buffer.alloc(1_500_000, 'a log that grows');

  test('a file that grows is sent up to the size that it was announced with', async () => {
    const path = join(folder, 'log');
    writeFileSync(path, LARGE);
    const { value, sizeBytes, digest } = await localValue(path);
    appendFileSync(path, 'more');
    const sent = await bytesOf(value);
    expect(sent.length).toBe(sizeBytes);
    expect(digestOf(sent)).toBe(digest);
  });

  test('a file that shrinks ends early, which the client tells from a broken connection', async () => {
    const path = join(folder, 'log');
    writeFileSync(path, LARGE);
    const { value } = await localValue(path);
    truncateSync(path, 7);
    expect((await bytesOf(value)).length).toBe(7);
  });
});

describe('writeFileWhole', () => {
  async function* pieces(fails = false): AsyncGenerator<Uint8Array> {
    await Promise.resolve();
    yield Buffer.from('bytes');
    if (fails) throw new Error('broke off');
  }

  test('removes its own part when it fails, and leaves the place as it was', async () => {
    const path = join(folder, 'out');
    writeFileSync(path, 'before');
    const options = { part: join(folder, 'part'), mode: 0o600 };
    await expect(writeFileWhole(path, pieces(true), options)).rejects.toThrow('broke off');
    expect(readdirSync(folder)).toEqual(['out']);
    expect(readFileSync(path, 'utf8')).toBe('before');
  });

  test('a part of somebody else stays', async () => {
    const part = join(folder, 'part');
    writeFileSync(part, 'not ours');
    const writing = writeFileWhole(join(folder, 'out'), pieces(), { part, mode: 0o600 });
    await expect(writing).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readFileSync(part, 'utf8')).toBe('not ours');
  });
});
