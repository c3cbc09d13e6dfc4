/**
 * The disk of a simulated machine: a MemoryDisk that outlives the processes on it. Each life of a
 * process sees it through a Disk of its own, whose calls take virtual time. A change reaches the disk at
 * the beginning of its call or at its end, as the seed has it, so that a process which dies in between
 * has made it or not.
 */
import type { Random } from '../common/random.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { exponential } from './draws.ts';
import { type Life, never } from './life.ts';
import { EVENT, type Scheduler } from './scheduler.ts';
import type { SimDisk } from './types.ts';

/** A fair machine: most reads come from memory, a sync takes a millisecond. */
const USUAL_LATENCY = { readMs: 0.1, writeMs: 0.05, syncMs: 1 };

type Latency = keyof SimDisk['latency'];

export class HostDisk implements SimDisk {
  readonly #disk = new MemoryDisk();
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  latency = { ...USUAL_LATENCY };

  constructor(scheduler: Scheduler, random: Random) {
    this.#scheduler = scheduler;
    this.#random = random;
  }

  failNext(...[call, pathPart]: Parameters<SimDisk['failNext']>): void {
    this.#disk.failNext(call, pathPart);
  }

  fill(freeBytes: number): void {
    this.#disk.fill(freeBytes);
  }

  flipBit(path: string, offset: number, bit = 0): void {
    this.#disk.flipBit(path, offset, bit);
  }

  truncate(path: string, length: number): void {
    this.#disk.truncate(path, length);
  }

  image(): () => void {
    return this.#disk.image();
  }

  wipe(): void {
    this.#disk.wipe();
  }

  files(): ReturnType<SimDisk['files']> {
    return this.#disk.files();
  }

  /** The process is gone and the machine is not. */
  endProcess(): void {
    this.#disk.endProcess();
  }

  losePower(): void {
    this.#disk.crash({ random: this.#random });
  }

  /** The disk as one life of a process sees it. */
  viewOf(life: Life): Disk {
    const disk = this.#disk;
    const read = <T>(work: () => Promise<T>): Promise<T> => this.#later(life, 'readMs', work);
    const change = <T>(latency: Latency, work: () => Promise<T>): Promise<T> =>
      this.#soonerOrLater(life, latency, work);
    return {
      open: async (path, mode) => {
        const open = (): Promise<DiskFile> => disk.open(path, mode);
        const file = await (mode === 'create' ? change('writeMs', open) : read(open));
        return this.#fileOf(life, file);
      },
      makeFolder: (path) => change('syncMs', () => disk.makeFolder(path)),
      list: (path) => read(() => disk.list(path)),
      exists: (path) => read(() => disk.exists(path)),
      rename: (from, to) => change('writeMs', () => disk.rename(from, to)),
      remove: (path) => change('writeMs', () => disk.remove(path)),
      removeFolder: (path) => change('writeMs', () => disk.removeFolder(path)),
      syncFolder: (path) => change('syncMs', () => disk.syncFolder(path)),
      space: () => read(() => disk.space()),
      lock: async (folder) => {
        const lock = await read(() => disk.lock(folder));
        return { release: () => read(() => lock.release()) };
      },
    };
  }

  #fileOf(life: Life, file: DiskFile): DiskFile {
    const read = <T>(work: () => Promise<T>): Promise<T> => this.#later(life, 'readMs', work);
    const change = <T>(latency: Latency, work: () => Promise<T>): Promise<T> =>
      this.#soonerOrLater(life, latency, work);
    const view: DiskFile = {
      path: file.path,
      read: (offset, length) => read(() => file.read(offset, length)),
      readInto: (offset, target) => read(() => file.readInto(offset, target)),
      write: (offset, parts) => change('writeMs', () => file.write(offset, parts)),
      sync: () => change('syncMs', () => file.sync()),
      writeSynced: async (offset, parts) => {
        await view.write(offset, parts);
        await view.sync();
      },
      truncate: (length) => change('writeMs', () => file.truncate(length)),
      size: () => read(() => file.size()),
      close: () => read(() => file.close()),
    };
    return view;
  }

  #later<T>(life: Life, latency: Latency, work: () => Promise<T>): Promise<T> {
    if (life.isOver) return never();
    return new Promise((resolve, reject) => {
      this.#scheduler.schedule(this.#draw(latency), life, EVENT.disk, () => {
        work().then(resolve, reject);
      });
    });
  }

  #soonerOrLater<T>(life: Life, latency: Latency, work: () => Promise<T>): Promise<T> {
    if (life.isOver) return never();
    if (this.#random.below(2) === 0) return this.#later(life, latency, work);
    const done = work();
    // Whoever called hears of a failure at the end of the call, and one that has died never does.
    done.catch(() => undefined);
    return this.#later(life, latency, () => done);
  }

  #draw(latency: Latency): number {
    return exponential(this.#random, this.latency[latency]);
  }
}
