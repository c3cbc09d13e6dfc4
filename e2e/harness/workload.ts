/**
 * Writers and readers whose history can be judged: every value says which write made it, so a read
 * shows exactly one write that was acknowledged or may have been. One writer owns a key at a time.
 */
import { createHash, randomBytes } from 'node:crypto';
import { call, get, keyUrl } from './kv.ts';

const HEADER_BYTES = 48;

export interface WorkloadOptions {
  readonly urls: readonly string[];
  readonly keys: number;
  readonly writers: number;
  readonly readers: number;
  readonly sizeMax: number;
}

interface KeyState {
  /** Digest of each value that a later read may still show. */
  possible: Map<string, { readonly write: number; readonly acknowledged: boolean }>;
  acknowledged: number;
  busy: boolean;
}

/** What went wrong, and what was done. */
export interface WorkloadReport {
  readonly violations: readonly string[];
  readonly writes: number;
  readonly unknown: number;
  readonly refused: number;
  readonly reads: number;
  readonly failedReads: number;
  /** Longest time between two acknowledged writes, in ms. */
  readonly longestGapMs: number;
}

export class Workload {
  readonly #options: WorkloadOptions;
  readonly #states: KeyState[];
  readonly #violations: string[] = [];
  #stopping = false;
  #running: Promise<void>[] = [];
  /** Acknowledged writes that a later acknowledged one replaced: never to be seen again. */
  readonly #superseded = new Set<number>();
  #writeCounter = 0;
  #counts = { writes: 0, unknown: 0, refused: 0, reads: 0, failedReads: 0 };
  #lastWriteMs = 0;
  #longestGapMs = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#states = Array.from({ length: options.keys }, () => ({
      possible: new Map(),
      acknowledged: 0,
      busy: false,
    }));
  }

  start(): void {
    const { writers, readers } = this.#options;
    this.#lastWriteMs = performance.now();
    this.#running = [
      ...Array.from({ length: writers }, (_, i) => this.#write(i)),
      ...Array.from({ length: readers }, (_, i) => this.#read(i)),
    ];
  }

  /** Longest gap between acknowledged writes since the last call, in ms; the present one counts. */
  takeGap(): number {
    const gap = Math.max(this.#longestGapMs, performance.now() - this.#lastWriteMs);
    this.#longestGapMs = 0;
    return gap;
  }

  async stop(): Promise<WorkloadReport> {
    this.#stopping = true;
    await Promise.all(this.#running);
    return { violations: this.#violations, longestGapMs: this.#longestGapMs, ...this.#counts };
  }

  /** Reads every key once: the last acknowledged write, or a later undecided one, must be there. */
  async readBack(): Promise<readonly string[]> {
    const before = this.#violations.length;
    for (let key = 0; key < this.#states.length; key += 1) {
      let answer = await get(this.#url(key), name(key));
      for (
        let tries = 0;
        tries < 200 && (answer.status === 0 || answer.status >= 500);
        tries += 1
      ) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        answer = await get(this.#url(key + tries), name(key));
      }
      this.#judgeLast(key, answer.status, answer.body);
    }
    return this.#violations.slice(before);
  }

  async #write(writer: number): Promise<void> {
    for (let turn = writer; !this.#stopping; turn += 1) {
      const key = Math.floor(Math.random() * this.#states.length);
      const state = this.#state(key);
      if (state.busy) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        continue;
      }
      state.busy = true;
      await this.#writeOnce(key, turn);
      state.busy = false;
    }
  }

  async #writeOnce(key: number, turn: number): Promise<void> {
    const state = this.#state(key);
    this.#writeCounter += 1;
    const write = this.#writeCounter;
    const body = value(write, this.#options.sizeMax);
    const digest = digestOf(body);
    state.possible.set(digest, { write, acknowledged: false });
    const { status } = await call(keyUrl(this.#url(turn), name(key)), {
      method: 'PUT',
      body: new Uint8Array(body),
    });
    if (status === 200 || status === 201) {
      this.#counts.writes += 1;
      const now = performance.now();
      this.#longestGapMs = Math.max(this.#longestGapMs, now - this.#lastWriteMs);
      this.#lastWriteMs = now;
      for (const row of state.possible.values()) {
        if (row.acknowledged) this.#superseded.add(row.write);
      }
      state.possible = keepFrom(state.possible, digest, write);
      state.acknowledged = write;
    } else if (status === 0 || status === 504 || status === 500) {
      this.#counts.unknown += 1;
    } else {
      this.#counts.refused += 1;
      state.possible.delete(digest);
      if (status < 500) this.#violations.push(`PUT ${name(key)} answered ${status}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async #read(reader: number): Promise<void> {
    for (let turn = reader; !this.#stopping; turn += 1) {
      const key = Math.floor(Math.random() * this.#states.length);
      const acknowledged = this.#state(key).acknowledged;
      const { status, body } = await get(this.#url(turn), name(key));
      if (status === 0 || status >= 500) {
        this.#counts.failedReads += 1;
        await new Promise((resolve) => setTimeout(resolve, 10));
        continue;
      }
      this.#counts.reads += 1;
      if (status === 404 && acknowledged === 0) continue;
      this.#judgeRead(key, status, body, acknowledged);
    }
  }

  /**
   * A read beside writes: a whole value, and none that was overwritten before the read began. Undecided
   * writes may take effect late, so only acknowledged ones have an order here.
   */
  #judgeRead(key: number, status: number, body: Buffer, acknowledged: number): void {
    if (!this.#answered(key, status)) return;
    if (!provesItself(body)) {
      this.#violations.push(`${name(key)} shows wrong bytes (${body.length} of them)`);
      return;
    }
    const write = body.length === 0 ? Number.POSITIVE_INFINITY : writeOf(body);
    if (write < acknowledged && this.#superseded.has(write)) {
      this.#violations.push(
        `${name(key)} shows write ${write}, but ${acknowledged} was acknowledged`,
      );
    }
  }

  /** A read at rest: exactly one of the values that may stand. */
  #judgeLast(key: number, status: number, body: Buffer): void {
    if (status === 404 && this.#state(key).acknowledged === 0) return;
    if (!this.#answered(key, status)) return;
    if (this.#state(key).possible.has(digestOf(body))) return;
    this.#violations.push(`${name(key)} shows ${body.length} bytes of no write that may stand`);
  }

  #answered(key: number, status: number): boolean {
    if (status === 404) this.#violations.push(`404 for ${name(key)}, which is there`);
    else if (status !== 200) this.#violations.push(`GET ${name(key)} answered ${status}`);
    return status === 200;
  }

  #state(key: number): KeyState {
    const state = this.#states[key];
    if (state === undefined) throw new Error(`no key ${key}`);
    return state;
  }

  #url(turn: number): string {
    return this.#options.urls[turn % this.#options.urls.length] ?? '';
  }
}

const name = (key: number): string => `work/${key}`;

const digestOf = (body: Buffer): string => createHash('sha256').update(body).digest('hex');

/** A value that proves itself: write number, random bytes, SHA-256 of all before it. */
function value(write: number, sizeMax: number): Buffer {
  if (Math.random() < 0.02) return Buffer.alloc(0);
  const size = HEADER_BYTES + Math.floor(Math.random() ** 4 * Math.max(0, sizeMax - HEADER_BYTES));
  const body = randomBytes(size);
  body.write(String(write).padStart(16, '0'), 0, 'latin1');
  createHash('sha256')
    .update(body.subarray(0, size - 32))
    .digest()
    .copy(body, size - 32);
  return body;
}

const writeOf = (body: Buffer): number => Number(body.subarray(0, 16).toString('latin1'));

/** True for a whole value made by `value`: no byte of it is wrong. */
function provesItself(body: Buffer): boolean {
  if (body.length === 0) return true;
  const sum = createHash('sha256')
    .update(body.subarray(0, body.length - 32))
    .digest();
  return sum.equals(body.subarray(body.length - 32));
}

/** After an acknowledgement only that write and later undecided ones may be seen. */
function keepFrom(
  possible: KeyState['possible'],
  digest: string,
  write: number,
): KeyState['possible'] {
  const kept: KeyState['possible'] = new Map([[digest, { write, acknowledged: true }]]);
  for (const [other, row] of possible) {
    // An older undecided write may still take effect after this one: at most once, and until the fence.
    if (!row.acknowledged && other !== digest) kept.set(other, row);
  }
  return kept;
}
