/** A disk on which the making of one folder waits: recovery stands still for as long as a test likes. */
import type { Disk, DiskFile, DiskLock, DiskSpace, OpenMode } from '../disk/disk.ts';

export class GatedDisk implements Disk {
  readonly #inner: Disk;
  readonly #folder: string;
  readonly #reached = Promise.withResolvers<undefined>();
  readonly #gate = Promise.withResolvers<undefined>();

  /** `folder`: the last part of the path that waits. */
  constructor(inner: Disk, folder: string) {
    this.#inner = inner;
    this.#folder = `/${folder}`;
  }

  /** Resolves when somebody waits at the gate. */
  get reached(): Promise<undefined> {
    return this.#reached.promise;
  }

  openGate(): void {
    this.#gate.resolve(undefined);
  }

  async makeFolder(path: string): Promise<void> {
    if (path.endsWith(this.#folder)) {
      this.#reached.resolve(undefined);
      await this.#gate.promise;
    }
    await this.#inner.makeFolder(path);
  }

  open(path: string, mode: OpenMode): Promise<DiskFile> {
    return this.#inner.open(path, mode);
  }

  list(path: string): Promise<readonly string[]> {
    return this.#inner.list(path);
  }

  exists(path: string): Promise<boolean> {
    return this.#inner.exists(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#inner.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#inner.remove(path);
  }

  removeFolder(path: string): Promise<void> {
    return this.#inner.removeFolder(path);
  }

  syncFolder(path: string): Promise<void> {
    return this.#inner.syncFolder(path);
  }

  space(path: string): Promise<DiskSpace> {
    return this.#inner.space(path);
  }

  lock(folder: string): Promise<DiskLock> {
    return this.#inner.lock(folder);
  }
}
