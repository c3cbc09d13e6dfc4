/**
 * GET, HEAD, listings and transaction look-ups. The linearization point is the look-up of the record
 * at a barrier confirmed after the request came; the bytes follow from the record alone, since a
 * blob never changes under its id.
 */
import type { Clock } from '../common/clock.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { birthOf, type LogIndex, type TxnId } from '../common/ids.ts';
import { signRedirect, TOKEN_LIFE_MS } from '../common/redirect-token.ts';
import type { BlobCache } from './blob-cache.ts';
import { ByteBudget } from './byte-budget.ts';
import { CopyReader, type CopyReaderComponents, ReplacedError } from './copy-reader.ts';
import type {
  ByteRange,
  Found,
  ListRequest,
  OpenedValue,
  Page,
  ReadContext,
  Redirect,
  TxnAnswer,
} from './gateway.ts';
import { LIMITS } from './limits.ts';
import { PieceReader } from './piece-reader.ts';

export interface ReadComponents extends CopyReaderComponents {
  readonly clock: Clock;
  readonly cache: BlobCache;
  /** Asks for marks to be advanced: somebody waits for a decision. */
  readonly hintAdvance: () => void;
}

/** A value to be read; range null: all of it. */
export interface Opening {
  readonly found: Found;
  readonly range: ByteRange | null;
  readonly key: Uint8Array;
}

/** How often a read may find its value replaced before it gives up. */
const START_OVER_MAX = 8;

export class ReadPath {
  readonly #components: ReadComponents;
  readonly #budget = new ByteBudget(LIMITS.readBytesMax);

  constructor(components: ReadComponents) {
    this.#components = components;
  }

  /** @throws KvError `KEY_NOT_FOUND`, `NO_LEADER`, `DEADLINE_EXCEEDED`. */
  async find(key: Uint8Array, context: ReadContext): Promise<Found> {
    await this.#reach(context);
    return this.#look(key);
  }

  /** See `Gateway.open`. */
  async open({ found, range, key }: Opening, context: ReadContext): Promise<OpenedValue> {
    let current = found;
    for (let attempt = 0; attempt < START_OVER_MAX; attempt += 1) {
      try {
        return await this.#openOnce({ found: current, range, key }, context);
      } catch (error) {
        if (!(error instanceof ReplacedError)) throw error;
        // The barrier was fresh when the replacement was seen.
        current = this.#look(key);
      }
    }
    throw new KvError('REPLICAS_UNAVAILABLE', 'the value is replaced faster than it can be read');
  }

  redirect({ record }: Found): Redirect | null {
    if (record.data !== null) return null;
    const { clock, directory, metadata } = this.#components;
    const live = record.copies.flatMap((copy) => {
      const volume = directory.find(copy.disk);
      return volume === undefined ? [] : [{ copy, volume }];
    });
    const best = live.find(({ volume }) => volume.suspected !== true && !volume.leaving) ?? live[0];
    if (best === undefined) {
      throw new KvError('REPLICAS_UNAVAILABLE', 'no volume with a copy can be reached at present');
    }
    const { disk, copyId } = best.copy;
    const expiresMs = clock.wallMs() + TOKEN_LIFE_MS;
    const token = signRedirect(metadata.cluster.redirectKey, { copyId, disk, expiresMs });
    const query = `disk=${disk}&expires=${expiresMs}&token=${token}`;
    return { url: `http://${best.volume.httpAddress}/blob/${copyId}?${query}` };
  }

  async list(request: ListRequest, context: ReadContext): Promise<Page> {
    await this.#reach(context);
    return this.#components.metadata.list(request);
  }

  async transaction(txnId: TxnId, timeoutMs: number): Promise<TxnAnswer> {
    const { consensus, metadata, hintAdvance } = this.#components;
    await consensus.readBarrier(timeoutMs);
    const outcome = metadata.outcome(txnId);
    if (outcome !== undefined) return { kind: 'decided', outcome };
    const birth = birthOf(txnId);
    if (birth < metadata.marks.forget) return { kind: 'unknown' };
    if (birth < metadata.marks.fence) return { kind: 'not-applied' };
    hintAdvance();
    return { kind: 'pending' };
  }

  /** Waits until the applied state is new enough for this read. */
  async #reach({ consistency, minIndex, timeoutMs }: ReadContext): Promise<void> {
    const { clock, consensus, metadata } = this.#components;
    const startedMs = clock.monotonicMs();
    if (consistency === 'linearizable') await consensus.readBarrier(timeoutMs);
    if (minIndex <= metadata.appliedIndex) return;
    const leftMs = Math.max(0, timeoutMs - (clock.monotonicMs() - startedMs));
    await consensus.waitApplied(minIndex, leftMs);
  }

  #look(key: Uint8Array): Found {
    const { metadata } = this.#components;
    const record = metadata.record(key);
    const readIndex: LogIndex = metadata.appliedIndex;
    if (record !== undefined) return { record, readIndex };
    throw new KvError('KEY_NOT_FOUND', 'there is no such key', {
      detail: { raftIndex: readIndex },
    });
  }

  async #openOnce({ found, range, key }: Opening, context: ReadContext): Promise<OpenedValue> {
    const { record } = found;
    const wanted = checkRange(range, record.size);
    if (record.data !== null) return this.#opened(found, record.data, wanted);
    const readCopies = (): CopyReader =>
      new CopyReader(this.#components, { key, record }, { barrierMs: context.timeoutMs });
    if (record.size <= LIMITS.pieceBytes) {
      return this.#opened(found, await this.#whole(found, readCopies), wanted);
    }
    const { metrics } = this.#components;
    const pieces = new PieceReader({ copies: readCopies(), budget: this.#budget, metrics }, wanted);
    try {
      // Before the caller has begun to answer, a read may still start over or fail cleanly.
      const first = await pieces.next();
      return { found, body: pieces.from(first, range === null ? record : null), whole: null };
    } catch (error) {
      pieces.close();
      throw error;
    }
  }

  #opened(found: Found, data: Uint8Array, { offset, length }: ByteRange): OpenedValue {
    const part = data.subarray(offset, offset + length);
    this.#components.metrics.bytesRead.add(length);
    return { found, body: once(part), whole: part };
  }

  /** A value of one piece, digest-checked: from the cache, or from a copy and into the cache. */
  async #whole({ record }: Found, readCopies: () => CopyReader): Promise<Uint8Array> {
    const { cache } = this.#components;
    // The record says all there is to know of an empty value.
    if (record.size === 0) return new Uint8Array(0);
    const cached = cache.find(record.blobId);
    if (cached !== undefined) return cached;
    const giveBack = this.#budget.take(record.size);
    try {
      const isWhole = (data: Uint8Array): boolean => digestOf(data) === record.digest;
      const data = await readCopies().read(0, record.size, isWhole);
      cache.insert(record.blobId, data);
      return data;
    } finally {
      giveBack();
    }
  }
}

/** @throws KvError `INVALID_RANGE`. */
function checkRange(range: ByteRange | null, size: number): ByteRange {
  if (range === null) return { offset: 0, length: size };
  const { offset, length } = range;
  if (offset >= 0 && length >= 0 && offset + length <= size) return range;
  throw new KvError('INVALID_RANGE', 'the range lies outside of the value', { detail: { size } });
}

async function* once(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(data);
}
