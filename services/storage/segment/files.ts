/**
 * The segment files of a volume and their open handles. A handle in use is never closed and a removed
 * file lives on for those who read it; besides those, a bounded number stays open, least used first
 * to go.
 */
import { asError, KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import { bufferOf } from '../../common/ids.ts';
import type { Disk, DiskFile } from '../../disk/disk.ts';
import { ASIDE_SUFFIX, publishFile, publishPrepared } from '../../disk/publish.ts';
import { READ_HANDLES_MAX } from '../limits.ts';
import { encodeSegmentHeader, type SegmentHeader } from './header.ts';
import { type Paths, segmentName } from './names.ts';

interface Handle {
  readonly file: Promise<DiskFile>;
  users: number;
  /** Close when the last user leaves. */
  retired: boolean;
}

export class SegmentFiles {
  readonly #disk: Disk;
  readonly #paths: Paths;
  /** In the order of last use. */
  readonly #handles = new Map<number, Handle>();
  #active: { readonly segment: number; readonly file: DiskFile; readonly handle: Handle } | null =
    null;

  constructor(disk: Disk, paths: Paths) {
    this.#disk = disk;
    this.#paths = paths;
  }

  sealedPath(segment: number): string {
    return `${this.#paths.segments}/${segmentName(segment)}`;
  }

  activePath(segment: number): string {
    return `${this.#paths.wal}/${segmentName(segment)}`;
  }

  /** Makes the next active segment: its header is durable before its name is. */
  async createActive(header: SegmentHeader): Promise<DiskFile> {
    const path = this.activePath(header.segment);
    await publishFile(this.#disk, path, [encodeSegmentHeader(header)]);
    return this.openActive(header.segment);
  }

  /** Opens the active segment for writing; reads of it share the handle. */
  async openActive(segment: number): Promise<DiskFile> {
    if (this.#active?.segment === segment) return this.#active.file;
    const file = await this.#disk.open(this.activePath(segment), 'write');
    const handle = { file: Promise.resolve(file), users: 0, retired: false };
    this.#active = { segment, file, handle };
    return file;
  }

  /** Moves the active segment, written and synced, among the sealed ones. */
  async sealActive(): Promise<void> {
    if (this.#active === null) return;
    const { segment, handle } = this.#active;
    const moved = await this.#moveToSealed(segment);
    this.#active = null;
    if (moved === 'copied') {
      // The old file has no name any more: it would take space on the device of the log as long as it is open.
      this.#retire(segment, handle);
      return;
    }
    this.#handles.set(segment, handle);
    this.#trim();
  }

  /** Renames, or where the folders are on two devices copies, a complete segment from wal to data. */
  async #moveToSealed(segment: number): Promise<'renamed' | 'copied'> {
    const from = this.activePath(segment);
    const to = this.sealedPath(segment);
    try {
      await publishPrepared(this.#disk, from, to);
      return 'renamed';
    } catch (error) {
      if (!isCrossDevice(error)) throw error;
    }
    await this.#copy(from, to + ASIDE_SUFFIX);
    await publishPrepared(this.#disk, to + ASIDE_SUFFIX, to);
    await this.#disk.remove(from);
    await this.#disk.syncFolder(this.#paths.wal);
    return 'copied';
  }

  /** Runs `work` with a handle that stays open until it ends. @throws KvError `NOT_FOUND`. */
  async use<T>(segment: number, work: (file: DiskFile) => Promise<T>): Promise<T> {
    const handle = this.#active?.segment === segment ? this.#active.handle : this.#handle(segment);
    handle.users += 1;
    try {
      return await work(await handle.file);
    } catch (error) {
      if (await isRejected(handle.file)) this.#retire(segment, handle);
      throw error;
    } finally {
      handle.users -= 1;
      if (handle.retired && handle.users === 0) void closeQuietly(handle.file);
    }
  }

  /** Bytes from `offset`: fewer where the file ends. */
  read(segment: number, offset: number, length: number): Promise<Buffer> {
    return this.use(segment, async (file) => bufferOf(await file.read(offset, length)));
  }

  size(segment: number): Promise<number> {
    return this.use(segment, (file) => file.size());
  }

  /** Removes sealed segments, durably once resolved; those who read them go on reading. */
  async remove(segments: readonly number[]): Promise<void> {
    for (const segment of segments) {
      await this.#disk.remove(this.sealedPath(segment));
      failpoint('compaction.removing');
      const handle = this.#handles.get(segment);
      if (handle !== undefined) this.#retire(segment, handle);
    }
    await this.#disk.syncFolder(this.#paths.segments);
  }

  async close(): Promise<void> {
    await this.#active?.file.close();
    this.#active = null;
    for (const [segment, handle] of [...this.#handles]) this.#retire(segment, handle);
  }

  #handle(segment: number): Handle {
    const known = this.#handles.get(segment);
    const file = known?.file ?? this.#disk.open(this.sealedPath(segment), 'read');
    const handle = known ?? { file, users: 0, retired: false };
    this.#handles.delete(segment);
    this.#handles.set(segment, handle);
    if (known === undefined) this.#trim();
    return handle;
  }

  #trim(): void {
    for (const [segment, handle] of this.#handles) {
      if (this.#handles.size <= READ_HANDLES_MAX) return;
      this.#retire(segment, handle);
    }
  }

  #retire(segment: number, handle: Handle): void {
    if (this.#handles.get(segment) === handle) this.#handles.delete(segment);
    if (handle.retired) return;
    handle.retired = true;
    if (handle.users === 0) void closeQuietly(handle.file);
  }

  async #copy(from: string, to: string): Promise<void> {
    await this.#disk.remove(to);
    const source = await this.#disk.open(from, 'read');
    const target = await this.#disk.open(to, 'create');
    try {
      const size = await source.size();
      for (let at = 0; at < size; ) {
        const bytes = await source.read(at, COPY_STEP_BYTES);
        await target.write(at, [bytes]);
        at += bytes.length;
      }
      await target.sync();
    } finally {
      await source.close();
      await target.close();
    }
  }
}

const COPY_STEP_BYTES = 1024 * 1024;

function isCrossDevice(error: unknown): boolean {
  const cause = error instanceof KvError ? error.cause : error;
  return cause instanceof Error && 'code' in cause && cause.code === 'EXDEV';
}

const isRejected = (file: Promise<DiskFile>): Promise<boolean> =>
  file.then(
    () => false,
    () => true,
  );

/** A handle that was only read loses nothing by a failed close. */
async function closeQuietly(file: Promise<DiskFile>): Promise<void> {
  try {
    await (await file).close();
  } catch (error) {
    asError(error);
  }
}
