/**
 * Keeps a store equal to what the API server has of one kind, and tells each difference once.
 *
 *     list (pages of 500) -> diff by uid -> watch from its version -> ... -> watch from the last version
 *      ^                                      |                                |
 *      +------------- 410, or drift ----------+--------------------------------+
 *
 * A watch may end, break, fall silent or lie, so nothing is believed for long: bookmarks feed a watchdog,
 * a cut line is a failure, and every ten minutes a list is compared with what is stored. Each run has its
 * own signal; a run that was stopped can no longer touch the store, whatever it still waits for.
 */
import { type Clock, sleep } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import type { Random } from '../../services/common/random.ts';
import { MINUTE_MS, SECOND_MS } from '../../services/common/units.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import { Audit } from './audit.ts';
import { KubeError } from './kube-error.ts';
import type { ReflectorMetrics } from './metrics.ts';
import { keyOf } from './object.ts';
import { ObjectStore } from './object-store.ts';
import type { Kind, Kube, KubeObject, Selection, WatchEvent } from './types.ts';

/** One difference. An object that was made anew under its old name is deleted and then added. */
export type Change =
  | { readonly kind: 'added' | 'deleted'; readonly object: KubeObject }
  | { readonly kind: 'updated'; readonly object: KubeObject; readonly before: KubeObject };

export interface ReflectorComponents {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: ReflectorMetrics;
  /** Told synchronously, after the store has changed; it may only note what to look at. */
  readonly onChange: (change: Change) => void;
  /** A bug in `onChange`: the change is lost, so the process must not go on. */
  readonly onFatal: (error: Error) => void;
}

export interface ReflectorOptions {
  readonly kind: Kind;
  readonly selection: Selection;
}

const PAGE_ITEMS = 500;
const LIST_DEADLINE_MS = 30 * SECOND_MS;
const WATCH_SECONDS = { min: 300, max: 600 };
/** The server sends a bookmark a minute. */
const SILENCE_MS = { min: 90 * SECOND_MS, max: 120 * SECOND_MS };
const BACKOFF_MS = { min: 500, max: 30 * SECOND_MS };
/** A server that asks to be left alone for longer is asked all the same. */
const RETRY_AFTER_MS_MAX = 2 * MINUTE_MS;
/** A stream that lasted this long was a sound one. */
const HEALTHY_MS = 60 * SECOND_MS;
const AUDIT_MS = { min: 9 * MINUTE_MS, max: 11 * MINUTE_MS };

export class Reflector {
  readonly store = new ObjectStore();
  readonly #parts: ReflectorComponents;
  readonly #options: ReflectorOptions;
  #run: { readonly stop: AbortController; readonly done: Promise<void> } | null = null;
  #hasSynced = false;
  #isRefused = false;
  #heardMs: number;
  #triedMs: number;
  #failures = 0;

  constructor(parts: ReflectorComponents, options: ReflectorOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#heardMs = parts.clock.monotonicMs();
    this.#triedMs = this.#heardMs;
  }

  /** Whether the store has ever been filled: before that an absent object means nothing. */
  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** The store was never filled, since the server has no such list or does not give it to us: it may never be. */
  get isRefused(): boolean {
    return this.#isRefused && !this.#hasSynced;
  }

  /** Since the server last said anything, bookmarks too. */
  get silentMs(): number {
    return this.#parts.clock.monotonicMs() - this.#heardMs;
  }

  /** Since the server was last heard or asked: long only if this loop has stopped. */
  get idleMs(): number {
    return Math.min(this.silentMs, this.#parts.clock.monotonicMs() - this.#triedMs);
  }

  /** Begins, or goes on after a stop with what the store holds. Twice without a stop changes nothing. */
  start(): void {
    if (this.#run !== null) return;
    const stop = new AbortController();
    this.#run = { stop, done: this.#keepUp(stop.signal) };
  }

  /** Resolves when nothing of the run is left. */
  async stop(): Promise<void> {
    const run = this.#run;
    this.#run = null;
    run?.stop.abort(new Error('the reflector is stopped'));
    await run?.done;
  }

  async #keepUp(signal: AbortSignal): Promise<void> {
    const { clock, logger, metrics } = this.#parts;
    const kind = this.#options.kind.kind;
    let follow: Follow | null = null;
    while (!signal.aborted) {
      const startMs = clock.monotonicMs();
      this.#triedMs = startMs;
      let failure: Error | null = null;
      try {
        follow ??= await this.#list(signal);
        await this.#watch(follow, signal);
      } catch (thrown) {
        failure = asError(thrown);
      }
      if (signal.aborted) return;
      if (isRefusal(failure)) this.#isRefused = true;
      if (isGone(failure) || failure instanceof DriftError) follow = null;
      if (failure !== null) logger.info({ kind, error: failure }, 'watch failed');
      metrics.restarts.add(1, { kind });
      const lastedMs = clock.monotonicMs() - startMs;
      await sleep(clock, this.#pauseMs(failure, lastedMs), signal).catch(() => undefined);
    }
  }

  /** A stream that the server ended after a good while goes on at once. */
  #pauseMs(failure: Error | null, lastedMs: number): number {
    if (lastedMs >= HEALTHY_MS) {
      this.#failures = 0;
      if (failure === null) return 0;
    }
    this.#failures += 1;
    const ceilingMs = Math.min(BACKOFF_MS.max, BACKOFF_MS.min * 2 ** Math.min(this.#failures, 16));
    const pauseMs = this.#between({ min: BACKOFF_MS.min, max: ceilingMs });
    const askedMs = failure instanceof KubeError ? (failure.retryAfterMs ?? 0) : 0;
    return Math.max(pauseMs, Math.min(askedMs, RETRY_AFTER_MS_MAX));
  }

  /** Reads everything, tells what differs from the store, and answers where a watch goes on. */
  async #list(signal: AbortSignal): Promise<Follow> {
    const { items, version } = await this.#readAll(signal);
    this.#heard();
    const names = new Set(items.map(textOf));
    for (const old of this.store.list()) if (!names.has(textOf(old))) this.#forget(old);
    for (const object of items) this.#keep(object);
    this.#hasSynced = true;
    return { version, auditAtMs: this.#parts.clock.monotonicMs() + this.#between(AUDIT_MS) };
  }

  async #readAll(signal: AbortSignal): Promise<{ items: KubeObject[]; version: string }> {
    const { kind, selection } = this.#options;
    const call = { ...selection, limit: PAGE_ITEMS, signal, deadlineMs: LIST_DEADLINE_MS };
    const items: KubeObject[] = [];
    let page = await this.#parts.kube.list(kind, call);
    items.push(...page.items);
    while (page.next !== null) {
      page = await this.#parts.kube.list(kind, { ...call, continueFrom: page.next });
      items.push(...page.items);
    }
    signal.throwIfAborted();
    return { items, version: page.resourceVersion };
  }

  /** Follows one stream to its end. */
  async #watch(follow: Follow, signal: AbortSignal): Promise<void> {
    const { kube, clock } = this.#parts;
    const { kind, selection } = this.#options;
    const stream = new Stream(signal);
    const watchdog = new Watchdog(clock, this.#between(SILENCE_MS), () => {
      stream.abort(new Error('the watch fell silent'));
    });
    let audit = this.#armAudit(follow, stream);
    try {
      const events = kube.watch(kind, {
        ...selection,
        resourceVersion: follow.version,
        timeoutSeconds: Math.round(this.#between(WATCH_SECONDS)),
        signal: stream.signal,
      });
      for await (const event of events) {
        signal.throwIfAborted();
        watchdog.feed();
        this.#heard();
        this.#take(event, follow, audit);
        if (!audit.isDue(follow.version)) continue;
        this.#finishAudit(audit);
        follow.auditAtMs = clock.monotonicMs() + this.#between(AUDIT_MS);
        audit = this.#armAudit(follow, stream);
      }
      stream.signal.throwIfAborted();
    } finally {
      watchdog.cancel();
      stream.close();
    }
  }

  #take(event: WatchEvent, follow: Follow, audit: Audit): void {
    if (event.kind === 'bookmark') {
      follow.version = event.resourceVersion;
      return;
    }
    const { object } = event;
    if (event.kind === 'deleted') {
      audit.deleted(object);
      const stored = this.store.get(keyOf(object));
      if (stored !== null) this.#forget(stored);
    } else this.#keep(object);
    follow.version = object.metadata.resourceVersion ?? follow.version;
  }

  /** An audit that begins when it is due, unless the stream has ended by then. */
  #armAudit(follow: Follow, stream: Stream): Audit {
    const { clock } = this.#parts;
    const audit = new Audit();
    const begin = async (): Promise<void> => {
      audit.start();
      const { items, version } = await this.#readAll(stream.signal);
      audit.listed(items, version);
    };
    const timer = clock.after(Math.max(0, follow.auditAtMs - clock.monotonicMs()), () => {
      begin().catch((error: unknown) => stream.abort(asError(error)));
    });
    stream.signal.addEventListener('abort', () => timer.cancel(), { once: true });
    return audit;
  }

  /** @throws DriftError when the store is not what the server had: everything is read anew. */
  #finishAudit(audit: Audit): void {
    const drifted = audit.drift(this.store);
    const kind = this.#options.kind.kind;
    if (drifted.length > 0) {
      this.#parts.metrics.drift.add(drifted.length);
      this.#parts.logger.warn({ kind, objects: drifted }, 'cache has drifted');
      throw new DriftError('the cache has drifted');
    }
  }

  #keep(object: KubeObject): void {
    const next = withoutManagedFields(object);
    const before = this.store.get(keyOf(next));
    if (before !== null && before.metadata.uid !== next.metadata.uid) {
      this.#forget(before);
      this.#keep(object);
      return;
    }
    this.store.put(next);
    if (before === null) this.#tell({ kind: 'added', object: next });
    else if (before.metadata.resourceVersion !== next.metadata.resourceVersion) {
      this.#tell({ kind: 'updated', object: next, before });
    }
  }

  #forget(object: KubeObject): void {
    this.store.remove(keyOf(object));
    this.#tell({ kind: 'deleted', object });
  }

  #tell(change: Change): void {
    try {
      this.#parts.onChange(change);
    } catch (error) {
      this.#parts.onFatal(asError(error));
    }
  }

  #heard(): void {
    this.#heardMs = this.#parts.clock.monotonicMs();
  }

  #between({ min, max }: { readonly min: number; readonly max: number }): number {
    return min + this.#parts.random.below(Math.max(1, max - min));
  }
}

/** Where the watch is, and when the store is next compared. */
interface Follow {
  version: string;
  auditAtMs: number;
}

class DriftError extends Error {}

const isGone = (failure: Error | null): boolean => failure instanceof KubeError && failure.isGone;

const isRefusal = (failure: Error | null): boolean =>
  failure instanceof KubeError && (failure.code === 403 || failure.isNotFound);

/** A signal of one stream, that follows that of the run for as long as the stream is open. */
class Stream {
  readonly #own = new AbortController();
  readonly #outer: AbortSignal;
  readonly #follow: () => void;

  constructor(outer: AbortSignal) {
    this.#outer = outer;
    this.#follow = () => this.#own.abort(outer.reason);
    outer.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  abort(reason: Error): void {
    this.#own.abort(reason);
  }

  close(): void {
    this.#outer.removeEventListener('abort', this.#follow);
    this.#own.abort(new Error('the stream is closed'));
  }
}

/** Barks once when it was not fed for a while. */
class Watchdog {
  readonly #clock: Clock;
  readonly #patienceMs: number;
  readonly #bark: () => void;
  #timer: { cancel(): void };

  constructor(clock: Clock, patienceMs: number, bark: () => void) {
    this.#clock = clock;
    this.#patienceMs = patienceMs;
    this.#bark = bark;
    this.#timer = clock.after(patienceMs, bark);
  }

  feed(): void {
    this.#timer.cancel();
    this.#timer = this.#clock.after(this.#patienceMs, this.#bark);
  }

  cancel(): void {
    this.#timer.cancel();
  }
}

const textOf = ({ metadata }: KubeObject): string => `${metadata.namespace ?? ''}/${metadata.name}`;

/** Managed fields are half of an object's bytes, and nothing here reads them. */
function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _left, ...metadata } = object.metadata;
  return { ...object, metadata };
}
