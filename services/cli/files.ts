/**
 * Files as values and back. A value is written beside its place and renamed into it only when its
 * digest is right, so a half-written file never carries a real name.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Value } from '../client/kv-client.ts';
import { digestOf, digestStream } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';

/** Values up to this size are held in memory; larger ones are read again where needed. */
const WHOLE_BYTES_MAX = MIB;
const CHUNK_BYTES = 256 * 1024;

export interface LocalValue {
  readonly value: Value;
  readonly sizeBytes: number;
  readonly digest: string;
}

/** A file with its digest. @throws KvError `INVALID_ARGUMENT` when it is no regular file. */
export async function localValue(path: string): Promise<LocalValue> {
  const facts = await stat(path);
  if (!facts.isFile()) throw new KvError('INVALID_ARGUMENT', `${path} is not a regular file`);
  if (facts.size <= WHOLE_BYTES_MAX) {
    const bytes = await readFile(path);
    return { value: bytes, sizeBytes: bytes.length, digest: digestOf(bytes) };
  }
  const open = (): AsyncIterable<Uint8Array> => readPieces(path, facts.size);
  const digest = await digestOfPieces(open());
  return { value: { sizeBytes: facts.size, open }, sizeBytes: facts.size, digest };
}

/** BLAKE3 of a file's bytes, without holding them. */
export const digestOfFile = (path: string): Promise<string> =>
  digestOfPieces(readPieces(path, Number.POSITIVE_INFINITY));

async function digestOfPieces(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const digest = digestStream();
  try {
    for await (const piece of pieces) digest.update(piece);
    return digest.finish();
  } finally {
    digest.discard();
  }
}

/** The first bytes of a file, which may grow meanwhile; at least one is asked for. */
const readPieces = (path: string, bytesMax: number): AsyncIterable<Uint8Array> =>
  createReadStream(path, { highWaterMark: CHUNK_BYTES, end: bytesMax - 1 });

/**
 * Writes a body to a file that must not exist, and renames it to `path` at the body's good end. A
 * part that is there already is another run's, and stays.
 */
export async function writeFileWhole(
  path: string,
  body: AsyncIterable<Uint8Array>,
  options: { readonly part: string; readonly mode: number },
): Promise<void> {
  const { part, mode } = options;
  let isOurs = false;
  const to = createWriteStream(part, { flags: 'wx', mode }).once('open', () => {
    isOurs = true;
  });
  try {
    await pipeline(Readable.from(body), to);
    await rename(part, path);
  } catch (error) {
    if (isOurs) await rm(part, { force: true });
    throw error;
  }
}

/** Copies a body to a stream that stays open. */
export const writeBody = (body: AsyncIterable<Uint8Array>, to: Writable): Promise<void> =>
  pipeline(Readable.from(body), to, { end: false });

/** A stream of unknown size as a value: in memory while small, else in a file until `work` is done. */
export async function withSpooled<T>(
  stream: AsyncIterable<Uint8Array>,
  work: (local: LocalValue) => Promise<T>,
): Promise<T> {
  const pieces = stream[Symbol.asyncIterator]();
  const head: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const piece = await pieces.next();
    if (piece.done === true) break;
    head.push(piece.value);
    bytes += piece.value.length;
    if (bytes > WHOLE_BYTES_MAX) return spoolToFile(head, pieces, work);
  }
  const whole = Buffer.concat(head);
  return work({ value: whole, sizeBytes: whole.length, digest: digestOf(whole) });
}

async function spoolToFile<T>(
  head: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
  work: (local: LocalValue) => Promise<T>,
): Promise<T> {
  async function* all(): AsyncGenerator<Uint8Array> {
    yield* head;
    for (let piece = await rest.next(); piece.done !== true; piece = await rest.next()) {
      yield piece.value;
    }
  }
  const folder = await mkdtemp(join(tmpdir(), 'minikv-'));
  try {
    const path = join(folder, 'value');
    await pipeline(Readable.from(all()), createWriteStream(path, { mode: 0o600 }));
    return await work(await localValue(path));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
