/**
 * Files as a port. What each call promises after a crash is written on it; `NodeDisk` keeps the
 * promise on a machine, `MemoryDisk` keeps it in tests and breaks it on demand. Both pass
 * `conformance.ts`. Errors of the operating system become `KvError DISK_FAILED` (cause kept), except
 * `NO_SPACE` for a full disk, `NOT_FOUND` for an absent path, `ALREADY_EXISTS` for `create` of a name
 * that stands and `LOCKED` for a held lock.
 */

export interface DiskFile {
  readonly path: string;
  /** Up to `length` bytes from `offset`: fewer only where the file ends. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Fills `target` from `offset`; answers the bytes read: fewer only where the file ends. */
  readInto(offset: number, target: Uint8Array): Promise<number>;
  /** Writes all parts in order from `offset`; not durable before `sync`. Loops over short writes. */
  write(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /**
   * `write`, then `sync`: all bytes written before and these are durable once it resolves. One call of
   * the system where nothing else waits for a sync.
   */
  writeSynced(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /** Bytes written before the call are durable once it resolves. A failed sync is never retried. */
  sync(): Promise<void>;
  /** Cuts the file to `length`; durable after `sync`. */
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

/** `read`: must exist. `write`: must exist, reads too. `create`: must not exist, reads too. */
export type OpenMode = 'read' | 'write' | 'create';

/** An exclusive lock that ends with the process, however it ends. */
export interface DiskLock {
  release(): Promise<void>;
}

export interface DiskSpace {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface Disk {
  open(path: string, mode: OpenMode): Promise<DiskFile>;
  /** Makes the folder and its missing parents, durable once resolved. */
  makeFolder(path: string): Promise<void>;
  /** Names in the folder, sorted; `NOT_FOUND` when there is no such folder. */
  list(path: string): Promise<readonly string[]>;
  exists(path: string): Promise<boolean>;
  /** Replaces `to` atomically; durable after `syncFolder` of both parents. */
  rename(from: string, to: string): Promise<void>;
  /** Removes one file; absent is fine. Durable after `syncFolder`. */
  remove(path: string): Promise<void>;
  /** Removes a folder and all below it; absent is fine. */
  removeFolder(path: string): Promise<void>;
  /** Makes names created, renamed or removed in the folder durable. */
  syncFolder(path: string): Promise<void>;
  space(path: string): Promise<DiskSpace>;
  /**
   * Locks a folder that exists, by a file named LOCK in it.
   * @throws KvError `LOCKED` when another process, or this one, holds it.
   */
  lock(folder: string): Promise<DiskLock>;
}
