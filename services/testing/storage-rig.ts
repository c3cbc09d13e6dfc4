/**
 * A volume on a memory disk for tests: values from a seed, engines that open and crash at will, and a
 * clock whose time stands while its turns run by themselves.
 */

import { crc32 } from '../common/checksum.ts';
import type { Clock } from '../common/clock.ts';
import { digestOf } from '../common/digest.ts';
import type { KvError } from '../common/errors.ts';
import { type CopyId, type TxnId, txnId } from '../common/ids.ts';
import { mintCopyId, type Random, seededRandom } from '../common/random.ts';
import type { Disk } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { openEngine } from '../storage/engine.ts';
import type { EngineOptions, ReadResult, StageEnd, StorageEngine } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import type { Labels, Metrics, SampleRead } from '../telemetry/metrics.ts';

export const TXN: TxnId = txnId('00000000000100000000000000000001');

/** Time moves only by `advance`; what `soon` collects runs in the next turn. */
export class TurningClock implements Clock {
  nowMs = 0;
  readonly #due: { atMs: number; fn: () => void }[] = [];

  monotonicMs(): number {
    return this.nowMs;
  }

  wallMs(): number {
    return this.nowMs;
  }

  after(delayMs: number, fn: () => void): { cancel(): void } {
    const due = { atMs: this.nowMs + delayMs, fn };
    this.#due.push(due);
    return {
      cancel: () => {
        const at = this.#due.indexOf(due);
        if (at >= 0) this.#due.splice(at, 1);
      },
    };
  }

  soon(fn: () => void): void {
    setImmediate(fn);
  }

  async advance(ms: number): Promise<void> {
    this.nowMs += ms;
    for (;;) {
      const at = this.#due.findIndex((due) => due.atMs <= this.nowMs);
      if (at < 0) break;
      const [due] = this.#due.splice(at, 1);
      due?.fn();
    }
    await turns(4);
  }
}

/** Lets some turns of the loop pass. */
export async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Compacts until nothing is worth it. */
export async function compactAll(engine: StorageEngine): Promise<void> {
  while (await engine.compactOnce()) await turns(1);
}

/** Metrics without a registry: hundreds of engines are opened in one test. */
export class CountingMetrics implements Metrics {
  readonly contentType = 'text/plain';
  readonly #values = new Map<string, number>();
  readonly #samples = new Map<string, () => number>();
  readonly #samplesBy = new Map<string, () => string[]>();

  counter(name: string) {
    return {
      add: (count = 1, labels: Labels = {}) => {
        const key = name + textOf(labels);
        this.#values.set(key, (this.#values.get(key) ?? 0) + count);
      },
    };
  }

  gauge(name: string) {
    return {
      set: (value: number, labels: Labels = {}) => {
        this.#values.set(name + textOf(labels), value);
      },
    };
  }

  sampled(name: string, _help: string, read: () => number): void {
    this.#samples.set(name, read);
  }

  sampledBy(name: string, _help: string, label: string, read: SampleRead): void {
    const lines = (): string[] =>
      [...read()].map(([value, measured]) => `${name}${textOf({ [label]: value })} ${measured}`);
    this.#samplesBy.set(name, lines);
  }

  histogram() {
    return { observe: () => undefined };
  }

  print(): Promise<string> {
    const lines = [...this.#values].map(([key, value]) => `${key} ${value}`);
    for (const [name, read] of this.#samples) lines.push(`${name} ${read()}`);
    for (const read of this.#samplesBy.values()) lines.push(...read());
    return Promise.resolve(lines.join('\n'));
  }
}

const textOf = (labels: Labels): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
};

export interface Value {
  readonly id: CopyId;
  readonly data: Uint8Array;
  readonly end: StageEnd;
}

export class StorageRig {
  readonly disk: MemoryDisk;
  readonly clock = new TurningClock();
  readonly random: Random;
  metrics = new CountingMetrics();
  failures: KvError[] = [];
  readonly #options: Partial<EngineOptions>;
  /** What the engine gets in place of the bare disk. */
  wrap: (disk: MemoryDisk) => Disk = (disk) => disk;

  constructor(options: Partial<EngineOptions> = {}, seed = 1) {
    this.disk = new MemoryDisk();
    this.random = seededRandom(seed);
    this.#options = options;
  }

  open(options: Partial<EngineOptions> = {}): Promise<StorageEngine> {
    this.metrics = new CountingMetrics();
    this.failures = [];
    return openEngine(
      {
        disk: this.wrap(this.disk),
        clock: this.clock,
        random: this.random,
        logger: silentLogger,
        metrics: this.metrics,
      },
      {
        dataPath: '/data',
        walPath: '/data/wal',
        fsync: { kind: 'always' },
        segmentBytes: 64 * 1024,
        reserveBytes: 0,
        compactionBytesPerSecond: 0,
        capacityBytes: 0,
        onFailure: (error) => this.failures.push(error),
        ...this.#options,
        ...options,
      },
    );
  }

  value(bytes: number, id: CopyId = mintCopyId(this.random)): Value {
    const data = this.random.bytes(bytes);
    const owner = new TextEncoder().encode(`key-of-${id.slice(0, 8)}`);
    return {
      id,
      data,
      end: { copyId: id, txnId: TXN, owner, sizeBytes: bytes, digest: digestOf(data) },
    };
  }

  async whole(engine: StorageEngine, bytes: number): Promise<Value> {
    const value = this.value(bytes);
    await engine.stageWhole(value.end, value.data);
    return value;
  }

  /** Stages a value in chunks of so many bytes. */
  async chunked(engine: StorageEngine, bytes: number, chunkBytes: number): Promise<Value> {
    const value = this.value(bytes);
    await stageChunks(engine, value, chunkBytes);
    await engine.stageEnd(value.end);
    return value;
  }

  /** Names of the segment files, wal and data. */
  async segments(): Promise<readonly string[]> {
    const all: string[] = [];
    for (const folder of ['/data/segments', '/data/wal']) {
      for (const name of await this.disk.list(folder)) {
        if (name.endsWith('.seg')) all.push(`${folder}/${name}`);
      }
    }
    return all;
  }

  async bytesOf(path: string): Promise<Uint8Array> {
    const file = await this.disk.open(path, 'read');
    const bytes = await file.read(0, await file.size());
    await file.close();
    return bytes;
  }

  /** Replaces a file, durably. */
  async replace(path: string, bytes: Uint8Array): Promise<void> {
    const file = await this.disk.open(path, 'write');
    await file.truncate(0);
    await file.write(0, [bytes]);
    await file.sync();
    await file.close();
  }
}

export async function stageChunks(
  engine: StorageEngine,
  value: Value,
  chunkBytes: number,
): Promise<void> {
  for (let no = 0, at = 0; at < value.data.length; no += 1, at += chunkBytes) {
    const data = value.data.subarray(at, at + chunkBytes);
    await engine.stageChunk({
      copyId: value.id,
      chunkNo: no,
      offset: at,
      data,
      crc: crc32(data),
      declaredBytes: value.data.length,
    });
  }
}

/** The whole copy, page by page; or the first answer that is not `found`. */
export async function readAll(engine: StorageEngine, id: CopyId): Promise<ReadResult> {
  const pieces: Uint8Array[] = [];
  let at = 0;
  for (;;) {
    const result = await engine.read(id, at, 1024 * 1024);
    if (result.kind !== 'found') return result;
    pieces.push(result.data);
    at += result.data.length;
    if (at >= result.sizeBytes) {
      return { ...result, data: Buffer.concat(pieces) };
    }
  }
}

/** How a copy reads: its kind, or `other bytes` where it is found and is not the value. */
export async function outcomeOf(engine: StorageEngine, value: Value): Promise<string> {
  const result = await readAll(engine, value.id);
  if (result.kind !== 'found') return result.kind;
  const same =
    result.sizeBytes === value.data.length && Buffer.compare(result.data, value.data) === 0;
  return same ? 'found' : 'other bytes';
}
