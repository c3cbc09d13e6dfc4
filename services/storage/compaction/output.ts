/**
 * The segment that compaction writes: aside, record by record, with places of its own. It is complete
 * and synced before it gets its name. Where nothing lives nothing is written, and no room is needed.
 */
import { failpoint } from '../../common/failpoint.ts';
import type { Disk, DiskFile } from '../../disk/disk.ts';
import { ASIDE_SUFFIX, publishPrepared } from '../../disk/publish.ts';
import { SCAN_WINDOW_BYTES } from '../limits.ts';
import { type Draft, draft, KIND, NO_COPY, recordBytesOf } from '../record.ts';
import { encodeBatch } from '../segment/batch.ts';
import {
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from '../segment/header.ts';

export class CompactionOutput {
  readonly header: SegmentHeader;
  readonly #disk: Disk;
  readonly #path: string;
  #file: DiskFile | null = null;
  #written = SEGMENT_HEADER_BYTES;
  #waiting: Draft[] = [];
  #waitingBytes = 0;

  constructor(disk: Disk, options: { readonly path: string; readonly header: SegmentHeader }) {
    this.#disk = disk;
    this.#path = options.path;
    this.header = options.header;
  }

  get bytes(): number {
    return this.#written + this.#waitingBytes;
  }

  /** Begins the file, where the first write has not. */
  async open(): Promise<DiskFile> {
    if (this.#file !== null) return this.#file;
    await this.#disk.remove(this.#path + ASIDE_SUFFIX);
    this.#file = await this.#disk.open(this.#path + ASIDE_SUFFIX, 'create');
    await this.#file.write(0, [encodeSegmentHeader(this.header)]);
    failpoint('compaction.begun');
    return this.#file;
  }

  /** Adds a record; answers the offset that it will have. */
  add(record: Draft): number {
    const offset = this.bytes;
    this.#waiting.push(record);
    this.#waitingBytes += recordBytesOf(record);
    return offset;
  }

  /** What waits is worth a write. */
  get isLarge(): boolean {
    return this.#waitingBytes >= SCAN_WINDOW_BYTES;
  }

  /** Writes what waits. */
  async flush(): Promise<void> {
    const { segment, salt } = this.header;
    const place = { segment, salt, offset: this.#written, syncedTo: SEGMENT_HEADER_BYTES };
    const { parts, bytes } = encodeBatch(this.#waiting, place);
    this.#waiting = [];
    this.#waitingBytes = 0;
    const file = await this.open();
    await file.write(this.#written, parts);
    this.#written += bytes;
  }

  /** Seals and syncs the file; it still has no name. */
  async finish(): Promise<void> {
    this.add(draft(KIND.seal, NO_COPY));
    await this.flush();
    await this.#file?.sync();
    await this.#file?.close();
    this.#file = null;
  }

  publish(): Promise<void> {
    return publishPrepared(this.#disk, this.#path + ASIDE_SUFFIX, this.#path);
  }

  async discard(): Promise<void> {
    await this.#file?.close();
    this.#file = null;
    await this.#disk.remove(this.#path + ASIDE_SUFFIX);
  }
}
