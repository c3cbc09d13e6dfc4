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

  /** `before` runs ahead of each change and may act or throw: a meeting point of two stories. */
  constructor(
    inner: Disk,
    cutAt = Number.POSITIVE_INFINITY,
    before: (change: string, path: string, to: string) => Promise<void> = () => Promise.resolve(),
  ) {
    this.cutAt = cutAt;
    const change = async <T>(
      [name, path, to = '']: readonly string[],
      work: () => Promise<T>,
    ): Promise<T> => {
      this.changes += 1;
      if (this.changes >= this.cutAt) throw new KvError('DISK_FAILED', 'the power is cut');
      await before(name ?? '', path ?? '', to);
      return work();
    };
    const wrapFile = (file: DiskFile): DiskFile => ({
      path: file.path,
      writeSynced: async (offset, parts) => {
        await change(['write', file.path], () => file.write(offset, parts));
        await change(['sync', file.path], () => file.sync());
      },
      read: (offset, length) => file.read(offset, length),
      readInto: (offset, target) => file.readInto(offset, target),
      write: (offset, parts) => change(['write', file.path], () => file.write(offset, parts)),
      sync: () => change(['sync', file.path], () => file.sync()),
      truncate: (length) => change(['truncate', file.path], () => file.truncate(length)),
      size: () => file.size(),
      close: () => file.close(),
    });
    this.disk = {
      open: async (path, mode) =>
        wrapFile(
          mode === 'create'
            ? await change(['open', path], () => inner.open(path, mode))
            : await inner.open(path, mode),
        ),
      makeFolder: (path) => change(['makeFolder', path], () => inner.makeFolder(path)),
      list: (path) => inner.list(path),
      exists: (path) => inner.exists(path),
      rename: (from, to) => change(['rename', from, to], () => inner.rename(from, to)),
      remove: (path) => change(['remove', path], () => inner.remove(path)),
      removeFolder: (path) => change(['removeFolder', path], () => inner.removeFolder(path)),
      syncFolder: (path) => change(['syncFolder', path], () => inner.syncFolder(path)),
      space: (path) => inner.space(path),
      lock: (path) => inner.lock(path),
    };
  }
}
