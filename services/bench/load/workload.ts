/**
 * The two workloads: PUTs of keys that nobody had before, and GETs of keys that are there. A value is
 * one of some random bodies with its key's number stamped on it, so every value is another one and the
 * reader knows each byte that it must get.
 */
import { randomBytes } from 'node:crypto';
import { MIB } from '../../common/units.ts';
import type { Answer, Target, Traffic } from './connection.ts';
import { Histogram } from './histogram.ts';

export interface WorkloadOptions {
  readonly targets: readonly Target[];
  readonly connections: number;
  readonly sizeBytes: number;
  /** Keys are `<prefix><number of twelve digits>`. */
  readonly prefix: string;
  /** What values are made of; whoever reads them back needs the same. */
  readonly bodies: readonly Buffer[];
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

const DIGITS = 12;
const BODIES_BYTES = 8 * MIB;
const BODIES_MAX = 1024;
const STAMP_BYTES = 6;
const EXCERPT = 160;

/** Random bodies to draw from: many, but of a few MiB in all. */
export const randomBodies = (sizeBytes: number): readonly Buffer[] =>
  Array.from(
    { length: Math.max(1, Math.min(BODIES_MAX, Math.floor(BODIES_BYTES / (sizeBytes + 1)))) },
    () => randomBytes(sizeBytes),
  );

/** Counts answers; what is counted begins with `begin` and is told by `tally`. */
abstract class Measured implements Traffic {
  readonly #latencies = new Histogram();
  #errors = new Map<string, number>();
  #beganMs = performance.now();
  #stopped = false;

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
    return this.#stopped ? null : this.request(lane);
  }

  answered(lane: number, answer: Answer): void {
    const why = this.judge(lane, answer);
    if (why === null) this.#latencies.record(answer.tookMs * 1000);
    else this.#fail(why);
  }

  broken(_lane: number, why: string): void {
    this.#fail(why);
  }

  protected abstract request(lane: number): Uint8Array | null;
  /** What is wrong with an answer; null: nothing. */
  protected abstract judge(lane: number, answer: Answer): string | null;

  #fail(why: string): void {
    this.#errors.set(why, (this.#errors.get(why) ?? 0) + 1);
  }
}

/** PUTs keys 0, 1, 2 …; with `keys`, those alone, each again until it is acknowledged. */
export class Puts extends Measured {
  readonly #lanes: readonly PutLane[];
  readonly #keys: number;
  readonly #again: number[] = [];
  #nextKey = 0;

  constructor(options: WorkloadOptions, keys: number = Number.POSITIVE_INFINITY) {
    super();
    this.#keys = keys;
    this.#lanes = Array.from({ length: options.connections }, (_, i) => new PutLane(options, i));
  }

  protected request(lane: number): Uint8Array | null {
    const key = this.#again.pop() ?? this.#nextKey;
    if (key >= this.#keys) return null;
    if (key === this.#nextKey) this.#nextKey += 1;
    return this.#lanes[lane]?.request(key) ?? null;
  }

  protected judge(lane: number, answer: Answer): string | null {
    if (isGood(answer.status)) return null;
    this.#repeat(lane);
    return refusal(answer);
  }

  override broken(lane: number, why: string): void {
    this.#repeat(lane);
    super.broken(lane, why);
  }

  #repeat(lane: number): void {
    const key = this.#lanes[lane]?.key;
    if (Number.isFinite(this.#keys) && key !== undefined) this.#again.push(key);
  }
}

/** One connection's request, written again in place: head, then body. */
class PutLane {
  readonly #bytes: Buffer;
  readonly #digitsAt: number;
  readonly #bodyAt: number;
  readonly #bodies: readonly Buffer[];
  key = 0;

  constructor(options: WorkloadOptions, lane: number) {
    const { head, digitsAt } = headOf(options, lane, {
      method: 'PUT',
      fields: `Content-Length: ${options.sizeBytes}\r\n`,
    });
    this.#bytes = Buffer.concat([head, Buffer.alloc(options.sizeBytes)]);
    this.#digitsAt = digitsAt;
    this.#bodyAt = head.length;
    this.#bodies = options.bodies;
  }

  request(key: number): Uint8Array {
    this.key = key;
    writeDigits(this.#bytes, this.#digitsAt, key);
    this.#bodies[key % this.#bodies.length]?.copy(this.#bytes, this.#bodyAt);
    stamp(this.#bytes, this.#bodyAt, key);
    return this.#bytes;
  }
}

/** GETs of keys 0 to `keys` - 1, drawn at random; every byte of every answer is compared. */
export class Gets extends Measured {
  readonly #lanes: readonly GetLane[];
  readonly #bodies: readonly Buffer[];
  readonly #sizeBytes: number;
  readonly #keys: number;
  readonly #stamped: Buffer;

  constructor(options: WorkloadOptions, keys: number) {
    super();
    this.#keys = keys;
    this.#bodies = options.bodies;
    this.#sizeBytes = options.sizeBytes;
    this.#stamped = Buffer.alloc(Math.min(STAMP_BYTES, options.sizeBytes));
    this.#lanes = Array.from({ length: options.connections }, (_, i) => new GetLane(options, i));
  }

  protected request(lane: number): Uint8Array | null {
    return this.#lanes[lane]?.request(Math.floor(Math.random() * this.#keys)) ?? null;
  }

  protected judge(lane: number, answer: Answer): string | null {
    if (!isGood(answer.status)) return refusal(answer);
    const key = this.#lanes[lane]?.key ?? 0;
    return this.#isValue(key, answer) ? null : 'wrong bytes';
  }

  #isValue(key: number, { bytes, start, end }: Answer): boolean {
    const body = this.#bodies[key % this.#bodies.length];
    if (body === undefined || end - start !== this.#sizeBytes) return false;
    const stamped = this.#stamped.length;
    stamp(this.#stamped, 0, key);
    return (
      bytes.compare(this.#stamped, 0, stamped, start, start + stamped) === 0 &&
      bytes.compare(body, stamped, this.#sizeBytes, start + stamped, end) === 0
    );
  }
}

class GetLane {
  readonly #bytes: Buffer;
  readonly #digitsAt: number;
  key = 0;

  constructor(options: WorkloadOptions, lane: number) {
    const { head, digitsAt } = headOf(options, lane, { method: 'GET', fields: '' });
    this.#bytes = head;
    this.#digitsAt = digitsAt;
  }

  request(key: number): Uint8Array {
    this.key = key;
    writeDigits(this.#bytes, this.#digitsAt, key);
    return this.#bytes;
  }
}

function headOf(
  options: WorkloadOptions,
  lane: number,
  request: { readonly method: string; readonly fields: string },
): { head: Buffer; digitsAt: number } {
  const { host, port } = targetOf(options.targets, lane);
  const path = `${request.method} /kv/${options.prefix}`;
  const rest = ` HTTP/1.1\r\nHost: ${host}:${port}\r\n${request.fields}\r\n`;
  return { head: Buffer.from(path + '0'.repeat(DIGITS) + rest), digitsAt: path.length };
}

/** Connections go round the coordinators. */
export function targetOf(targets: readonly Target[], lane: number): Target {
  const target = targets[lane % targets.length];
  if (target === undefined) throw new RangeError('there is no coordinator to talk to');
  return target;
}

function writeDigits(bytes: Buffer, at: number, key: number): void {
  let rest = key;
  for (let i = at + DIGITS - 1; i >= at; i -= 1) {
    bytes[i] = 48 + (rest % 10);
    rest = Math.floor(rest / 10);
  }
}

/** The key's number over the first bytes of its value, as far as it has some. */
function stamp(bytes: Buffer, at: number, key: number): void {
  let rest = key;
  for (let i = at; i < Math.min(at + STAMP_BYTES, bytes.length); i += 1) {
    bytes[i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
}

const isGood = (status: number): boolean => status >= 200 && status < 300;

const refusal = ({ status, bytes, start, end }: Answer): string =>
  `${status} ${codeOf(bytes.toString('latin1', start, Math.min(end, start + EXCERPT)))}`;

/** The error's code, so that equal refusals are counted together. */
const codeOf = (body: string): string => /"code":"(\w+)"/.exec(body)?.[1] ?? body;
