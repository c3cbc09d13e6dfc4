/** A gateway with its write path and read path over volumes and a log in memory, on a manual clock. */
import { concatBytes, utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { diskId, logIndex } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { BlobCache } from '../coordinator/blob-cache.ts';
import { Committer } from '../coordinator/committer.ts';
import type {
  MutationContext,
  MutationResult,
  OpenedValue,
  PutRequest,
  ReadContext,
} from '../coordinator/gateway.ts';
import { GatewayCore } from '../coordinator/gateway-core.ts';
import type { CoordinatorMetrics } from '../coordinator/metrics.ts';
import { ReadPath } from '../coordinator/read-path.ts';
import { Settler } from '../coordinator/settler.ts';
import { WritePath } from '../coordinator/write-path.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { FakeConsensus } from './fake-consensus.ts';
import { FakeVolumes } from './fake-volumes.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryMetadata } from './memory-metadata.ts';

const count = { add: () => undefined };
export const noMetrics: CoordinatorMetrics = {
  bytesWritten: count,
  valuesInlined: count,
  bytesRead: count,
  failovers: count,
  helloRefusals: count,
  copiesRepaired: count,
  bytesRepaired: count,
  copiesReclaimed: count,
  copiesChecked: count,
  copiesMissing: count,
  commit: { seconds: { observe: () => undefined } },
  audit: { digestsAgreed: count, digestMismatches: count, scrubs: count, diverged: count },
};

/** How something ended: its value, or the code of its error. */
export type End<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'failed'; readonly code: string; readonly error: KvError }
  | { readonly kind: 'pending' };

export class CoordinatorWorld {
  readonly clock = new ManualClock();
  readonly random = seededRandom(7);
  readonly logger = silentLogger;
  readonly metrics = noMetrics;
  readonly metadata = new MemoryMetadata();
  readonly consensus = new FakeConsensus(this.clock, this.metadata);
  readonly volumes = new FakeVolumes(this.clock);
  readonly directory = this.volumes;
  readonly cache = new BlobCache({ bytesMax: 2 ** 20 });
  readonly settler = new Settler(this);
  readonly committer = new Committer(this);
  /** Largest value that is kept inline; none, unless a test sets it. */
  inlineMaxBytes = -1;
  readonly inline = { takes: (bytes: number): boolean => bytes <= this.inlineMaxBytes };
  readonly writes: WritePath;
  readonly gateway: GatewayCore;
  hints = 0;

  constructor(options: { volumes?: number; replicas?: number; minReplicas?: number } = {}) {
    const { volumes = 3, replicas = 3, minReplicas = 2 } = options;
    for (let disk = 1; disk <= volumes; disk += 1) this.register(disk, true);
    this.writes = new WritePath(this, { replicas, minReplicas });
    const hintAdvance = (): void => {
      this.hints += 1;
    };
    const { clock, random, consensus, metadata, directory, cache, metrics } = this;
    const reads = new ReadPath({
      clock,
      random,
      consensus,
      metadata,
      directory,
      volumes: this.volumes,
      cache,
      metrics,
      hintAdvance,
    });
    this.gateway = new GatewayCore({ writes: this.writes, reads, metadata });
    this.committer.start();
  }

  /** Begins a session of the disk; `isNew`: its first one. */
  register(disk: number, isNew = false): void {
    this.consensus.apply({
      kind: 'register',
      disk: diskId(isNew ? 0 : disk),
      volume: `volume-${disk}`,
      boots: (this.metadata.disk(diskId(disk))?.boots ?? 0) + 1,
      nonce: `nonce-${disk}-${this.metadata.appliedIndex}`,
      clean: true,
      zone: null,
      capacityBytes: 2 ** 40,
    });
    const session = this.metadata.disk(diskId(disk))?.session;
    if (session === undefined) throw new Error('not registered');
    if (isNew) this.volumes.add(disk, session);
    else this.volumes.at(disk).session = session;
  }

  mutation(more: Partial<MutationContext> = {}): MutationContext {
    return {
      requestId: 'r',
      principal: 'p',
      idempotencyKey: null,
      signal: new AbortController().signal,
      timeoutMs: 5000,
      ...more,
    };
  }

  reading(more: Partial<ReadContext> = {}): ReadContext {
    return {
      consistency: 'linearizable',
      minIndex: logIndex(0),
      signal: new AbortController().signal,
      timeoutMs: 2000,
      ...more,
    };
  }

  put(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    more: Partial<PutRequest> & { context?: Partial<MutationContext> } = {},
  ): Promise<MutationResult> {
    const { context, ...request } = more;
    return this.gateway.put(
      {
        key: utf8(key),
        condition: null,
        headers: [],
        declaredBytes: null,
        body: body instanceof Uint8Array ? pieces(body) : body,
        expectedDigest: null,
        maxBytes: 2 ** 30,
        ...request,
      },
      this.mutation(context),
    );
  }

  /** Reads a whole value. */
  async get(key: string, more: Partial<ReadContext> = {}): Promise<Uint8Array> {
    return drain(await this.open(key, more));
  }

  async open(key: string, more: Partial<ReadContext> = {}): Promise<OpenedValue> {
    const context = this.reading(more);
    const found = await this.gateway.find(utf8(key), context);
    return this.gateway.open(found, null, utf8(key), context);
  }

  /** Runs `promise` for `ms` of the clock and tells how far it came. */
  async end<T>(promise: Promise<T>, ms = 0): Promise<End<T>> {
    let end: End<T> = { kind: 'pending' };
    promise.then(
      (value) => {
        end = { kind: 'done', value };
      },
      (error: unknown) => {
        if (!(error instanceof KvError)) throw error;
        end = { kind: 'failed', code: error.code, error };
      },
    );
    await this.clock.advance(ms);
    await this.settle();
    return end;
  }

  /** Lets everything come to rest: a turn of the real loop ends promise chains of any length. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 16; turns += 1) {
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      await this.clock.flush();
    }
  }

  /** The value of what must succeed within `ms`. */
  async done<T>(promise: Promise<T>, ms = 0): Promise<T> {
    const end = await this.end(promise, ms);
    if (end.kind === 'done') return end.value;
    throw new Error(end.kind === 'failed' ? `${end.code}: ${end.error.message}` : 'still pending');
  }

  /** The code of what must fail within `ms`. */
  async code(promise: Promise<unknown>, ms = 0): Promise<string> {
    const end = await this.end(promise, ms);
    return end.kind === 'failed' ? end.code : end.kind;
  }
}

/** A prime, so that the pattern repeats at no round offset. */
const PATTERN_BYTES = 65_521;

/** `count` bytes that differ by seed. */
export function patterned(count: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(count);
  bytes.set(seededRandom(seed).bytes(Math.min(count, PATTERN_BYTES)));
  for (let at = PATTERN_BYTES; at < count; at += PATTERN_BYTES) {
    bytes.copyWithin(at, 0, Math.min(PATTERN_BYTES, count - at));
  }
  return bytes;
}

/** A body in pieces of 100 KiB. */
export async function* pieces(data: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += 100 * 1024) yield data.subarray(at, at + 100 * 1024);
}

/** Reads a body to its end. */
export async function drain(opened: OpenedValue): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of opened.body) parts.push(part);
  return concatBytes(parts);
}

/** A body that the test feeds by hand. */
export class HandBody implements AsyncIterable<Uint8Array> {
  readonly #queue: (Uint8Array | Error | null)[] = [];
  #wake: () => void = () => undefined;
  isReturned = false;

  push(next: Uint8Array | Error | null): void {
    this.#queue.push(next);
    this.#wake();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.isReturned = true;
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    while (this.#queue.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const next = this.#queue.shift() ?? null;
    if (next instanceof Error) throw next;
    return next === null ? { done: true, value: undefined } : { done: false, value: next };
  }
}
