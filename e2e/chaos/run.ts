/**
 * One run: rounds of faults under load, each followed by a judgement of what clients saw in it, and a
 * judgement of the whole at the end. It never stops at the first finding: what else is wrong says more.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SECOND_MS } from '../../services/common/units.ts';
import type { Operation } from '../../services/sim/history.ts';
import { violationsOf } from '../../services/sim/linearizable.ts';
import { revisionViolations } from '../../services/sim/revisions.ts';
import { allDecided, calm, nothingIsLeft, rebuilt } from '../harness/health.ts';
import { keyUrl } from '../harness/kv.ts';
import { scrape } from '../harness/scrape.ts';
import { waitFor } from '../harness/wait-for.ts';
import { Clients, type Outcomes } from './clients.ts';
import { Connections } from './connections.ts';
import { Nemesis, type Passed } from './nemesis.ts';
import { Network } from './network.ts';
import { type FaultKind, KINDS, type Round, scheduleOf } from './schedule.ts';
import { type Death, Site } from './site.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly network: 'namespaces' | 'loopback';
  readonly mounts: boolean;
  readonly clockLibrary: string | null;
  readonly descriptors: boolean;
  readonly clients: number;
  readonly rate: number;
  /** A run with fewer requests a second between faults is void. */
  readonly rateMin: number;
  readonly folder: string;
  readonly basePort: number;
}

export interface ChaosResult {
  readonly findings: readonly string[];
  readonly passed: readonly Passed[];
  readonly deaths: readonly Death[];
  readonly outcomes: Outcomes;
  readonly operations: number;
  readonly acknowledged: readonly number[];
  readonly startMs: number;
  readonly endMs: number;
  /** Requests answered in a second between faults; null where there was no such time. */
  readonly quietRate: number | null;
  readonly checkerMs: number;
  /** From the end of the faults of a round until every key had all its copies. */
  readonly repairMs: readonly number[];
  /** What the processes logged, with how often: whether they met what the faults are for. */
  readonly logged: ReadonlyMap<string, number>;
}

const PROXIED = ['c3', 'v3'];
const FILLABLE = ['c2', 'v2'];
const CLOCKED = ['c1', 'v1'];
const CLEAR_TIME_MS = 5 * SECOND_MS;
/** Recovery from a fault is over after so long: from then on the rate counts. */
const RECOVERED_MS = 1500;
const READ_BACK_TIMEOUT_MS = 20 * SECOND_MS;
/** The fence and the grace, and what asks for them. */
const FENCE_TIMEOUT_MS = 60 * SECOND_MS;
const DIGESTS_TIMEOUT_MS = 60 * SECOND_MS;
/** Requests at once that only make entries. */
const ENTRY_WRITERS = 32;
const ENTRY_TIMEOUT_MS = 10 * SECOND_MS;
const PROGRESS_MS = 10 * SECOND_MS;
/** A process may give up for want of room or descriptors, and for so long afterwards. */
const STARVED: readonly FaultKind[] = ['disk-full', 'descriptors'];
const STARVED_MS = 15 * SECOND_MS;

/** @throws when it is stopped before its end, or when the cluster does not even start. */
export async function runChaos(
  options: ChaosOptions,
  say: (line: string) => void,
  stopping: AbortSignal,
): Promise<ChaosResult> {
  const chaos = await Chaos.open(options, say);
  const stopped = new Promise<never>((_, stop) => {
    stopping.addEventListener('abort', () => {
      chaos.abort();
      stop(new Error('stopped before its end'));
    });
  });
  try {
    return await Promise.race([chaos.run(), stopped]);
  } finally {
    await chaos.close();
  }
}

class Chaos {
  readonly #options: ChaosOptions;
  readonly #say: (line: string) => void;
  readonly #network: Network;
  readonly #site: Site;
  readonly #nemesis: Nemesis;
  readonly #clients: Clients;
  readonly #connections = new Connections(ENTRY_TIMEOUT_MS);
  readonly #findings: string[] = [];
  /** The last value of each key of the rounds that are over. */
  readonly #settled = new Map<string, string | null>();
  readonly #repairMs: number[] = [];
  readonly #quiet = { ms: 0, answered: 0 };
  #operations = 0;
  #checkerMs = 0;
  #startMs = 0;

  private constructor(
    options: ChaosOptions,
    say: (line: string) => void,
    parts: { readonly network: Network; readonly site: Site },
  ) {
    this.#options = options;
    this.#say = say;
    this.#network = parts.network;
    this.#site = parts.site;
    this.#nemesis = new Nemesis(parts.site, parts.network, say);
    this.#clients = new Clients({
      urls: ['c1', 'c2', 'c3'].map((name) => parts.network.clientUrl(name)),
      clients: options.clients,
      rate: options.rate,
      seed: options.seed,
    });
  }

  static async open(options: ChaosOptions, say: (line: string) => void): Promise<Chaos> {
    const { folder, basePort, seed, mounts, clockLibrary } = options;
    await mkdir(folder, { recursive: true });
    const ports = { http: basePort, grpc: basePort + 1 };
    const kind = options.network;
    const network = await Network.open({ kind, folder, ports, seed, proxied: PROXIED });
    const site = await Site.create(network, {
      folder,
      ports,
      fillable: mounts ? FILLABLE : [],
      clocked: CLOCKED,
      clockLibrary,
    });
    return new Chaos(options, say, { network, site });
  }

  async run(): Promise<ChaosResult> {
    this.#site.startAll();
    await this.#site.ready();
    await calm(this.#site);
    this.#startMs = performance.now();
    const rounds = this.#schedule();
    const observing = this.#observe();
    try {
      for (const [i, round] of rounds.entries()) {
        this.#say(`round ${i + 1} of ${rounds.length}`);
        await this.#round(round);
      }
      await this.#judgeTheWhole();
    } finally {
      clearInterval(observing);
    }
    return this.#result(await countMessages(join(this.#site.folder, 'logs')));
  }

  abort(): void {
    this.#site.abort();
  }

  async close(): Promise<void> {
    await this.#clients.stop();
    this.#clients.close();
    this.#connections.close();
    try {
      await this.#site.stop();
      await this.#site.unmount(this.#findings.length > 0);
    } catch (error) {
      this.#say(`! not stopped in good order: ${String(error)}`);
    }
    this.#network.close();
  }

  #schedule(): readonly Round[] {
    const { seed, rounds, roundMs, mounts, clockLibrary, descriptors } = this.#options;
    const left = new Set<FaultKind>(KINDS);
    if (!mounts) left.delete('disk-full');
    if (clockLibrary === null) left.delete('clock');
    if (!descriptors) left.delete('descriptors');
    const lists = { fillable: FILLABLE, clocked: CLOCKED };
    return scheduleOf({ seed, rounds, roundMs, kinds: [...left], ...lists });
  }

  async #round({ faults, lengthMs }: Round): Promise<void> {
    this.#clients.start();
    const startMs = performance.now();
    for (const fault of faults) {
      await until(startMs + fault.atMs);
      this.#nemesis.start(fault);
    }
    await until(startMs + lengthMs - CLEAR_TIME_MS);
    await this.#attempt('every process is back after the faults', () => this.#nemesis.heal());
    const healedMs = performance.now();
    await pause(CLEAR_TIME_MS);
    await this.#clients.stop();
    await this.#attempt('every key has its copies again', () => calm(this.#site));
    this.#repairMs.push(Math.round(performance.now() - healedMs));
    await this.#judge(this.#clients.takeHistory());
  }

  /** Reads every key of a round through every coordinator, and looks for an order of all of it. */
  async #judge(seen: readonly Operation[]): Promise<void> {
    const history = [...seen];
    for (const key of new Set(seen.map((operation) => operation.key))) {
      for (const url of this.#site.urls) {
        const read = await this.#readBack(url, key);
        if (read === null) continue;
        history.push(read);
        this.#settled.set(key, read.value);
      }
    }
    this.#operations += history.length;
    const startMs = performance.now();
    const violations = [...violationsOf(history), ...revisionViolations(history)];
    this.#checkerMs += performance.now() - startMs;
    this.#findings.push(...violations);
    if (violations.length > 0) await this.#keep(history);
  }

  async #readBack(url: string, key: string): Promise<Operation | null> {
    let read: Operation | null = null;
    await this.#attempt(`${key} is read back through ${url}`, () =>
      waitFor('an answer', READ_BACK_TIMEOUT_MS, async () => {
        read = await this.#clients.readBack(url, key);
        return read.outcome === 'ok';
      }),
    );
    return read;
  }

  async #judgeTheWhole(): Promise<void> {
    for (const [key, value] of this.#settled) {
      const read = await this.#readBack(this.#site.urls[0] ?? '', key);
      if (read !== null && read.value !== value) {
        this.#findings.push(`${key} was ${value ?? 'absent'} and is ${read.value ?? 'absent'}`);
      }
    }
    await this.#attempt('states are compared and agree', () => this.#digestsAgree());
    await this.#attempt('nothing is undecided', () => allDecided(this.#site, FENCE_TIMEOUT_MS));
    await this.#attempt('nothing is left over', () => nothingIsLeft(this.#site, FENCE_TIMEOUT_MS));
    this.#findings.push(...this.#clients.wrong, ...this.#nemesis.failures);
    const unharmed = this.#site.rows.filter(({ name }) => !this.#isHarmed(name));
    this.#findings.push(...(await rebuilt({ folder: this.#site.folder, rows: unharmed })));
    for (const death of this.#site.deaths) {
      if (this.#mayDie(death)) continue;
      this.#findings.push(
        `${death.name} ended by itself: ${death.code ?? death.signal}: ${death.words}`,
      );
    }
    const { rateMin } = this.#options;
    const rate = this.#quietRate();
    if (rate === null || rate < rateMin) {
      this.#findings.push(
        `void: ${rate ?? 'no'} requests/s between faults, at least ${rateMin} wanted`,
      );
    }
  }

  /** Makes entries until every coordinator has compared its state with the others' once more. */
  async #digestsAgree(): Promise<void> {
    const fromIndex = Math.max(...(await this.#metric('minikv_raft_applied_index')));
    let isDone = false;
    const writers = Array.from({ length: ENTRY_WRITERS }, async (_, i) => {
      const url = keyUrl(this.#site.urls[i % this.#site.urls.length] ?? '', 'nothing');
      // To delete what is not there is an entry like any other, and the cheapest.
      while (!isDone) await this.#connections.call(url, { method: 'DELETE' });
    });
    try {
      await waitFor('states that agree', DIGESTS_TIMEOUT_MS, async () => {
        const agreed = await this.#metric('minikv_state_agreed_index');
        return agreed.every((index) => index > fromIndex);
      });
    } finally {
      isDone = true;
      await Promise.all(writers);
    }
    for (const name of [
      'minikv_state_diverged_total',
      'minikv_state_in_doubt',
      'minikv_lost_keys',
    ]) {
      const values = await this.#metric(name);
      if (values.some((value) => value !== 0))
        this.#findings.push(`${name} is ${values.join(', ')}`);
    }
  }

  async #metric(name: string): Promise<readonly number[]> {
    const samples = await Promise.all(this.#site.urls.map(scrape));
    return samples.map((of) => of.get(name) ?? 0);
  }

  /** Whether bytes in a file of it were changed. */
  #isHarmed(name: string): boolean {
    return this.#nemesis.passed.some(
      ({ fault }) => fault.kind === 'damage' && fault.names.includes(name),
    );
  }

  #mayDie({ name, atMs }: Death): boolean {
    return this.#nemesis.passed.some(({ fault, startMs, endMs }) => {
      const isNear = atMs >= startMs && atMs <= endMs + STARVED_MS;
      return isNear && STARVED.includes(fault.kind) && fault.names.includes(name);
    });
  }

  async #attempt(what: string, work: () => Promise<void>): Promise<void> {
    await work().catch((error: unknown) => {
      this.#findings.push(`not so: ${what}: ${String(error)}`);
      this.#say(`! not so: ${what}: ${String(error)}`);
    });
  }

  async #keep(history: readonly Operation[]): Promise<void> {
    const path = join(this.#site.folder, `history-${this.#repairMs.length}.jsonl`);
    await writeFile(path, history.map((operation) => JSON.stringify(operation)).join('\n'));
    this.#say(`! no order for a key of this round; its history is ${path}`);
  }

  /** Counts what is answered between faults, and says every 10 s how far things are. */
  #observe(): NodeJS.Timeout {
    let last = { atMs: performance.now(), answered: this.#clients.answeredMs.length };
    let saidMs = performance.now();
    let saidAnswered = 0;
    return setInterval(() => {
      const now = { atMs: performance.now(), answered: this.#clients.answeredMs.length };
      const isQuiet = this.#nemesis.quietMs > RECOVERED_MS + (now.atMs - last.atMs);
      if (isQuiet && this.#clients.isRunning) {
        this.#quiet.ms += now.atMs - last.atMs;
        this.#quiet.answered += now.answered - last.answered;
      }
      last = now;
      if (now.atMs - saidMs < PROGRESS_MS) return;
      const rate = Math.round((1000 * (now.answered - saidAnswered)) / (now.atMs - saidMs));
      const seconds = Math.round((now.atMs - this.#startMs) / 1000);
      const { passed } = this.#nemesis;
      this.#say(
        `${seconds} s: ${passed.length} faults, ${now.answered} requests answered (${rate}/s), ` +
          `${this.#site.deaths.length} ended by themselves, ${this.#findings.length} findings`,
      );
      saidMs = now.atMs;
      saidAnswered = now.answered;
    }, 500);
  }

  #quietRate(): number | null {
    const { ms, answered } = this.#quiet;
    return ms === 0 ? null : Math.round((1000 * answered) / ms);
  }

  #result(logged: ReadonlyMap<string, number>): ChaosResult {
    return {
      findings: this.#findings,
      passed: this.#nemesis.passed,
      deaths: this.#site.deaths,
      outcomes: this.#clients.outcomes,
      operations: this.#operations,
      acknowledged: this.#clients.acknowledgedMs,
      startMs: this.#startMs,
      endMs: performance.now(),
      quietRate: this.#quietRate(),
      checkerMs: Math.round(this.#checkerMs),
      repairMs: this.#repairMs,
      logged,
    };
  }
}

const MESSAGE = /"msg":"([^"]*)"/;

async function countMessages(folder: string): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const name of await readdir(folder)) {
    for (const line of (await readFile(join(folder, name), 'utf8')).split('\n')) {
      const message = MESSAGE.exec(line)?.[1];
      if (message !== undefined) counts.set(message, (counts.get(message) ?? 0) + 1);
    }
  }
  return counts;
}

const until = (atMs: number): Promise<void> => pause(atMs - performance.now());
const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
