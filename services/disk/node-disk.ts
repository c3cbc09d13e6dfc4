/**
 * The machine's disk. Every failure becomes a KvError with its cause; a failed sync is reported and
 * never retried, because the kernel may have dropped the very pages that did not reach the disk.
 */
import { constants } from 'node:fs';
import {
  access,
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  statfs,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { unfilled } from '../common/bytes.ts';
import { type ErrorCode, KvError } from '../common/errors.ts';
import type { Disk, DiskFile, DiskLock, DiskSpace, OpenMode } from './disk.ts';
import { lockFile } from './process-lock.ts';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const FLAGS = { read: 'r', write: 'r+', create: 'wx+' } as const satisfies Record<OpenMode, string>;

export class NodeDisk implements Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return translate(
      path,
      async () => new NodeFile(path, await open(path, FLAGS[mode], FILE_MODE)),
    );
  }

  makeFolder(path: string): Promise<void> {
    return translate(path, async () => {
      const missing: string[] = [];
      let folder = resolve(path);
      while (!(await this.exists(folder))) {
        missing.push(folder);
        folder = dirname(folder);
      }
      for (const made of missing.reverse()) {
        await mkdir(made, { recursive: true, mode: FOLDER_MODE });
        await this.syncFolder(dirname(made));
      }
    });
  }

  list(path: string): Promise<readonly string[]> {
    return translate(path, async () => (await readdir(path)).sort());
  }

  async exists(path: string): Promise<boolean> {
    try {
      await translate(path, () => access(path, constants.F_OK));
      return true;
    } catch (error) {
      if (error instanceof KvError && error.code === 'NOT_FOUND') return false;
      throw error;
    }
  }

  rename(from: string, to: string): Promise<void> {
    return translate(from, () => rename(from, to));
  }

  remove(path: string): Promise<void> {
    return translate(path, () => rm(path, { force: true }));
  }

  removeFolder(path: string): Promise<void> {
    return translate(path, () => rm(path, { force: true, recursive: true }));
  }

  syncFolder(path: string): Promise<void> {
    return translate(path, async () => {
      const handle = await open(path, 'r');
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
    });
  }

  space(path: string): Promise<DiskSpace> {
    return translate(path, async () => {
      const { bavail, blocks, bsize } = await statfs(path);
      return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
    });
  }

  lock(folder: string): Promise<DiskLock> {
    const path = join(resolve(folder), 'LOCK');
    return translate(path, async () => {
      await makeEmpty(path);
      return lockFile(path);
    });
  }
}

class NodeFile implements DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  /** The same file, opened for writes that are durable when they return. */
  #synced: FileHandle | null = null;
  /** Writes and cuts that only a sync makes durable, and how many of them a sync has covered. */
  #unsyncedCalls = 0;
  #syncedCalls = 0;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const target = unfilled(length);
    const filled = await this.readInto(offset, target);
    return filled === length ? target : target.subarray(0, filled);
  }

  readInto(offset: number, target: Uint8Array): Promise<number> {
    return translate(this.path, async () => {
      const length = target.length;
      let filled = 0;
      while (filled < length) {
        const at = offset + filled;
        const { bytesRead } = await this.#handle.read(target, filled, length - filled, at);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    });
  }

  write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    this.#unsyncedCalls += 1;
    return translate(this.path, () => writeAll(this.#handle, offset, parts));
  }

  async writeSynced(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    if (this.#syncedCalls < this.#unsyncedCalls) {
      await this.write(offset, parts);
      await this.sync();
      return;
    }
    await translate(this.path, async () => {
      this.#synced ??= await this.#openAgain(constants.O_WRONLY | constants.O_DSYNC);
      await writeAll(this.#synced, offset, parts);
    });
  }

  /** By its name, which must still be this file's. */
  async #openAgain(flags: number): Promise<FileHandle> {
    const again = await open(this.path, flags);
    const [mine, its] = await Promise.all([this.#handle.stat(), again.stat()]);
    if (mine.ino === its.ino && mine.dev === its.dev) return again;
    await again.close();
    throw new Error('another file has taken the name of one that is open');
  }

  async sync(): Promise<void> {
    const covered = this.#unsyncedCalls;
    await translate(this.path, () => this.#handle.datasync());
    this.#syncedCalls = Math.max(this.#syncedCalls, covered);
  }

  truncate(length: number): Promise<void> {
    this.#unsyncedCalls += 1;
    return translate(this.path, () => this.#handle.truncate(length));
  }

  size(): Promise<number> {
    return translate(this.path, async () => (await this.#handle.stat()).size);
  }

  close(): Promise<void> {
    return translate(this.path, async () => {
      await this.#synced?.close();
      await this.#handle.close();
    });
  }
}

async function writeAll(
  handle: FileHandle,
  offset: number,
  parts: readonly Uint8Array[],
): Promise<void> {
  let at = offset;
  let rest = parts.filter((part) => part.length > 0);
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, at);
    if (bytesWritten === 0) throw new Error('the system wrote nothing and gave no reason');
    at += bytesWritten;
    rest = withoutFirst(rest, bytesWritten);
  }
}

/** What is left of `parts` after a write took its first `count` bytes. */
function withoutFirst(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = count;
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

/** Makes the lock file where it is absent, without ever opening one that may be locked. */
async function makeEmpty(path: string): Promise<void> {
  try {
    await (await open(path, 'wx', FILE_MODE)).close();
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
};

const SENTENCES: Partial<Record<ErrorCode, string>> = {
  NO_SPACE: 'the disk is full',
  NOT_FOUND: 'there is no such file or folder',
  ALREADY_EXISTS: 'a file of that name exists',
};

async function translate<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof KvError) throw thrown;
    const systemName = systemCode(thrown);
    const code = CODES[systemName] ?? 'DISK_FAILED';
    const sentence = SENTENCES[code] ?? `the disk failed (${systemName})`;
    throw new KvError(code, `${sentence}: ${path}`, {
      detail: { path, system: systemName },
      cause: thrown,
    });
  }
}

/** The system's name of an error, told by shape: errors may come from another realm. */
function systemCode(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return 'unknown';
  return typeof thrown.code === 'string' ? thrown.code : 'unknown';
}
