/**
 * What a look-up costs a coordinator in its own metadata: the real store on a real LevelDB, with record
 * rows of a real size. A key that is absent must cost little, for every first PUT asks for one: the filter
 * over all keys answers it, and before that has read them LevelDB's own does, without a read of the disk.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ByteWriter, utf8 } from '../common/bytes.ts';
import { blobId, copyOfWrite, digest, diskId, hexOf, logIndex, term } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { LevelMetadataStore } from '../coordinator/level-metadata-store.ts';
import { openLevelTable } from '../coordinator/level-table.ts';
import { recordKey } from '../metadata/keys.ts';
import { encodeRecord } from '../metadata/record-codec.ts';
import { columns, count, machineLine, thisHost } from './report.ts';

export interface MetadataBenchOptions {
  readonly keys: number;
  /** Where the temporary folder is made; null: where the system makes them. */
  readonly parent: string | null;
}

export interface MetadataBenchResult {
  readonly rowBytes: number;
  /** By LevelDB, until all keys have been read. */
  readonly unlearntUs: number;
  readonly absentUs: number;
  readonly learnMs: number;
  readonly presentUs: number;
  /** Look-ups of rows that are not on disk yet. */
  readonly unflushedUs: number;
}

const FLUSH_ROWS = 5000;
const random = seededRandom(11);

/** Present keys are even, absent ones odd: they lie between each other on the disk. */
const keyOf = (number: number): Uint8Array =>
  recordKey(utf8(`photos/2024/${String(number).padStart(9, '0')}.jpg`));

export async function runMetadataBench(
  options: MetadataBenchOptions,
  say: (line: string) => void,
): Promise<MetadataBenchResult> {
  const { keys } = options;
  const folder = await mkdtemp(join(options.parent ?? tmpdir(), 'minikv-bench-'));
  try {
    say(`storing ${count(keys)} records ...`);
    await fill(folder, keys);
    const store = await open(folder);
    say('looking up ...');
    const present = drawn(keys, () => 2 * random.below(keys));
    const absent = drawn(keys, () => 2 * random.below(keys) + 1);
    const presentUs = lookUpUs(store, present, true);
    const unlearntUs = lookUpUs(store, absent, false);
    const startedMs = performance.now();
    await store.learnKeys(() => Promise.resolve());
    const learnMs = performance.now() - startedMs;
    const absentUs = lookUpUs(store, absent, false);
    const young = drawn(keys, () => 2 * random.below(FLUSH_ROWS));
    for (const key of young) store.put(key, rowOf());
    const unflushedUs = lookUpUs(store, young, true);
    await store.close();
    const rowBytes = rowOf().length;
    return { rowBytes, absentUs, unlearntUs, learnMs, presentUs, unflushedUs };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function open(folder: string): Promise<LevelMetadataStore> {
  const fail = (error: Error): void => {
    throw error;
  };
  const opened = await LevelMetadataStore.open(
    { openTable: openLevelTable, onFatal: fail },
    join(folder, 'metadata'),
  );
  if (opened.kind === 'void') throw new Error(opened.why);
  return opened.store;
}

/** In random order, as hashed shards come, and in flushes of some thousand rows. */
async function fill(folder: string, keys: number): Promise<void> {
  const store = await open(folder);
  const order = shuffled(keys);
  for (let at = 0; at < keys; at += FLUSH_ROWS) {
    for (const number of order.subarray(at, at + FLUSH_ROWS)) store.put(keyOf(2 * number), rowOf());
    const point = { index: logIndex(at + 1), term: term(1) };
    store.freeze({ point, digest: '0'.repeat(16), installed: false });
    await store.writeFrozen();
  }
  await store.close();
}

function shuffled(count: number): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

const writer = new ByteWriter();

/** A record of three copies. */
function rowOf(): Uint8Array {
  const id = blobId(hexOf(random.bytes(16)));
  const copies = [1, 2, 3].map((disk) => ({ disk: diskId(disk), copyId: copyOfWrite(id) }));
  const value = {
    blobId: id,
    size: 1024,
    digest: digest(hexOf(random.bytes(32))),
    version: { index: logIndex(123_456), ordinal: 0 },
    copies,
    headers: [['content-type', 'image/jpeg']] as const,
    data: null,
  };
  return encodeRecord(writer, { value, thin: false });
}

const drawn = (count: number, draw: () => number): readonly Uint8Array[] =>
  Array.from({ length: count }, () => keyOf(draw()));

const ROUNDS = 5;

/**
 * One look-up, of the fastest round: what other work on the machine adds is no cost of the store. The
 * first round compiles the code and brings blocks into the cache.
 */
function lookUpUs(store: LevelMetadataStore, keys: readonly Uint8Array[], there: boolean): number {
  let fastestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const beganMs = performance.now();
    for (const key of keys) {
      if ((store.get(key) !== undefined) !== there) {
        throw new Error(there ? 'a record is gone' : 'a record is there that was never stored');
      }
    }
    fastestMs = Math.min(fastestMs, performance.now() - beganMs);
  }
  return (fastestMs * 1000) / keys.length;
}

export function metadataReport(options: MetadataBenchOptions, result: MetadataBenchResult): string {
  const us = (value: number): string => `${value.toFixed(2)} us`;
  return [
    `${count(options.keys)} records of ${result.rowBytes} B, three copies each, looked up at random`,
    machineLine(thisHost()),
    '',
    columns([
      ['an absent key', us(result.absentUs)],
      ['the same before all keys are read', us(result.unlearntUs)],
      ['a present key', us(result.presentUs)],
      ['a key that is not flushed yet', us(result.unflushedUs)],
      ['reading all keys once', `${result.learnMs.toFixed(0)} ms`],
    ]),
  ].join('\n');
}
