/**
 * The workloads: PUTs of keys that nobody had before, GETs of keys that are there and of keys that are
 * not, and both mixed. Every byte of every value that comes back is compared.
 */
import type { Answer, Target, Traffic } from './connection.ts';
import type { Request, Speech } from './dialect.ts';
import { Histogram } from './histogram.ts';

export interface WorkloadOptions {
  readonly targets: readonly Target[];
  readonly connections: number;
  readonly speech: Speech;
}

export interface Tally {
  readonly operations: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** What went wrong and how often. */
  readonly errors: Readonly<Record<string, number>>;
}

const EXCERPT = 160;

/** What is asked for, and which answers are right. */
export interface Work {
  /** The next request of a connection; null: no more. */
  request(lane: number): Uint8Array | null;
  /** What is wrong with an answer; null: nothing. */
  judge(lane: number, answer: Answer): string | null;
  /** The request in flight has no answer. */
  lost?(lane: number): void;
}

/** Counts answers to a work's requests; what is counted begins with `begin` and is told by `tally`. */
export class Measured implements Traffic {
  readonly #work: Work;
  readonly #latencies = new Histogram();
  #errors = new Map<string, number>();
  #beganMs = performance.now();
  #stopped = false;

  constructor(work: Work) {
    this.#work = work;
  }

  begin(): void {
    this.#latencies.clear();
    this.#errors.clear();
    this.#beganMs = performance.now();
  }

  tally(): Tally {
    const ms = (us: number): number => us / 1000;
    return {
      operations: this.#latencies.count,
      seconds: (performance.now() - this.#beganMs) / 1000,
      p50Ms: ms(this.#latencies.quantileUs(0.5)),
      p99Ms: ms(this.#latencies.quantileUs(0.99)),
      maxMs: ms(this.#latencies.maxUs),
      errors: Object.fromEntries(this.#errors),
    };
  }

  /** No request begins any more. */
  stop(): void {
    this.#stopped = true;
  }

  next(lane: number): Uint8Array | null {
    return this.#stopped ? null : this.#work.request(lane);
  }

  answered(lane: number, answer: Answer): void {
    const why = this.#work.judge(lane, answer);
    if (why === null) this.#latencies.record(answer.tookMs * 1000);
    else this.#fail(why);
  }

  broken(lane: number, why: string): void {
    this.#work.lost?.(lane);
    this.#fail(why);
  }

  #fail(why: string): void {
    this.#errors.set(why, (this.#errors.get(why) ?? 0) + 1);
  }
}

/** One connection's requests of one kind, and the key that it last asked for. */
class Lane {
  readonly #request: Request;
  key = 0;

  constructor(request: Request) {
    this.#request = request;
  }

  ask(key: number): Uint8Array {
    this.key = key;
    return this.#request(key);
  }
}

const lanesOf = (
  { targets, connections }: WorkloadOptions,
  make: (target: Target) => Request,
): readonly Lane[] =>
  Array.from({ length: connections }, (_, i) => new Lane(make(targetOf(targets, i))));

/** PUTs keys 0, 1, 2 …; with `keys`, those alone, each again until it is acknowledged. */
export class Puts implements Work {
  readonly #lanes: readonly Lane[];
  readonly #keys: number;
  readonly #again: number[] = [];
  #nextKey = 0;
  #acknowledged = 0;

  constructor(options: WorkloadOptions, keys: number = Number.POSITIVE_INFINITY) {
    this.#keys = keys;
    this.#lanes = lanesOf(options, (target) => options.speech.putsTo(target));
  }

  /** Since the first request, whatever is counted. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Keys that were asked for: 0 to this one less 1. */
  get asked(): number {
    return this.#nextKey;
  }

  request(lane: number): Uint8Array | null {
    const key = this.#again.pop() ?? this.#nextKey;
    if (key >= this.#keys) return null;
    if (key === this.#nextKey) this.#nextKey += 1;
    return this.#lanes[lane]?.ask(key) ?? null;
  }

  judge(lane: number, answer: Answer): string | null {
    if (isGood(answer.status)) {
      this.#acknowledged += 1;
      return null;
    }
    this.lost(lane);
    return refusal(answer);
  }

  lost(lane: number): void {
    const key = this.#lanes[lane]?.key;
    if (Number.isFinite(this.#keys) && key !== undefined) this.#again.push(key);
  }
}

/** GETs of keys 0 to `keys` - 1, drawn at random; with `times`, so many of them and no more. */
export class Gets implements Work {
  readonly #speech: Speech;
  readonly #lanes: readonly Lane[];
  readonly #keys: number;
  #left: number;

  constructor(options: WorkloadOptions, keys: number, times: number = Number.POSITIVE_INFINITY) {
    this.#speech = options.speech;
    this.#keys = keys;
    this.#left = times;
    this.#lanes = lanesOf(options, (target) => options.speech.getsFrom(target));
  }

  request(lane: number): Uint8Array | null {
    if (this.#left <= 0) return null;
    this.#left -= 1;
    return this.#lanes[lane]?.ask(Math.floor(Math.random() * this.#keys)) ?? null;
  }

  judge(lane: number, answer: Answer): string | null {
    if (!isGood(answer.status)) return refusal(answer);
    return this.#speech.isValue(this.#lanes[lane]?.key ?? 0, answer) ? null : 'wrong bytes';
  }
}

/** GETs of keys that are not there; the only right answer is that they are absent. */
export class Misses implements Work {
  readonly #speech: Speech;
  readonly #lanes: readonly Lane[];
  readonly #keys: number;

  constructor(options: WorkloadOptions, keys: number) {
    this.#speech = options.speech;
    this.#keys = keys;
    this.#lanes = lanesOf(options, (target) => options.speech.getsFrom(target));
  }

  request(lane: number): Uint8Array | null {
    return this.#lanes[lane]?.ask(Math.floor(Math.random() * this.#keys)) ?? null;
  }

  judge(_lane: number, answer: Answer): string | null {
    if (this.#speech.isAbsent(answer)) return null;
    return isGood(answer.status) ? 'a value of a key that is not there' : refusal(answer);
  }
}

const GET_SHARE = 0.1;

/** One operation of ten is a GET of a key that was there before, the others are PUTs of new keys. */
export class Mix implements Work {
  readonly #puts: Puts;
  readonly #gets: Gets;
  readonly #isGet: boolean[] = [];

  constructor(puts: Puts, gets: Gets) {
    this.#puts = puts;
    this.#gets = gets;
  }

  request(lane: number): Uint8Array | null {
    const isGet = Math.random() < GET_SHARE;
    this.#isGet[lane] = isGet;
    return (isGet ? this.#gets : this.#puts).request(lane);
  }

  judge(lane: number, answer: Answer): string | null {
    return (this.#isGet[lane] === true ? this.#gets : this.#puts).judge(lane, answer);
  }
}

/** Connections go round the processes that take requests. */
export function targetOf(targets: readonly Target[], lane: number): Target {
  const target = targets[lane % targets.length];
  if (target === undefined) throw new RangeError('there is no process to talk to');
  return target;
}

const isGood = (status: number): boolean => status >= 200 && status < 300;

const refusal = ({ status, bytes, start, end }: Answer): string =>
  `${status} ${codeOf(bytes.toString('latin1', start, Math.min(end, start + EXCERPT)))}`;

/** The error's code, so that equal refusals are counted together. */
const codeOf = (body: string): string => /"code":"(\w+)"/.exec(body)?.[1] ?? body;
