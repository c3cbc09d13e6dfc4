/**
 * Reads pieces of one blob from whichever copy answers. An absent or bad copy is believed only after
 * the record was read again at a fresh barrier: if the blob is still the key's value the copy is
 * reported, if it is not then the caller starts over. Unavailable is never the same as absent. A copy
 * that its disk refuses to read may be whole, and is reported only once another one can replace it.
 */
import type { Clock } from '../common/clock.ts';
import { asError, type ErrorCode, KvError } from '../common/errors.ts';
import type { CopyId, DiskId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import type { Consensus } from '../consensus/types.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Copy, ValueRecord } from '../metadata/records.ts';
import { LIMITS } from './limits.ts';
import type { Metadata } from './metadata-port.ts';
import type { ReadMetrics } from './metrics.ts';
import type { VolumeClient, VolumeDirectory } from './volume-port.ts';

export interface CopyReaderComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly volumes: VolumeClient;
  readonly metrics: ReadMetrics;
}

/** The key's value is another one by now, or none. */
export class ReplacedError extends Error {
  override readonly name = 'ReplacedError';
}

type Trouble = 'bad' | 'unreachable';

const idOf = ({ disk, copyId }: Copy): string => `${disk}/${copyId}`;

export class CopyReader {
  readonly #components: CopyReaderComponents;
  readonly #key: Uint8Array;
  readonly #barrierMs: number;
  #record: ValueRecord;
  #order: readonly Copy[];
  readonly #troubles = new Map<string, Trouble>();
  /** Copies that gave pieces. */
  readonly #served = new Map<string, Copy>();
  /** Copies whose disks refused to read them, until another copy has given what they did not. */
  readonly #refused = new Set<Copy>();
  /** One judgement a copy, shared by all pieces that found it absent or bad. */
  readonly #judgements = new Map<string, Promise<void>>();

  constructor(
    components: CopyReaderComponents,
    value: { readonly key: Uint8Array; readonly record: ValueRecord },
    options: { readonly barrierMs: number },
  ) {
    this.#components = components;
    this.#key = value.key;
    this.#record = value.record;
    this.#barrierMs = options.barrierMs;
    this.#order = nearestFirst(components, value.record.copies);
  }

  /**
   * `length` bytes from `offset`, checked by `isSound` besides the CRC. @throws ReplacedError;
   * KvError `DATA_LOSS` when every copy is absent or bad, `REPLICAS_UNAVAILABLE` when any may yet
   * come back.
   */
  async read(
    offset: number,
    length: number,
    isSound: (data: Uint8Array) => boolean = () => true,
  ): Promise<Uint8Array> {
    for (let copy = this.#next(); copy !== undefined; copy = this.#next()) {
      const data = await this.#tryCopy(copy, { offset, length, isSound });
      if (data !== null) return data;
    }
    throw this.#exhausted();
  }

  /**
   * The whole has another digest although each piece passed its checks. Where one copy gave all the
   * pieces it is to blame; where several did, none can be named.
   */
  blame(): void {
    const [only, ...others] = this.#served.values();
    if (only !== undefined && others.length === 0) this.#suspect(only);
  }

  #next(): Copy | undefined {
    return this.#order.find((copy) => !this.#troubles.has(idOf(copy)));
  }

  async #tryCopy(
    copy: Copy,
    piece: {
      readonly offset: number;
      readonly length: number;
      readonly isSound: (data: Uint8Array) => boolean;
    },
  ): Promise<Uint8Array | null> {
    const { directory, volumes } = this.#components;
    const { offset, length } = piece;
    if (directory.find(copy.disk) === undefined) {
      this.#note(copy, 'unreachable', 'UNAVAILABLE');
      return null;
    }
    try {
      const range = { offset, length, timeoutMs: LIMITS.stallMs };
      const { data, sizeBytes } = await volumes.fetch(copy.disk, copy.copyId, range);
      const isWhole = sizeBytes === this.#record.size && data.length === length;
      if (isWhole && piece.isSound(data)) {
        this.#served.set(idOf(copy), copy);
        this.#reportRefused(copy);
        return data;
      }
      await this.#bad(copy, 'CORRUPT');
    } catch (error) {
      if (error instanceof ReplacedError) throw error;
      await this.#failed(copy, asError(error));
    }
    return null;
  }

  async #failed(copy: Copy, error: Error): Promise<void> {
    const code = error instanceof KvError ? error.code : 'INTERNAL';
    if (code === 'NOT_FOUND' || code === 'CORRUPT') {
      await this.#bad(copy, code);
      return;
    }
    if (code === 'UNREADABLE') this.#refused.add(copy);
    // A full queue says nothing about the disk behind it, nor does one record about all.
    else if (code !== 'OVERLOADED') this.#components.directory.suspect(copy.disk);
    this.#note(copy, 'unreachable', code);
  }

  /** `serving` was read, so what was refused before can be made anew; not from one in trouble itself. */
  #reportRefused(serving: Copy): void {
    if (this.#troubles.has(idOf(serving))) return;
    for (const refused of this.#refused) this.#suspect(refused);
    this.#refused.clear();
  }

  #bad(copy: Copy, code: ErrorCode): Promise<void> {
    const known = this.#judgements.get(idOf(copy));
    if (known !== undefined) return known;
    const judgement = this.#judge(copy, code);
    this.#judgements.set(idOf(copy), judgement);
    return judgement;
  }

  async #judge(copy: Copy, code: ErrorCode): Promise<void> {
    this.#note(copy, 'bad', code);
    const record = await this.#refresh();
    if (record === null) {
      this.#troubles.set(idOf(copy), 'unreachable');
      return;
    }
    if (record?.blobId !== this.#record.blobId) throw new ReplacedError('the value was replaced');
    this.#record = record;
    this.#order = nearestFirst(this.#components, record.copies);
    if (record.copies.some((listed) => idOf(listed) === idOf(copy))) this.#suspect(copy);
  }

  /** The record at a fresh barrier; null where no barrier is to be had. */
  async #refresh(): Promise<ValueRecord | undefined | null> {
    const { consensus, metadata } = this.#components;
    try {
      await consensus.readBarrier(this.#barrierMs);
    } catch {
      return null;
    }
    return metadata.record(this.#key);
  }

  #suspect({ disk, copyId }: { readonly disk: DiskId; readonly copyId: CopyId }): void {
    const { blobId } = this.#record;
    const command = { kind: 'suspect', key: this.#key, blobId, disk, copyId } as const;
    this.#components.consensus.propose(encodeCommand(command), () => undefined);
  }

  #note(copy: Copy, trouble: Trouble, reason: ErrorCode): void {
    this.#troubles.set(idOf(copy), trouble);
    this.#components.metrics.failovers.add(1, { reason });
  }

  #exhausted(): KvError {
    const isLost = this.#record.copies.every((copy) => this.#troubles.get(idOf(copy)) === 'bad');
    const detail = { blobId: this.#record.blobId, copies: this.#record.copies.length };
    return isLost
      ? new KvError('DATA_LOSS', 'every copy of this value is absent or damaged', { detail })
      : new KvError('REPLICAS_UNAVAILABLE', 'no copy of this value can be reached at present', {
          detail,
        });
  }
}

/** Well and staying volumes first, beginning at a random one; then doubtful ones; then the unheard. */
function nearestFirst(
  { directory, random }: Pick<CopyReaderComponents, 'directory' | 'random'>,
  copies: readonly Copy[],
): readonly Copy[] {
  const turn = copies.length === 0 ? 0 : random.below(copies.length);
  const turned = [...copies.slice(turn), ...copies.slice(0, turn)];
  const doubt = ({ disk }: Copy): number => {
    const volume = directory.find(disk);
    if (volume === undefined) return 2;
    return volume.suspected === true || volume.leaving ? 1 : 0;
  };
  return turned.sort((a, b) => doubt(a) - doubt(b));
}
