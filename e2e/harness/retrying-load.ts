/**
 * Clients as they should be: each request goes to one coordinator and, where that one refused it or
 * went away, once more to the next one. Nothing else is retried, so whatever fails twice is a finding.
 * Every writer owns its keys, so a reader knows the oldest value that it may be shown.
 */
import { type Answer, call, keyUrl, randomValue, sha } from './kv.ts';

export interface LoadOptions {
  readonly urls: readonly string[];
  readonly writers: number;
  readonly readers: number;
  readonly keysPerWriter: number;
  readonly sizes: readonly number[];
}

export interface LoadReport {
  readonly writes: number;
  readonly reads: number;
  /** Requests whose first attempt failed. */
  readonly retried: number;
  /** Requests that the retry did not save, and answers that no write explains. */
  readonly failures: readonly string[];
  /** Longest time that one request took, both attempts together. */
  readonly slowestMs: number;
}

interface KeyState {
  /** Digests of the values written so far, oldest first. */
  readonly written: string[];
  /** Place in `written` of the newest acknowledged one; -1: none. */
  acknowledged: number;
}

const told = (answers: readonly Answer[]): string =>
  answers.map(({ status, body }) => `${status} ${body.toString().slice(0, 200)}`).join(', then ');

/** Not applied for sure, or the process went away: another coordinator may do it. */
const isRetryable = (status: number): boolean => status === 0 || status === 503;

export class RetryingLoad {
  readonly #options: LoadOptions;
  readonly #keys = new Map<string, KeyState>();
  readonly #failures: string[] = [];
  #running: Promise<unknown> = Promise.resolve();
  #stopping = false;
  #counts = { writes: 0, reads: 0, retried: 0, slowestMs: 0 };

  constructor(options: LoadOptions) {
    this.#options = options;
  }

  start(): void {
    const { writers, readers } = this.#options;
    this.#running = Promise.all([
      ...Array.from({ length: writers }, (_, i) => this.#write(i)),
      ...Array.from({ length: readers }, (_, i) => this.#read(i)),
    ]);
  }

  /** Writes that have ended so far. */
  get written(): number {
    return this.#counts.writes;
  }

  async stop(): Promise<LoadReport> {
    this.#stopping = true;
    await this.#running;
    return { ...this.#counts, failures: this.#failures };
  }

  /** Reads every key once more, without any retry: the newest value must be there. */
  async readBack(): Promise<readonly string[]> {
    const wrong: string[] = [];
    for (const [key, { written }] of this.#keys) {
      const { status, body } = await call(keyUrl(this.#url(0), key));
      if (status !== 200 || sha(body) !== written.at(-1)) wrong.push(`${key}: ${status}`);
    }
    return wrong;
  }

  async #write(writer: number): Promise<void> {
    const { keysPerWriter, sizes } = this.#options;
    for (let turn = 0; !this.#stopping; turn += 1) {
      const key = `load/${writer}/${turn % keysPerWriter}`;
      const state = this.#keys.get(key) ?? { written: [], acknowledged: -1 };
      this.#keys.set(key, state);
      const body = new Uint8Array(randomValue(sizes[turn % sizes.length] ?? 0));
      const place = state.written.push(sha(Buffer.from(body))) - 1;
      const answers = await this.#attempt(writer + turn, (base) =>
        call(keyUrl(base, key), { method: 'PUT', body }),
      );
      const status = answers.at(-1)?.status;
      if (status === 200 || status === 201) state.acknowledged = place;
      else this.#failures.push(`PUT ${key}: ${told(answers)}`);
      this.#counts.writes += 1;
    }
  }

  async #read(reader: number): Promise<void> {
    for (let turn = reader; !this.#stopping; turn += 1) {
      const known = [...this.#keys].filter(([, { acknowledged }]) => acknowledged >= 0);
      const [key, state] = known[turn % Math.max(1, known.length)] ?? [];
      if (key === undefined || state === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      const oldest = state.acknowledged;
      const answers = await this.#attempt(turn, (base) => call(keyUrl(base, key)));
      const last = answers.at(-1);
      if (last?.status !== 200) this.#failures.push(`GET ${key}: ${told(answers)}`);
      else if (state.written.lastIndexOf(sha(last.body)) < oldest) {
        this.#failures.push(`GET ${key}: wrong bytes`);
      }
      this.#counts.reads += 1;
    }
  }

  /** The answers of one request, the last one being final. */
  async #attempt(turn: number, send: (base: string) => Promise<Answer>): Promise<Answer[]> {
    const startedMs = performance.now();
    const first = await send(this.#url(turn));
    const answers = [first];
    if (isRetryable(first.status)) {
      this.#counts.retried += 1;
      answers.push(await send(this.#url(turn + 1)));
    }
    const tookMs = Math.round(performance.now() - startedMs);
    this.#counts.slowestMs = Math.max(this.#counts.slowestMs, tookMs);
    return answers;
  }

  #url(turn: number): string {
    return this.#options.urls[turn % this.#options.urls.length] ?? '';
  }
}
