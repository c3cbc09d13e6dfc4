/**
 * A disk in memory that can lose what was not synced. File bytes and folder entries each live on two
 * planes, seen and durable; `crash` keeps only what the port promises, and by a `Random` any mixture
 * of the rest. Faults of single calls are armed by `failNext`, `fill` and `holdSyncs`.
 */
import { dirname, join, normalize } from 'node:path';
import { type ErrorCode, KvError } from '../common/errors.ts';
import type { Random } from '../common/random.ts';
import { GIB } from '../common/units.ts';
import type { Disk, DiskFile, DiskLock, DiskSpace, OpenMode } from './disk.ts';
import { MemoryFile } from './memory-file.ts';

export type FaultyCall = 'read' | 'write' | 'sync' | 'syncFolder' | 'rename' | 'open';

interface Fault {
  readonly call: FaultyCall;
  readonly pathPart: string;
  /** null: this call still passes. */
  readonly code: ErrorCode | null;
}

/** A name that came, went or moved; `folder` is the one whose sync makes it durable. */
interface NameChange {
  readonly folder: string;
  readonly path: string;
  readonly file: MemoryFile | null;
}

const ROOTS = ['/', '.'];
const TOTAL_BYTES = 1024 * GIB;

export class MemoryDisk implements Disk {
  #names = new Map<string, MemoryFile>();
  readonly #durableNames = new Map<string, MemoryFile>();
  /** Each element is one system call: its changes survive a crash together or not at all. */
  #pendingNames: NameChange[][] = [];
  readonly #folders = new Set<string>(ROOTS);
  readonly #locks = new Set<string>();
  /** One for each handle that is open, with its file. */
  readonly #handles = new Set<{ readonly file: MemoryFile }>();
  #faults: Fault[] = [];
  #freeBytes = TOTAL_BYTES;
  #syncGate: Promise<void> | null = null;
  /** Rises with each crash; files opened before it are dead. */
  #era = 0;
  /** Calls of `sync` on files so far, to count what group commit saves. */
  syncCount = 0;

  /** The machine loses power: open files and locks end, unsynced work is lost, kept or torn. */
  crash(options: { readonly random?: Random } = {}): void {
    this.#era += 1;
    this.#locks.clear();
    this.#handles.clear();
    this.#faults = [];
    this.#syncGate = null;
    for (const call of this.#pendingNames) {
      if (options.random?.below(2) === 1) this.#makeDurable(call);
    }
    this.#pendingNames = [];
    this.#names = new Map(this.#durableNames);
    for (const file of new Set(this.#names.values())) file.crash(options.random);
  }

  /** The process ends and the machine goes on: open files and locks end, what was written stands. */
  endProcess(): void {
    this.#era += 1;
    this.#locks.clear();
    this.#handles.clear();
    this.#syncGate = null;
  }

  /** The disk as it stands now; the answer puts it back, while no process is on it. */
  image(): () => void {
    const folders = [...this.#folders];
    const files = [...this.#names].map(([path, file]) => [path, file.copy()] as const);
    return () => {
      this.wipe();
      for (const folder of folders) this.#folders.add(folder);
      for (const [path, file] of files) {
        const restored = file.copy();
        this.#names.set(path, restored);
        this.#durableNames.set(path, restored);
      }
    };
  }

  /** Nothing is left, as on a new disk. */
  wipe(): void {
    this.endProcess();
    this.#names.clear();
    this.#durableNames.clear();
    this.#pendingNames = [];
    this.#folders.clear();
    for (const root of ROOTS) this.#folders.add(root);
  }

  /** All files that are seen, in the order of their paths. */
  files(): readonly { readonly path: string; readonly sizeBytes: number }[] {
    const all = [...this.#names].map(([path, { size }]) => ({ path, sizeBytes: size }));
    return all.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  /** Bytes of files that have no name any more and are still open: their space is not free yet. */
  get unlinkedBytes(): number {
    const named = new Set(this.#names.values());
    const held = new Set([...this.#handles].map(({ file }) => file));
    return [...held].reduce((sum, file) => sum + (named.has(file) ? 0 : file.size), 0);
  }

  /** The next such call on a path that contains `pathPart` throws, and a write writes half. */
  failNext(call: FaultyCall, pathPart = '', code: ErrorCode = 'DISK_FAILED'): void {
    this.#faults.push({ call, pathPart, code });
  }

  /** The next such call passes, whatever is armed behind it. */
  skipNext(call: FaultyCall, pathPart = ''): void {
    this.#faults.push({ call, pathPart, code: null });
  }

  /** From now on only `freeBytes` more can be written. */
  fill(freeBytes: number): void {
    this.#freeBytes = freeBytes;
  }

  /** File syncs wait until the answer is called. */
  holdSyncs(): () => void {
    const gate = Promise.withResolvers<undefined>();
    this.#syncGate = gate.promise;
    return () => {
      this.#syncGate = null;
      gate.resolve(undefined);
    };
  }

  /** Damages one bit of a file on both planes, as a decaying medium would. */
  flipBit(path: string, offset: number, bit = 0): void {
    this.#find(normalize(path)).flipBit(offset, bit);
  }

  /** From now on each read that touches these bytes fails, as of a sector that has gone bad. */
  refuse(path: string, offset: number, length: number): void {
    this.#find(normalize(path)).refuse(offset, offset + length);
  }

  /** Cuts a file on both planes, as damage does. */
  truncate(path: string, length: number): void {
    this.#find(normalize(path)).cut(length);
  }

  async open(path: string, mode: OpenMode): Promise<DiskFile> {
    const name = normalize(path);
    await this.#pass('open', name);
    if (mode === 'create') {
      this.#wantFolder(dirname(name));
      if (this.#names.has(name)) {
        throw new KvError('ALREADY_EXISTS', `a file of that name exists: ${path}`);
      }
      this.#change([{ folder: dirname(name), path: name, file: new MemoryFile() }]);
    }
    return this.#handle(name, this.#find(name), mode);
  }

  async makeFolder(path: string): Promise<void> {
    await Promise.resolve();
    for (let folder = normalize(path); !this.#folders.has(folder); folder = dirname(folder)) {
      this.#folders.add(folder);
    }
  }

  async list(path: string): Promise<readonly string[]> {
    await Promise.resolve();
    const folder = normalize(path);
    this.#wantFolder(folder);
    const all = [...this.#names.keys(), ...this.#folders];
    const inside = all.filter((name) => name !== folder && dirname(name) === folder);
    return inside.map((name) => name.slice(join(folder, 'x').length - 1)).sort();
  }

  async exists(path: string): Promise<boolean> {
    await Promise.resolve();
    const name = normalize(path);
    return this.#names.has(name) || this.#folders.has(name);
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [normalize(from), normalize(to)];
    await this.#pass('rename', source);
    if (this.#folders.has(source)) {
      this.#renameFolder(source, target);
      return;
    }
    const file = this.#find(source);
    this.#wantFolder(dirname(target));
    this.#change([
      { folder: dirname(source), path: source, file: null },
      { folder: dirname(target), path: target, file },
    ]);
  }

  async remove(path: string): Promise<void> {
    await Promise.resolve();
    const name = normalize(path);
    if (this.#names.has(name)) this.#change([{ folder: dirname(name), path: name, file: null }]);
  }

  async removeFolder(path: string): Promise<void> {
    await Promise.resolve();
    const folder = normalize(path);
    for (const name of [...this.#names.keys()]) {
      if (isBelow(name, folder))
        this.#change([{ folder: dirname(folder), path: name, file: null }]);
    }
    for (const name of this.#folders) {
      if (name === folder || isBelow(name, folder)) this.#folders.delete(name);
    }
  }

  async syncFolder(path: string): Promise<void> {
    const folder = normalize(path);
    await this.#pass('syncFolder', folder);
    this.#wantFolder(folder);
    const left: NameChange[][] = [];
    for (const call of this.#pendingNames) {
      this.#makeDurable(call.filter((change) => change.folder === folder));
      const rest = call.filter((change) => change.folder !== folder);
      if (rest.length > 0) left.push(rest);
    }
    this.#pendingNames = left;
  }

  async space(): Promise<DiskSpace> {
    await Promise.resolve();
    return { freeBytes: this.#freeBytes, totalBytes: TOTAL_BYTES };
  }

  async lock(folder: string): Promise<DiskLock> {
    await Promise.resolve();
    const name = normalize(folder);
    this.#wantFolder(name);
    if (this.#locks.has(name)) {
      throw new KvError('LOCKED', `this process already uses this folder: ${folder}`);
    }
    this.#locks.add(name);
    const era = this.#era;
    return {
      release: () => {
        if (era === this.#era) this.#locks.delete(name);
        return Promise.resolve();
      },
    };
  }

  #handle(path: string, file: MemoryFile, mode: OpenMode): DiskFile {
    const era = this.#era;
    const held = { file };
    this.#handles.add(held);
    let open = true;
    const enter = async (call: FaultyCall | null): Promise<void> => {
      if (!open || era !== this.#era) throw failed(path, 'the file is closed');
      if (call !== null) await this.#pass(call, path);
      else await Promise.resolve();
      if (era !== this.#era) throw failed(path, 'the machine has crashed');
    };
    const enterToChange = async (call: FaultyCall | null): Promise<void> => {
      if (mode === 'read') throw failed(path, 'the file is open for reading only');
      await enter(call);
    };
    const handle: DiskFile = {
      path,
      read: async (offset, length) => {
        await enter('read');
        return readable(path, file, { offset, length });
      },
      readInto: async (offset, target) => {
        await enter('read');
        const bytes = readable(path, file, { offset, length: target.length });
        target.set(bytes);
        return bytes.length;
      },
      write: async (offset, parts) => {
        await enterToChange(null);
        await this.#pass('write', path).catch((error: unknown) => {
          file.write(offset, joined(parts, 0.5));
          throw error;
        });
        this.#spend(path, file, offset, parts);
      },
      sync: async () => {
        const covered = file.pendingCount;
        await enter('sync').catch((error: unknown) => {
          if (era === this.#era) file.forgetPending();
          throw error;
        });
        this.syncCount += 1;
        if (this.#syncGate !== null) await this.#syncGate;
        if (era !== this.#era) throw failed(path, 'the machine has crashed');
        file.sync(covered);
      },
      truncate: async (length) => {
        await enterToChange(null);
        file.truncate(length);
      },
      size: async () => {
        await enter(null);
        return file.size;
      },
      close: async () => {
        await Promise.resolve();
        open = false;
        this.#handles.delete(held);
      },
      writeSynced: async (offset, parts) => {
        await handle.write(offset, parts);
        await handle.sync();
      },
    };
    return handle;
  }

  /** Writes as far as the space goes, then fails, as a real disk does. */
  #spend(path: string, file: MemoryFile, offset: number, parts: readonly Uint8Array[]): void {
    const bytes = joined(parts, 1);
    const grows = Math.max(0, offset + bytes.length - file.size);
    const lacking = Math.max(0, grows - this.#freeBytes);
    file.write(offset, bytes.subarray(0, bytes.length - lacking));
    this.#freeBytes -= grows - lacking;
    if (lacking > 0) throw new KvError('NO_SPACE', `the disk is full: ${path}`);
  }

  async #pass(call: FaultyCall, path: string): Promise<void> {
    await Promise.resolve();
    const at = this.#faults.findIndex((f) => f.call === call && path.includes(f.pathPart));
    const [fault] = at < 0 ? [] : this.#faults.splice(at, 1);
    if (fault === undefined || fault.code === null) return;
    throw new KvError(fault.code, `injected failure of ${call}: ${path}`);
  }

  #find(name: string): MemoryFile {
    const file = this.#names.get(name);
    if (file === undefined) {
      throw new KvError('NOT_FOUND', `there is no such file or folder: ${name}`);
    }
    return file;
  }

  #wantFolder(name: string): void {
    if (!this.#folders.has(name)) {
      throw new KvError('NOT_FOUND', `there is no such file or folder: ${name}`);
    }
  }

  #change(call: NameChange[]): void {
    for (const { path, file } of call) setName(this.#names, path, file);
    this.#pendingNames.push(call);
  }

  #makeDurable(call: readonly NameChange[]): void {
    for (const { path, file } of call) setName(this.#durableNames, path, file);
  }

  /** A folder moves with what it holds; both parents' syncs make it durable, as with a file. */
  #renameFolder(source: string, target: string): void {
    const call: NameChange[] = [];
    for (const [name, file] of this.#names) {
      if (!isBelow(name, source)) continue;
      const moved = target + name.slice(source.length);
      call.push({ folder: dirname(source), path: name, file: null });
      call.push({ folder: dirname(target), path: moved, file });
    }
    for (const name of [...this.#folders]) {
      if (name !== source && !isBelow(name, source)) continue;
      this.#folders.add(target + name.slice(source.length));
    }
    this.#change(call);
    for (const name of [...this.#folders]) {
      if (name === source || isBelow(name, source)) this.#folders.delete(name);
    }
  }
}

const isBelow = (name: string, folder: string): boolean => name.startsWith(`${folder}/`);

const failed = (path: string, why: string): KvError =>
  new KvError('DISK_FAILED', `${why}: ${path}`);

function readable(
  path: string,
  file: MemoryFile,
  { offset, length }: { readonly offset: number; readonly length: number },
): Uint8Array {
  if (file.refuses(offset, length)) throw failed(path, 'a sector cannot be read');
  return file.read(offset, length);
}

function setName(names: Map<string, MemoryFile>, path: string, file: MemoryFile | null): void {
  if (file === null) names.delete(path);
  else names.set(path, file);
}

/** The first `share` of all parts as one piece, a copy. */
function joined(parts: readonly Uint8Array[], share: number): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole.subarray(0, Math.floor(whole.length * share));
}
