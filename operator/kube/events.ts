/**
 * Events that people read with `kubectl describe`. Telling the same thing again costs nothing for ten
 * minutes and is then one write that says how often; one object can never flood the API. An event is help,
 * not truth: it may be lost, and nothing waits for it.
 */
import { utf8 } from '../../services/common/bytes.ts';
import { type Clock, sleep } from '../../services/common/clock.ts';
import { asError } from '../../services/common/errors.ts';
import { keyHash } from '../../services/common/key-hash.ts';
import { MINUTE_MS, SECOND_MS } from '../../services/common/units.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import { KINDS } from './kinds.ts';
import { KubeError } from './kube-error.ts';
import { microTime } from './micro-time.ts';
import type { Kube, KubeObject } from './types.ts';

/** Something that happened to `about`. Reasons and actions are few fixed words; only `note` is a sentence. */
export interface Happening {
  readonly about: KubeObject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly action: string;
  readonly note: string;
}

export interface EventsComponents {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface EventsOptions {
  /** Which process tells it: its pod's name. */
  readonly instance: string;
}

const CONTROLLER = 'minikv.io/operator';
const MANAGER = 'minikv-operator';
const SILENCE_MS = 10 * MINUTE_MS;
/** New events about one object: so many at once, then one every so often. */
const BURST = 25;
const REFILL_MS = MINUTE_MS;
const NOTE_BYTES_MAX = 1024;
const QUEUE_MAX = 1000;
const KNOWN_MAX = 10_000;
const ATTEMPTS_MAX = 3;
const RETRY_MS = SECOND_MS;

/** What has been told, by object, reason and action. */
interface Told {
  readonly happening: Happening;
  readonly name: string;
  readonly firstMs: number;
  /** When it was last written. */
  writtenMs: number;
  lastMs: number;
  count: number;
}

export class EventRecorder {
  readonly #parts: EventsComponents;
  readonly #options: EventsOptions;
  readonly #told = new Map<string, Told>();
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();
  readonly #queue: Told[] = [];
  readonly #stop = new AbortController();
  #writing: Promise<void> | null = null;

  constructor(parts: EventsComponents, options: EventsOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Notes it and returns at once; it is written in its turn. */
  record(happening: Happening): void {
    if (this.#stop.signal.aborted) return;
    const nowMs = this.#parts.clock.wallMs();
    const { metadata } = happening.about;
    const id = [metadata.uid, happening.reason, happening.action].join(' ');
    const told = this.#told.get(id);
    if (told === undefined) {
      if (!this.#mayTell(metadata.uid ?? '', nowMs)) return;
      this.#tell(id, happening, nowMs);
      return;
    }
    told.count += 1;
    told.lastMs = nowMs;
    if (nowMs - told.writtenMs < SILENCE_MS) return;
    told.writtenMs = nowMs;
    this.#enqueue(told);
  }

  /** Writes what is noted, for at most the deadline of a call, and takes nothing more. */
  async stop(): Promise<void> {
    const writing = this.#writing;
    this.#stop.abort(new Error('the recorder is stopped'));
    await writing;
  }

  /** Resolves when everything noted so far is written or given up. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  #tell(id: string, happening: Happening, nowMs: number): void {
    const { name } = happening.about.metadata;
    const hash = keyHash(utf8(`${id} ${nowMs} ${this.#options.instance}`));
    // Unique in time: an event of an earlier process under this name could not be changed.
    const eventName = `${name}.${nowMs.toString(16)}${hash.toString(16).padStart(8, '0')}`;
    const times = { firstMs: nowMs, writtenMs: nowMs, lastMs: nowMs };
    const told = { happening, name: eventName, ...times, count: 1 };
    this.#told.set(id, told);
    this.#sweep(nowMs);
    this.#enqueue(told);
  }

  /** Forgets what would be told as new anyway, and the oldest when there is too much. */
  #sweep(nowMs: number): void {
    for (const [id, { lastMs }] of this.#told) {
      if (nowMs - lastMs >= 2 * SILENCE_MS || this.#told.size > KNOWN_MAX) this.#told.delete(id);
    }
    for (const [uid, { atMs }] of this.#buckets) {
      if (nowMs - atMs >= BURST * REFILL_MS) this.#buckets.delete(uid);
    }
  }

  #mayTell(uid: string, nowMs: number): boolean {
    const bucket = this.#buckets.get(uid) ?? { tokens: BURST, atMs: nowMs };
    const tokens = Math.min(BURST, bucket.tokens + (nowMs - bucket.atMs) / REFILL_MS);
    const may = tokens >= 1;
    this.#buckets.set(uid, { tokens: may ? tokens - 1 : tokens, atMs: nowMs });
    return may;
  }

  #enqueue(told: Told): void {
    if (this.#queue.length >= QUEUE_MAX) this.#queue.shift();
    this.#queue.push(told);
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = null;
    });
  }

  async #writeAll(): Promise<void> {
    for (let told = this.#queue.shift(); told !== undefined; told = this.#queue.shift()) {
      const isWritten = await this.#write(told);
      // A server that does not answer must not hold up the end of the process.
      if (!isWritten && this.#stop.signal.aborted) this.#queue.length = 0;
    }
  }

  async #write(told: Told): Promise<boolean> {
    const { kube, clock, logger } = this.#parts;
    // A stop lets the call that runs end; it has a deadline of its own.
    const { signal } = new AbortController();
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
      try {
        await kube.apply(KINDS.event, this.#object(told), {
          manager: MANAGER,
          force: true,
          signal,
        });
        return true;
      } catch (thrown) {
        const isHopeless = !(thrown instanceof KubeError && thrown.isUnknown);
        const isLast = attempt === ATTEMPTS_MAX || this.#stop.signal.aborted;
        if (isHopeless || isLast) {
          logger.info({ error: asError(thrown), event: told.name }, 'event not written');
          return false;
        }
        await sleep(clock, RETRY_MS * attempt, this.#stop.signal).catch(() => undefined);
      }
    }
    return false;
  }

  #object({ happening, name, firstMs, lastMs, count }: Told): KubeObject {
    const { about, type, reason, action, note } = happening;
    const { apiVersion, kind, metadata } = about;
    const series = { count, lastObservedTime: microTime(lastMs) };
    return {
      apiVersion: KINDS.event.apiVersion,
      kind: KINDS.event.kind,
      // Events about objects without a namespace live in `default`, as the API server demands.
      metadata: { name, namespace: metadata.namespace ?? 'default' },
      eventTime: microTime(firstMs),
      reportingController: CONTROLLER,
      reportingInstance: this.#options.instance,
      action,
      reason,
      regarding: {
        apiVersion,
        kind,
        name: metadata.name,
        ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
        ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      },
      type,
      note: shortened(note),
      ...(count > 1 ? { series } : {}),
    };
  }
}

/** The API server counts bytes, and refuses an event whose note has too many. */
function shortened(note: string): string {
  const bytes = utf8(note);
  if (bytes.length <= NOTE_BYTES_MAX) return note;
  const kept = new TextDecoder().decode(bytes.subarray(0, NOTE_BYTES_MAX - '...'.length));
  // A character that was cut through has become U+FFFD, which may be longer.
  return `${kept.replace(/\uFFFD$/, '')}...`;
}
