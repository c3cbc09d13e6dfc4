/**
 * An exclusive lock on a file that ends with the process, however it ends. Node has no call for file
 * locks, so SQLite takes them: an exclusive transaction on an empty database holds the system's own
 * advisory locks and writes nothing. Such locks fall when the process closes any descriptor of that
 * file, so a path held here is never opened a second time.
 */
import { DatabaseSync } from 'node:sqlite';
import { KvError } from '../common/errors.ts';
import type { DiskLock } from './disk.ts';

const held = new Set<string>();

/** Locks the existing file at an absolute path. @throws KvError `LOCKED` when somebody holds it. */
export function lockFile(path: string): DiskLock {
  if (held.has(path)) throw lockedBy('this process', path);
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    if (isBusy(error)) throw lockedBy('another process', path);
    throw error;
  }
  held.add(path);
  return {
    release: () => {
      if (held.delete(path)) database.close();
      return Promise.resolve();
    },
  };
}

const lockedBy = (holder: string, path: string): KvError =>
  new KvError('LOCKED', `${holder} already uses this folder: ${path} is locked`, {
    detail: { path },
  });

/** SQLITE_BUSY and its extended codes. */
const isBusy = (thrown: unknown): boolean =>
  typeof thrown === 'object' &&
  thrown !== null &&
  'errcode' in thrown &&
  typeof thrown.errcode === 'number' &&
  (thrown.errcode & 0xff) === 5;
