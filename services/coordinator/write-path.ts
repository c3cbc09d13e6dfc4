/**
 * PUT, DELETE and transactions: stage the bytes, collect votes, let one log entry decide. Everything
 * that can be refused cheaply is refused before a byte is read.
 */

import { concatBytes } from '../common/bytes.ts';
import type { Clock } from '../common/clock.ts';
import { digestOf, digestStream } from '../common/digest.ts';
import { asError, KvError } from '../common/errors.ts';
import { blobId, type Digest, NOBODY } from '../common/ids.ts';
import { mintCopyId, type Random } from '../common/random.ts';
import type { Consensus } from '../consensus/types.ts';
import type { Condition } from '../metadata/commands.ts';
import { BodyReader, checkLength, checkLimit } from './body-reader.ts';
import { ByteBudget } from './byte-budget.ts';
import { ChunkStager } from './chunk-stager.ts';
import type { RoundPut } from './commit-round.ts';
import type { Committed, Committer, Running } from './committer.ts';
import type { MutationContext, MutationResult, PutRequest, TransactionOp } from './gateway.ts';
import type { InlineLimit } from './inline-rule.ts';
import { LIMITS } from './limits.ts';
import type { Metadata } from './metadata-port.ts';
import type { WriteMetrics } from './metrics.ts';
import type { Stager } from './stager.ts';
import type { LiveVolume, VolumeClient, VolumeDirectory } from './volume-port.ts';
import { WholeStager } from './whole-stager.ts';
import { commandBytesOf, commandOf, type PlannedOp, putsOf } from './write-plan.ts';
import { requireVolumes, ShardPlaces, writableVolumes } from './write-targets.ts';

export interface WriteComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly volumes: VolumeClient;
  readonly committer: Committer;
  readonly metrics: WriteMetrics;
  readonly inline: InlineLimit;
}

export interface WriteOptions {
  /** Copies that a write aims at. */
  readonly replicas: number;
  /** Copies that a write needs, at most `replicas`. */
  readonly minReplicas: number;
}

/** A large PUT between its first bytes and its answer. */
interface Upload {
  readonly reader: BodyReader;
  readonly request: PutRequest;
  readonly context: MutationContext;
  /** More of its beginning than a small value has. */
  readonly head: Uint8Array;
}

type Planning = Pick<PutRequest, 'key' | 'condition' | 'headers'>;

export class WritePath {
  readonly #components: WriteComponents;
  readonly #options: WriteOptions;
  readonly #places: ShardPlaces;
  readonly #budget = new ByteBudget(LIMITS.writeBytesMax);
  #isStopping = false;

  constructor(components: WriteComponents, options: WriteOptions) {
    this.#components = components;
    this.#options = options;
    this.#places = new ShardPlaces(options.replicas);
  }

  /** Body bytes that requests hold. */
  get heldBytes(): number {
    return this.#budget.used;
  }

  /** From now on new writes are refused with `STOPPING`; those under way go on. */
  beginStop(): void {
    this.#isStopping = true;
  }

  /** @throws KvError `STOPPING`, `NO_LEADER`, `TOO_FEW_VOLUMES`, `NO_SPACE`, `OVERLOADED`. */
  async admit(declaredBytes: number | null, timeoutMs: number): Promise<void> {
    if (!this.#isLed()) await this.#awaitLeader(timeoutMs);
    this.#budget.check(chargeOf(declaredBytes));
    const size = declaredBytes ?? 0;
    // What turns out to be larger is refused once it is known.
    if (this.#components.inline.takes(size)) return;
    const writable = this.#writable();
    const { minReplicas } = this.#options;
    requireVolumes(writable, minReplicas);
    if (writable.filter(({ freeBytes }) => freeBytes >= size).length < minReplicas) {
      throw new KvError('NO_SPACE', 'too few volumes have room for this value', {
        detail: { bytes: size },
      });
    }
  }

  async put(request: PutRequest, context: MutationContext): Promise<MutationResult> {
    if (!this.#isLed()) await this.#awaitLeader(context.timeoutMs);
    checkLimit(request.maxBytes, request.declaredBytes ?? 0);
    const giveBack = this.#budget.take(chargeOf(request.declaredBytes));
    try {
      const { body } = request;
      if (!(body instanceof Uint8Array)) return await this.#putPieces(request, body, context);
      if (body.length > LIMITS.smallBytesMax) {
        return await this.#putPieces(request, onePiece(body), context);
      }
      checkLength(request, body.length);
      return await this.#putSmall(request, body, context);
    } finally {
      giveBack();
    }
  }

  delete(
    key: Uint8Array,
    condition: Condition | null,
    context: MutationContext,
  ): Promise<MutationResult> {
    return this.transact([{ key, condition, body: { kind: 'delete' } }], context);
  }

  async transact(ops: readonly TransactionOp[], context: MutationContext): Promise<MutationResult> {
    if (!this.#isLed()) await this.#awaitLeader(context.timeoutMs);
    const giveBack = this.#budget.take(bytesOf(ops));
    try {
      const planned = this.#planAll(ops);
      requireFits(planned);
      const committed = await this.#run(planned, context, this.#deadline(context)).outcome;
      this.#countInlined(planned);
      return this.#result(committed);
    } finally {
      giveBack();
    }
  }

  async #putPieces(
    request: PutRequest,
    body: AsyncIterable<Uint8Array>,
    context: MutationContext,
  ): Promise<MutationResult> {
    const { clock } = this.#components;
    const patience = { clock, pieceTimeoutMs: LIMITS.pieceTimeoutMs };
    const reader = new BodyReader({ ...request, body }, patience);
    const onAbort = (): void => reader.cancel(new KvError('CLIENT_CLOSED', 'the client has gone'));
    context.signal.addEventListener('abort', onAbort, { once: true });
    if (context.signal.aborted) onAbort();
    try {
      const head = await reader.take(LIMITS.smallBytesMax + 1);
      return await (head.length <= LIMITS.smallBytesMax
        ? this.#putSmall(request, head, context)
        : this.#putLarge({ reader, request, context, head }));
    } catch (error) {
      reader.cancel(asError(error));
      throw error;
    } finally {
      context.signal.removeEventListener('abort', onAbort);
    }
  }

  async #putSmall(
    request: PutRequest,
    data: Uint8Array,
    context: MutationContext,
  ): Promise<MutationResult> {
    const digest = digestOf(data);
    requireDigest(request, digest);
    const planned = [this.#planValue(request, data, digest)];
    const committed = await this.#run(planned, context, this.#deadline(context)).outcome;
    this.#components.metrics.bytesWritten.add(data.length);
    this.#countInlined(planned);
    return this.#result(committed);
  }

  async #putLarge(upload: Upload): Promise<MutationResult> {
    const { request, context } = upload;
    const stager = this.#chunked(request.key, request.declaredBytes ?? 0);
    const planned = [this.#planPut(request, stager)];
    const running = this.#run(planned, context, this.#deadline(context));
    this.#feed(upload, stager, running).catch((error: unknown) => {
      const cause = asError(error);
      const isOurs = cause instanceof KvError;
      running.withdraw(isOurs ? cause : new KvError('INTERNAL', 'the upload failed', { cause }));
    });
    const committed = await running.outcome;
    this.#components.metrics.bytesWritten.add(stager.size);
    return this.#result(committed);
  }

  /**
   * Streams a large body to its volumes; its digest is checked before any stage-end can leave. The
   * time-out bounds each wait for the volumes, not the whole upload: the body reader has the client's.
   */
  async #feed(upload: Upload, stager: ChunkStager, running: Running): Promise<void> {
    const { reader, request, context, head } = upload;
    const hash = digestStream();
    try {
      let chunk = head.subarray(0, LIMITS.chunkBytes);
      let rest = head.subarray(LIMITS.chunkBytes);
      while (chunk.length > 0) {
        hash.update(chunk);
        running.postpone(this.#deadline(context));
        await stager.push(chunk);
        running.postpone(Number.POSITIVE_INFINITY);
        const more = await reader.take(LIMITS.chunkBytes - rest.length);
        chunk = rest.length === 0 ? more : concatBytes([rest, more]);
        rest = rest.subarray(rest.length);
      }
      const digest = hash.finish();
      requireDigest(request, digest);
      running.postpone(this.#deadline(context));
      stager.finish(digest);
    } finally {
      hash.discard();
    }
  }

  #deadline({ timeoutMs }: MutationContext): number {
    return this.#components.clock.monotonicMs() + timeoutMs;
  }

  #run(planned: readonly PlannedOp[], context: MutationContext, deadlineMs: number): Running {
    const { replicas: want, minReplicas: need } = this.#options;
    return this.#components.committer.run(
      {
        need,
        puts: putsOf(planned),
        deadlineMs,
        command: (txnId, votes) => commandOf({ need, want, planned, context }, txnId, votes),
      },
      context.signal,
    );
  }

  /** What all its values together would make of a log entry has a bound, so that others pass by it. */
  #planAll(ops: readonly TransactionOp[]): readonly PlannedOp[] {
    let roomBytes: number = LIMITS.inlineEntryBytesMax;
    return ops.map(({ key, condition, body }) => {
      if (body.kind !== 'put') return { key, condition, body };
      const { data, headers } = body;
      const planned = this.#planValue({ key, condition, headers }, data, digestOf(data), roomBytes);
      if (planned.body.kind === 'inline') roomBytes -= data.length;
      return planned;
    });
  }

  /** A value at hand: to be kept inline where that is wanted and there is room in its entry, else staged. */
  #planValue(
    planning: Planning,
    data: Uint8Array,
    digest: Digest,
    roomBytes: number = LIMITS.inlineEntryBytesMax,
  ): PlannedOp {
    const { key, condition, headers } = planning;
    if (data.length > roomBytes || !this.#components.inline.takes(data.length)) {
      return this.#planPut(planning, this.#atHand(key, data, digest));
    }
    const blobId = this.#mintBlobId();
    return { key, condition, body: { kind: 'inline', blobId, digest, headers, data } };
  }

  #countInlined(planned: readonly PlannedOp[]): void {
    for (const { body } of planned) {
      if (body.kind === 'inline') this.#components.metrics.valuesInlined.add();
    }
  }

  #planPut({ key, condition, headers }: Planning, stager: Stager): PlannedOp {
    const volumes = this.#writable();
    requireVolumes(volumes, this.#options.minReplicas);
    const put: RoundPut = { key, stager, places: this.#places.of(key, volumes) };
    return { key, condition, body: { kind: 'put', put, headers } };
  }

  /** A value at hand: in one message where it fits, else as chunks that all are held. */
  #atHand(key: Uint8Array, data: Uint8Array, digest: Digest): Stager {
    if (data.length <= LIMITS.smallBytesMax) return this.#whole(key, data, digest);
    const stager = this.#chunked(key, data.length);
    for (let at = 0; at < data.length; at += LIMITS.chunkBytes) {
      // Nothing waits for room: the bytes are here already, and counted.
      void stager.push(data.subarray(at, at + LIMITS.chunkBytes));
    }
    stager.finish(digest);
    return stager;
  }

  #whole(owner: Uint8Array, data: Uint8Array, digest: Digest): WholeStager {
    return new WholeStager(this.#components, { blobId: this.#mintBlobId(), owner, data, digest });
  }

  #chunked(owner: Uint8Array, declaredBytes: number): ChunkStager {
    return new ChunkStager(this.#components, {
      blobId: this.#mintBlobId(),
      owner,
      declaredBytes,
    });
  }

  #mintBlobId(): ReturnType<typeof blobId> {
    return blobId(mintCopyId(this.#components.random));
  }

  #writable(): readonly LiveVolume[] {
    return writableVolumes(this.#components, this.#options.minReplicas);
  }

  /** True where nothing speaks against a command now. @throws KvError `STOPPING`. */
  #isLed(): boolean {
    if (this.#isStopping) throw new KvError('STOPPING', 'this coordinator is stopping');
    return this.#components.consensus.leader !== NOBODY;
  }

  /** A leader that hands over or has died is replaced in far less time than a client waits to ask again. */
  #awaitLeader(timeoutMs: number): Promise<void> {
    const { consensus } = this.#components;
    return consensus.awaitLeader(Math.min(timeoutMs, LIMITS.leaderPatienceMs));
  }

  #result({ txnId, outcome }: Committed): MutationResult {
    const { index, results } = outcome;
    return { txnId, index, results, want: this.#options.replicas };
  }
}

function requireDigest({ expectedDigest }: PutRequest, digest: Digest): void {
  if (expectedDigest === null || expectedDigest === digest) return;
  throw new KvError('CHECKSUM_MISMATCH', 'the body does not have the digest that was promised', {
    detail: { expected: expectedDigest, got: digest },
  });
}

/** An entry that no message can carry to a follower would stop the log for ever. */
function requireFits(planned: readonly PlannedOp[]): void {
  const bytes = commandBytesOf(planned);
  const maxBytes = LIMITS.commandBytesMax;
  if (bytes <= maxBytes) return;
  const message =
    'keys, headers and conditions of the transaction are too large together; use fewer operations';
  throw new KvError('TOO_LARGE', message, { detail: { bytes, maxBytes } });
}

async function* onePiece(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(data);
}

const bytesOf = (ops: readonly TransactionOp[]): number =>
  ops.reduce((sum, { body }) => sum + (body.kind === 'put' ? body.data.length : 0), 0);

/** Bytes of memory that a PUT may hold at once: the value, or what is held of a large one. */
function chargeOf(declaredBytes: number | null): number {
  const heldMax = (LIMITS.heldChunksMax + 1) * LIMITS.chunkBytes;
  return Math.min(declaredBytes ?? heldMax, heldMax);
}
