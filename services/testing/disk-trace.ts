/**
 * All changes that a story makes on a disk, and every disk that a power cut may have left of it: after
 * each change with all that was not synced lost, with all of it kept, and with the last write torn at
 * its sectors. `PowerCut` runs a story again for each cut; here it runs once and its trace is replayed.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile, OpenMode } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';

const SECTOR_BYTES = 512;
/** A larger write, such as that of an index, is torn at so many of its sectors. */
const TEARS_MAX = 8;

type Step =
  | { readonly kind: 'open'; readonly id: number; readonly path: string; readonly mode: OpenMode }
  | {
      readonly kind: 'write';
      readonly id: number;
      readonly offset: number;
      readonly bytes: Uint8Array;
    }
  | { readonly kind: 'truncate'; readonly id: number; readonly length: number }
  | { readonly kind: 'sync'; readonly id: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | {
      readonly kind: 'makeFolder' | 'remove' | 'removeFolder' | 'syncFolder';
      readonly path: string;
    };

/** One disk that a cut may have left. */
export interface CutDisk {
  readonly disk: MemoryDisk;
  /** Changes before the cut. */
  readonly step: number;
  /** What became of the changes that were not synced. */
  readonly fate: string;
}

export class DiskTrace {
  readonly disk: Disk;
  readonly #inner = new MemoryDisk();
  readonly #steps: Step[] = [];
  #ids = 0;

  constructor() {
    const inner = this.#inner;
    const done = async <T>(step: Step, work: Promise<T>): Promise<T> => {
      const result = await work;
      this.#steps.push(step);
      return result;
    };
    this.disk = {
      open: async (path, mode) => {
        const file = await inner.open(path, mode);
        this.#ids += 1;
        this.#steps.push({ kind: 'open', id: this.#ids, path, mode });
        return this.#traced(file, this.#ids);
      },
      makeFolder: (path) => done({ kind: 'makeFolder', path }, inner.makeFolder(path)),
      list: (path) => inner.list(path),
      exists: (path) => inner.exists(path),
      rename: (from, to) => done({ kind: 'rename', from, to }, inner.rename(from, to)),
      remove: (path) => done({ kind: 'remove', path }, inner.remove(path)),
      removeFolder: (path) => done({ kind: 'removeFolder', path }, inner.removeFolder(path)),
      syncFolder: (path) => done({ kind: 'syncFolder', path }, inner.syncFolder(path)),
      space: () => inner.space(),
      lock: (path) => inner.lock(path),
    };
  }

  /** Changes so far: what a story has reached is known by this number. */
  get length(): number {
    return this.#steps.length;
  }

  /** Every disk that a cut at or after change `from` may leave. */
  async *cuts(from = 0): AsyncGenerator<CutDisk> {
    for (let step = from; step <= this.#steps.length; step += 1) {
      const lost = await this.#replayed(step);
      lost.disk.crash();
      yield { disk: lost.disk, step, fate: 'lost' };
      const kept = await this.#replayed(step);
      await kept.keepAll();
      yield { disk: kept.disk, step, fate: 'kept' };
      const next = this.#steps[step];
      if (next?.kind !== 'write') continue;
      for (const { fate, parts } of tearsOf(next)) {
        const torn = await this.#replayed(step);
        for (const part of parts) await torn.take({ ...next, ...part });
        await torn.keepAll();
        // The change itself has begun: what it means to write may be there.
        yield { disk: torn.disk, step, fate };
      }
    }
  }

  async #replayed(count: number): Promise<Replay> {
    const replay = new Replay();
    for (const step of this.#steps.slice(0, count)) await replay.take(step);
    return replay;
  }

  #traced(file: DiskFile, id: number): DiskFile {
    const write = async (offset: number, parts: readonly Uint8Array[]): Promise<void> => {
      // In the order in which they are asked for: some go ahead while a sync runs.
      this.#steps.push({ kind: 'write', id, offset, bytes: Buffer.concat(parts) });
      await file.write(offset, parts);
    };
    const sync = async (): Promise<void> => {
      await file.sync();
      this.#steps.push({ kind: 'sync', id });
    };
    return {
      path: file.path,
      read: (offset, length) => file.read(offset, length),
      readInto: (offset, target) => file.readInto(offset, target),
      write,
      sync,
      writeSynced: async (offset, parts) => {
        await write(offset, parts);
        await sync();
      },
      truncate: async (length) => {
        await file.truncate(length);
        this.#steps.push({ kind: 'truncate', id, length });
      },
      size: () => file.size(),
      close: () => file.close(),
    };
  }
}

type Write = Extract<Step, { kind: 'write' }>;
type Part = Pick<Write, 'offset' | 'bytes'>;

/** The write up to each sector, and from each sector on: sectors may reach a disk in any order. */
function tearsOf({ offset, bytes }: Write): { readonly fate: string; readonly parts: Part[] }[] {
  const tears = [];
  const first = SECTOR_BYTES - (offset % SECTOR_BYTES);
  const stride = Math.ceil(bytes.length / SECTOR_BYTES / TEARS_MAX) * SECTOR_BYTES;
  for (let at = first; at < bytes.length; at += stride) {
    const head = { offset, bytes: bytes.subarray(0, at) };
    const tail = { offset: offset + at, bytes: bytes.subarray(at) };
    tears.push({ fate: `first ${at} bytes`, parts: [head] });
    tears.push({ fate: `all but the first ${at} bytes`, parts: [tail] });
  }
  return tears;
}

/** Steps carried out on a fresh disk. */
class Replay {
  readonly disk = new MemoryDisk();
  readonly #files = new Map<number, DiskFile>();
  readonly #folders = new Set<string>();

  async take(step: Step): Promise<void> {
    switch (step.kind) {
      case 'open':
        this.#files.set(step.id, await this.disk.open(step.path, step.mode));
        return;
      case 'write':
        return this.#files.get(step.id)?.write(step.offset, [step.bytes]);
      case 'truncate':
        return this.#files.get(step.id)?.truncate(step.length);
      case 'sync':
        return this.#files.get(step.id)?.sync();
      case 'rename':
        return this.disk.rename(step.from, step.to);
      case 'makeFolder':
        this.#folders.add(step.path).add(dirname(step.path));
        return this.disk.makeFolder(step.path);
      case 'remove':
      case 'removeFolder':
      case 'syncFolder':
        return this.disk[step.kind](step.path);
    }
  }

  /** The disk had time to take all that it was given; then the power went. */
  async keepAll(): Promise<void> {
    for (const file of this.#files.values()) await file.sync();
    for (const folder of this.#folders) {
      if (await this.disk.exists(folder)) await this.disk.syncFolder(folder);
    }
    this.disk.crash();
  }
}
