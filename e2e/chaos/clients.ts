/**
 * Clients that keep a steady rate of requests on few keys, over whichever coordinator, and note what
 * they saw. A key is in use for some hundred operations, then the next one takes its place, so that
 * each history stays small enough to be judged whole.
 */
import type { Random } from '../../services/common/random.ts';
import { seededRandom } from '../../services/common/random.ts';
import type { Condition, Operation } from '../../services/sim/history.ts';
import { keyUrl } from '../harness/kv.ts';
import { type Answer, Connections, type Request } from './connections.ts';
import { nameOf, valueOf } from './values.ts';

export interface ClientOptions {
  readonly urls: readonly string[];
  readonly clients: number;
  /** Requests a second that all of them together aim at. */
  readonly rate: number;
  readonly seed: number;
}

type Asked =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly name: string | null; readonly condition: Condition | null };

/** How answers came, for the summary. */
export type Outcomes = Record<'ok' | 'missing' | 'refused' | 'failed' | 'unknown', number>;

interface Key {
  readonly text: string;
  operations: number;
  /** The newest ETag that any client saw, with the name of its value. */
  seen: { readonly etag: string; readonly name: string } | null;
}

const KEYS = 8;
const OPERATIONS_PER_KEY = 240;
const TIMEOUT_MS = 2500;
const BACK_OFF_MS = 25;
const KIB = 1024;

export class Clients {
  readonly outcomes: Outcomes = { ok: 0, missing: 0, refused: 0, failed: 0, unknown: 0 };
  /** Answers that no sound store gives. */
  readonly wrong: string[] = [];
  /** When requests were answered well, and when writes were acknowledged. */
  readonly answeredMs: number[] = [];
  readonly acknowledgedMs: number[] = [];
  readonly #options: ClientOptions;
  readonly #random: Random;
  readonly #connections = new Connections(TIMEOUT_MS);
  readonly #keys: Key[];
  #history: Operation[] = [];
  #keyCount = 0;
  #values = 0;
  #stopping = true;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    this.#keys = Array.from({ length: KEYS }, () => this.#nextKey());
  }

  get isRunning(): boolean {
    return !this.#stopping;
  }

  start(): void {
    this.#stopping = false;
    const clients = Array.from({ length: this.#options.clients }, (_, i) => this.#live(i));
    this.#running = Promise.all(clients);
  }

  close(): void {
    this.#connections.close();
  }

  /** Resolves once the last request has ended. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  /** What was seen since the last call, and fresh keys from now on. */
  takeHistory(): readonly Operation[] {
    const history = this.#history;
    this.#history = [];
    this.#keys.splice(0, KEYS, ...Array.from({ length: KEYS }, () => this.#nextKey()));
    return history;
  }

  /** One read of a key by somebody who is no client, as part of its history. */
  async readBack(url: string, key: string): Promise<Operation> {
    const startMs = performance.now();
    const answer = await this.#connections.call(keyUrl(url, key), { method: 'GET' });
    const operation = this.#judge(
      { text: key, operations: 0, seen: null },
      { kind: 'read' },
      answer,
    );
    return { ...operation, startMs, endMs: performance.now() };
  }

  async #live(client: number): Promise<void> {
    const { clients, rate, urls } = this.#options;
    const everyMs = (1000 * clients) / rate;
    let nextMs = performance.now() + (everyMs * client) / clients;
    for (let turn = client; !this.#stopping; turn += 1) {
      await pause(nextMs - performance.now());
      nextMs = Math.max(nextMs + everyMs, performance.now() - everyMs);
      if (this.#stopping) return;
      const isFine = await this.#ask(`client-${client}`, urls[turn % urls.length] ?? '');
      if (!isFine) await pause(BACK_OFF_MS);
    }
  }

  /** One request; true where it was answered as it should be between faults. */
  async #ask(client: string, url: string): Promise<boolean> {
    const place = this.#random.below(KEYS);
    const key = this.#keys[place];
    if (key === undefined) throw new Error(`no key ${place}`);
    key.operations += 1;
    if (key.operations >= OPERATIONS_PER_KEY) this.#keys[place] = this.#nextKey();
    const asked = this.#choose(key);
    const startMs = performance.now();
    const answer = await this.#connections.call(keyUrl(url, key.text), this.#requestOf(asked, key));
    const endMs = performance.now();
    const operation = this.#judge(key, asked, answer);
    this.#history.push({ ...operation, client, startMs, endMs });
    const isFine = operation.outcome === 'ok' || operation.outcome === 'refused';
    if (isFine) this.answeredMs.push(endMs);
    if (operation.kind === 'write' && operation.outcome === 'ok') this.acknowledgedMs.push(endMs);
    return isFine;
  }

  #choose(key: Key): Asked {
    const chance = this.#random.below(100);
    if (chance < 45) return { kind: 'read' };
    const isDelete = chance >= 85;
    const isConditional = this.#random.below(4) === 0;
    const condition = isConditional ? this.#conditionOn(key) : null;
    if (isDelete) return { kind: 'write', name: null, condition };
    this.#values += 1;
    return { kind: 'write', name: `w${this.#options.seed}.${this.#values}`, condition };
  }

  #conditionOn({ seen }: Key): Condition {
    if (seen === null || this.#random.below(3) === 0) return { kind: 'absent' };
    return { kind: 'match', values: [seen.name] };
  }

  #requestOf(asked: Asked, key: Key): Request {
    if (asked.kind === 'read') return { method: 'GET' };
    const { name, condition } = asked;
    const headers: Record<string, string> = {};
    if (condition?.kind === 'absent') headers['if-none-match'] = '*';
    // The condition was made from what is known of the key in this same turn.
    if (condition?.kind === 'match' && key.seen !== null) headers['if-match'] = key.seen.etag;
    if (name === null) return { method: 'DELETE', headers };
    return { method: 'PUT', headers, body: valueOf(name, this.#size()) };
  }

  /** Mostly small; some need a chunk, few need several. */
  #size(): number {
    const chance = this.#random.below(200);
    if (chance === 0) return 300 * KIB + this.#random.below(500 * KIB);
    if (chance < 10) return this.#random.below(64 * KIB);
    return this.#random.below(2 * KIB);
  }

  #judge(key: Key, asked: Asked, answer: Answer): Omit<Operation, 'startMs' | 'endMs'> {
    const { status } = answer;
    const index = Number(answer.header('x-raft-index') ?? Number.NaN);
    const common = {
      key: key.text,
      kind: asked.kind,
      ...(Number.isNaN(index) ? {} : { raftIndex: index }),
    };
    if (asked.kind === 'read') {
      const value = status === 200 ? this.#valueOf(key, answer) : null;
      if (status === 200) return { ...common, ...versionOf(answer), value, outcome: 'ok' };
      if (status === 404) return this.#count('missing', { ...common, value: null, outcome: 'ok' });
      return { ...common, value: null, outcome: this.#failure(key, 'GET', answer) };
    }
    const { name, condition } = asked;
    const write = { ...common, value: name, condition };
    switch (status) {
      case 200:
      case 201:
        this.#learn(key, answer, name ?? '');
        return this.#count('ok', { ...write, found: status === 200, outcome: 'ok' });
      case 204:
        return this.#count('ok', { ...write, found: true, outcome: 'ok' });
      case 404:
        return this.#count('missing', { ...write, found: false, outcome: 'ok' });
      case 412:
        return this.#count('refused', { ...write, outcome: 'refused' });
      default:
        return { ...write, outcome: this.#failure(key, name === null ? 'DELETE' : 'PUT', answer) };
    }
  }

  #count<T>(outcome: keyof Outcomes, operation: T): T {
    this.outcomes[outcome] += 1;
    return operation;
  }

  #valueOf(key: Key, answer: Answer): string | null {
    this.outcomes.ok += 1;
    const name = nameOf(answer.body);
    if (name !== null) {
      this.#learn(key, answer, name);
      return name;
    }
    this.wrong.push(`GET ${key.text} gave ${answer.body.length} bytes that nobody wrote`);
    return 'bytes that nobody wrote';
  }

  #learn(key: Key, answer: Answer, name: string): void {
    const etag = answer.header('etag');
    if (etag !== null) key.seen = { etag, name };
  }

  /** What a client may conclude from an answer that is no success. */
  #failure(key: Key, method: string, answer: Answer): 'failed' | 'unknown' {
    const { status, body } = answer;
    const told = status === 0 ? null : errorOf(body);
    if (status !== 0 && isWrong(status, told?.code)) {
      this.wrong.push(`${method} ${key.text}: ${status} ${body.toString()}`);
    }
    const outcome = told?.outcome === 'not_applied' ? 'failed' : 'unknown';
    this.outcomes[outcome] += 1;
    return outcome;
  }

  #nextKey(): Key {
    this.#keyCount += 1;
    return { text: `chaos/${this.#keyCount}`, operations: 0, seen: null };
  }
}

/** Faults explain that a request was refused, came too late or found too little; nothing else. */
const isWrong = (status: number, code = 'none'): boolean =>
  !EXPECTED_STATUSES.includes(status) || code === 'none';

const EXPECTED_STATUSES = [408, 429, 503, 504, 507];

function versionOf(answer: Answer): { readonly version?: number } {
  const version = answer.header('x-minikv-version');
  return version === null ? {} : { version: Number(version.split('.')[0]) };
}

function errorOf(body: Buffer): { readonly code?: string; readonly outcome?: string } | null {
  try {
    return JSON.parse(body.toString()) as { readonly code?: string; readonly outcome?: string };
  } catch {
    return null;
  }
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
