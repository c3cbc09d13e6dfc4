/**
 * A disk whose power fails at the n-th change: that change and all later ones throw. Running a story
 * once with no cut counts its changes; running it once for each n visits every state between two steps.
 */
import { KvError } from '../common/errors.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';

export class PowerCut {
  /** Changes so far. */
  changes = 0;
  /** The change that fails; Infinity: none. */
  readonly cutAt: number;
  readonly disk: Disk;

  constructor(inner: Disk, cutAt = Number.POSITIVE_INFINITY) {
    this.cutAt = cutAt;
    const change = async <T>(work: () => Promise<T>): Promise<T> => {
      this.changes += 1;
      if (this.changes >= this.cutAt) throw new KvError('DISK_FAILED', 'the power is cut');
      return work();
    };
    const wrapFile = (file: DiskFile): DiskFile => ({
      path: file.path,
      read: (offset, length) => file.read(offset, length),
      write: (offset, parts) => change(() => file.write(offset, parts)),
      sync: () => change(() => file.sync()),
      truncate: (length) => change(() => file.truncate(length)),
      size: () => file.size(),
      close: () => file.close(),
    });
    this.disk = {
      open: async (path, mode) =>
        wrapFile(
          mode === 'create'
            ? await change(() => inner.open(path, mode))
            : await inner.open(path, mode),
        ),
      makeFolder: (path) => change(() => inner.makeFolder(path)),
      list: (path) => inner.list(path),
      exists: (path) => inner.exists(path),
      rename: (from, to) => change(() => inner.rename(from, to)),
      remove: (path) => change(() => inner.remove(path)),
      removeFolder: (path) => change(() => inner.removeFolder(path)),
      syncFolder: (path) => change(() => inner.syncFolder(path)),
      space: (path) => inner.space(path),
      lock: (path) => inner.lock(path),
    };
  }
}
