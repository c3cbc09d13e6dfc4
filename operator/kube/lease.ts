/**
 * Which of several operators may act: the algorithm of client-go on one Lease, with times long enough that
 * one slow write does not end a term.
 *
 * A holder that does not renew loses the Lease after `durationMs` as others measure it, on their own
 * monotonic clocks and from when they last saw the record change; nobody's wall clock decides. The holder
 * gives up earlier, `renewDeadlineMs` after it sent the last write that succeeded, so the two never overlap
 * unless its process stands still between a check and an act: what is then still on its way is met by the
 * epoch, by preconditions and by disruption budgets.
 */
import { type Clock, sleep } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import type { Random } from '../../services/common/random.ts';
import { SECOND_MS } from '../../services/common/units.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import { fieldOf, textOf } from './json.ts';
import { KINDS } from './kinds.ts';
import { KubeError } from './kube-error.ts';
import type { LeaseMetrics } from './metrics.ts';
import { microTime } from './micro-time.ts';
import type { Kube, KubeObject, ObjectKey } from './types.ts';

export interface LeaseComponents {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: LeaseMetrics;
}

export interface LeaseTimes {
  /** Without a renewal for this long the Lease is anybody's. */
  readonly durationMs: number;
  /** Without a renewal for this long the holder no longer acts. */
  readonly renewDeadlineMs: number;
  /** Between two attempts to renew or to take. */
  readonly retryMs: number;
}

export interface LeaseOptions extends LeaseTimes {
  readonly key: ObjectKey;
  /** Of this process and no other, ever: a restart is another holder. */
  readonly identity: string;
}

export const LEASE_TIMES: LeaseTimes = {
  durationMs: 60 * SECOND_MS,
  renewDeadlineMs: 40 * SECOND_MS,
  retryMs: 5 * SECOND_MS,
};

/** The Lease is not this process's any more, or may not be. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

/** A term of leadership. */
export interface Leadership {
  /**
   * Grows with every term, also over a Lease that was deleted and from one Lease to another: the second in
   * which it was acquired, by the holder's wall clock, times 2^20 plus its transitions. A number below 2^53.
   */
  readonly epoch: number;
  /** Aborts when the term is over, with a `LeaseLostError`. */
  readonly signal: AbortSignal;
  /** Whether the term lasts by the monotonic clock, also when the process has just stood still. */
  readonly isFresh: boolean;
  /** To be asked right before an act that must not be done by two. @throws LeaseLostError. */
  assertFresh(): void;
  /**
   * Ends the term and hands the Lease back, so that another need not wait for it to run out. Of a term that
   * is over only the end is waited for: what was lost is not given.
   */
  release(): Promise<void>;
}

/** The record as last seen, and when it was first seen so. */
interface Observed {
  readonly version: string | undefined;
  readonly sinceMs: number;
}

export class LeaderLease {
  readonly #parts: LeaseComponents;
  readonly #options: LeaseOptions;
  #observed: Observed | null = null;

  constructor(parts: LeaseComponents, options: LeaseOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Waits, for as long as it takes, until this process holds the Lease. Rejects when `signal` aborts. */
  async acquire(signal: AbortSignal): Promise<Leadership> {
    const { clock, random, logger } = this.#parts;
    const { retryMs, identity } = this.#options;
    for (;;) {
      const sentMs = clock.monotonicMs();
      try {
        const held = await this.#tryTake(signal);
        if (held !== null) {
          logger.info({ identity, epoch: epochOf(held) }, 'lease acquired');
          return this.#lead(held, sentMs);
        }
      } catch (thrown) {
        signal.throwIfAborted();
        logger.warn({ error: asError(thrown) }, 'lease cannot be taken');
      }
      // Two that wait do not try in step.
      await sleep(clock, retryMs + random.below(Math.max(1, Math.ceil(retryMs / 5))), signal);
    }
  }

  /** The Lease if it is ours now; null while it is somebody else's. */
  async #tryTake(signal: AbortSignal): Promise<KubeObject | null> {
    const { kube, clock } = this.#parts;
    const { key, durationMs } = this.#options;
    const call = { signal, deadlineMs: this.#attemptMs };
    const found = await kube.get(KINDS.lease, key, call);
    if (found === null) return this.#create(call);
    const { sinceMs } = this.#observe(found);
    const holder = holderOf(found);
    // Ours: an earlier write arrived without its answer.
    const isOpen = holder === '' || holder === this.#options.identity;
    const isFree = isOpen || clock.monotonicMs() >= sinceMs + durationMs;
    if (!isFree) return null;
    const spec = this.#spec({
      // A holder whose wall clock is behind does not take the epoch back.
      acquireTime: microTime(Math.max(clock.wallMs(), acquiredMs(found))),
      leaseTransitions: transitionsOf(found) + 1,
    });
    return this.#unlessConflict(kube.replace(KINDS.lease, { ...found, spec }, call));
  }

  #observe(found: KubeObject): Observed {
    const seen = this.#observed;
    if (seen !== null && seen.version === found.metadata.resourceVersion) return seen;
    const { clock } = this.#parts;
    const now = { version: found.metadata.resourceVersion, sinceMs: clock.monotonicMs() };
    this.#observed = now;
    return now;
  }

  #create(call: { signal: AbortSignal; deadlineMs: number }): Promise<KubeObject | null> {
    const { apiVersion, kind } = KINDS.lease;
    const spec = this.#spec({ acquireTime: this.#now(), leaseTransitions: 0 });
    const object = { apiVersion, kind, metadata: { ...this.#options.key }, spec };
    return this.#unlessConflict(this.#parts.kube.create(KINDS.lease, object, call));
  }

  /** Another was faster: null, and look again. */
  async #unlessConflict(write: Promise<KubeObject>): Promise<KubeObject | null> {
    try {
      return await write;
    } catch (error) {
      if (error instanceof KubeError && error.code === 409) return null;
      throw error;
    }
  }

  #lead(held: KubeObject, sentMs: number): Leadership {
    const { clock, metrics } = this.#parts;
    const { renewDeadlineMs } = this.#options;
    const term: Term = { held, sentMs, over: new AbortController(), isReleased: false };
    metrics.leading.set(1);
    const isFresh = (): boolean =>
      !term.over.signal.aborted && clock.monotonicMs() < term.sentMs + renewDeadlineMs;
    const ended = this.#renew(term).then(() =>
      term.isReleased ? this.#handBack(term) : undefined,
    );
    return {
      epoch: epochOf(held),
      signal: term.over.signal,
      get isFresh() {
        return isFresh();
      },
      assertFresh: () => {
        if (!isFresh()) throw new LeaseLostError('the lease is not fresh');
      },
      release: () => {
        term.isReleased ||= !term.over.signal.aborted;
        this.#end(term, 'the lease is released');
        return ended;
      },
    };
  }

  /** Renews until the term is over, one way or another. */
  async #renew(term: Term): Promise<void> {
    const { clock, logger } = this.#parts;
    const { renewDeadlineMs, retryMs } = this.#options;
    const { signal } = term.over;
    // A watch of its own: an attempt that hangs must not keep the term alive.
    let deadline = clock.after(renewDeadlineMs, () => this.#end(term, 'not renewed in time'));
    while (!signal.aborted) {
      await sleep(clock, retryMs, signal).catch(() => undefined);
      if (signal.aborted) break;
      const sentMs = clock.monotonicMs();
      try {
        term.held = await this.#renewOnce(term, signal);
        term.sentMs = sentMs;
        deadline.cancel();
        const leftMs = sentMs + renewDeadlineMs - clock.monotonicMs();
        deadline = clock.after(leftMs, () => this.#end(term, 'not renewed in time'));
      } catch (thrown) {
        if (signal.aborted) break;
        if (thrown instanceof LeaseLostError) this.#end(term, thrown.message);
        else logger.warn({ error: asError(thrown) }, 'lease not renewed');
      }
    }
    deadline.cancel();
  }

  async #renewOnce(term: Term, signal: AbortSignal): Promise<KubeObject> {
    const { kube, clock, metrics } = this.#parts;
    const call = { signal, deadlineMs: this.#attemptMs };
    const startMs = clock.monotonicMs();
    const renewed = (object: KubeObject): KubeObject => ({
      ...object,
      spec: this.#spec({
        acquireTime: acquireTimeOf(object),
        leaseTransitions: transitionsOf(object),
      }),
    });
    try {
      return await kube.replace(KINDS.lease, renewed(term.held), call);
    } catch (error) {
      if (!(error instanceof KubeError && (error.isConflict || error.isNotFound))) throw error;
    } finally {
      metrics.renewals.observe((clock.monotonicMs() - startMs) / SECOND_MS);
    }
    // An earlier write may have arrived without its answer; then the record is still ours.
    const found = await kube.get(KINDS.lease, this.#options.key, call);
    const isOurs =
      found !== null &&
      found.metadata.uid === term.held.metadata.uid &&
      holderOf(found) === this.#options.identity;
    if (!isOurs) throw new LeaseLostError('another holds the lease');
    return kube.replace(KINDS.lease, renewed(found), call);
  }

  #end(term: Term, message: string): void {
    if (term.over.signal.aborted) return;
    this.#parts.metrics.leading.set(0);
    this.#parts.logger.info(
      { identity: this.#options.identity, reason: message },
      'lease given up',
    );
    term.over.abort(new LeaseLostError(message));
  }

  /** Best effort: if it fails, the Lease runs out by itself. */
  async #handBack(term: Term): Promise<void> {
    const { kube, logger } = this.#parts;
    const call = { signal: new AbortController().signal, deadlineMs: this.#attemptMs };
    const spec = {
      leaseDurationSeconds: 1,
      holderIdentity: '',
      leaseTransitions: transitionsOf(term.held),
      acquireTime: acquireTimeOf(term.held),
      renewTime: this.#now(),
    };
    try {
      await kube.replace(KINDS.lease, { ...term.held, spec }, call);
    } catch (thrown) {
      logger.info({ error: asError(thrown) }, 'lease not handed back');
    }
  }

  #spec(term: { readonly acquireTime: string; readonly leaseTransitions: number }) {
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.ceil(this.#options.durationMs / SECOND_MS),
      ...term,
      renewTime: this.#now(),
    };
  }

  #now(): string {
    return microTime(this.#parts.clock.wallMs());
  }

  /** Four attempts fit before the holder must give up. */
  get #attemptMs(): number {
    return this.#options.renewDeadlineMs / 4;
  }
}

interface Term {
  held: KubeObject;
  /** When the last write that succeeded was sent. */
  sentMs: number;
  readonly over: AbortController;
  /** Given up while it was held: it is to be handed back. */
  isReleased: boolean;
}

const holderOf = (lease: KubeObject): string => textOf(fieldOf(lease, 'spec', 'holderIdentity'));

const transitionsOf = (lease: KubeObject): number =>
  Number(fieldOf(lease, 'spec', 'leaseTransitions') ?? 0);

const acquireTimeOf = (lease: KubeObject): string => textOf(fieldOf(lease, 'spec', 'acquireTime'));

const TRANSITIONS_MAX = 2 ** 20;
/** In the year 2106: a later time is nobody's clock, and its epoch would be no safe integer one day. */
const ACQUIRED_MS_MAX = 2 ** 32 * SECOND_MS;

/**
 * When the Lease was last acquired, in wall time. Never before its creation, which stands in for a time
 * that is not there or cannot be read, as another writer may leave it.
 */
function acquiredMs(lease: KubeObject): number {
  const createdMs = Date.parse(lease.metadata.creationTimestamp ?? '');
  const notedMs = Date.parse(acquireTimeOf(lease));
  return notedMs < ACQUIRED_MS_MAX ? Math.max(createdMs, notedMs) : createdMs;
}

/** By the acquisition and not the creation: a Lease that was left somewhere may be older than one that has gone. */
const epochOf = (lease: KubeObject): number =>
  Math.floor(acquiredMs(lease) / SECOND_MS) * TRANSITIONS_MAX + transitionsOf(lease);
