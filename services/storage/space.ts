/**
 * Free space, so that staging is refused before the disk is full: what is measured, less what was
 * written since, what open copies have declared and the reserve that drops and compaction live on.
 */
import type { Clock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import type { Disk } from '../disk/disk.ts';
import type { Logger } from '../telemetry/logger.ts';
import { SEGMENT_BYTES_MAX, SPACE_AGE_MS } from './limits.ts';

export interface SpaceOptions {
  /** Of the values, and of the active segment; the two may be on two devices. */
  readonly folders: readonly [data: string, wal: string];
  readonly reserveBytes: number;
  /** Value bytes that the volume may hold; 0: what the disk has. */
  readonly capacityBytes: number;
}

export class Space {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #options: SpaceOptions;
  #freeBytes = 0;
  #walFreeBytes = 0;
  #totalBytes = 0;
  #measuredMs = Number.NEGATIVE_INFINITY;
  #measuring = false;
  /** Declared by open copies and not yet written. */
  #promisedBytes = 0;

  constructor(
    components: { readonly disk: Disk; readonly clock: Clock; readonly logger: Logger },
    options: SpaceOptions,
  ) {
    this.#disk = components.disk;
    this.#clock = components.clock;
    this.#logger = components.logger;
    this.#options = options;
  }

  get capacityBytes(): number {
    return this.#options.capacityBytes > 0 ? this.#options.capacityBytes : this.#totalBytes;
  }

  /** Bytes that may still be staged, with `valueBytes` held. */
  freeBytes(valueBytes: number): number {
    const onDisk = this.#roomBytes - this.#options.reserveBytes - this.#promisedBytes;
    const { capacityBytes } = this.#options;
    const allowed = capacityBytes > 0 ? capacityBytes - valueBytes - this.#promisedBytes : onDisk;
    return Math.max(0, Math.min(onDisk, allowed));
  }

  /**
   * Whoever tells others of the free space asks for a fresh measure: a full volume is offered nothing to
   * stage.
   */
  refresh(): void {
    this.#measureSoon();
  }

  /** @throws KvError `NO_SPACE` when `bytes` more do not fit. */
  admit(bytes: number, valueBytes: number): void {
    this.#measureSoon();
    if (bytes <= this.freeBytes(valueBytes)) return;
    throw new KvError('NO_SPACE', 'the volume has reached its reserve', {
      detail: { wanted: bytes, free: this.freeBytes(valueBytes) },
    });
  }

  promise(bytes: number): void {
    this.#promisedBytes += bytes;
  }

  /** Bytes on their way to the disk. */
  spend(bytes: number): void {
    this.#freeBytes -= bytes;
    this.#walFreeBytes -= bytes;
  }

  /** Measures now; at open, so that the first writer meets the truth. */
  async measure(): Promise<void> {
    const [data, wal] = this.#options.folders;
    const [ofData, ofWal] = await Promise.all([this.#disk.space(data), this.#disk.space(wal)]);
    this.#freeBytes = ofData.freeBytes;
    this.#walFreeBytes = ofWal.freeBytes;
    this.#totalBytes = ofData.totalBytes;
    this.#measuredMs = this.#clock.monotonicMs();
  }

  /** Sealed segments leave the device of the active one: it bounds nothing while a whole one fits. */
  get #roomBytes(): number {
    const isWalRoomy = this.#walFreeBytes - this.#options.reserveBytes >= SEGMENT_BYTES_MAX;
    return isWalRoomy ? this.#freeBytes : Math.min(this.#freeBytes, this.#walFreeBytes);
  }

  #measureSoon(): void {
    if (this.#measuring || this.#clock.monotonicMs() - this.#measuredMs < SPACE_AGE_MS) return;
    this.#measuring = true;
    this.measure().then(
      () => {
        this.#measuring = false;
      },
      (error: unknown) => {
        this.#measuring = false;
        this.#logger.warn({ error: asError(error) }, 'free space could not be measured');
      },
    );
  }
}
