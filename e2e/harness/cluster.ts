/**
 * A real cluster on loopback, started the way a user starts it (`minikv local`). `processes.json` in
 * its folder says how to kill and restart each process by hand; this harness does just that.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { waitFor } from './wait-for.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const CLI = join(ROOT, 'services/cli/main.ts');
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];
const READY = /minikv is ready: (http:\/\/\S+)/;
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 60_000;

/** For stories of what volumes do with values of any size: none stays with its key. */
export const ON_VOLUMES = { MINIKV_INLINE_MAX: '0' } as const;

/** One row of `processes.json`. */
export interface ProcessRow {
  readonly name: string;
  readonly role: 'coordinator' | 'volume';
  readonly pid: number;
  readonly http: string;
  readonly grpc: string;
  readonly dataDir: string;
  readonly command: readonly string[];
}

export class Cluster {
  readonly folder: string;
  /** HTTP addresses of the coordinators. */
  readonly urls: readonly string[];
  readonly rows: readonly ProcessRow[];
  #local: ChildProcess;
  /** Environment of every process of this cluster. */
  readonly #env: NodeJS.ProcessEnv;
  /** Processes that this harness restarted itself, by name. */
  readonly #restarted = new Map<string, ChildProcess>();
  readonly #pids: Map<string, number>;

  private constructor(
    folder: string,
    started: { readonly local: ChildProcess; readonly env: NodeJS.ProcessEnv },
    rows: readonly ProcessRow[],
  ) {
    this.folder = folder;
    this.#local = started.local;
    this.#env = started.env;
    this.rows = rows;
    this.urls = rows.filter(({ role }) => role === 'coordinator').map(({ http }) => httpUrl(http));
    this.#pids = new Map(rows.map(({ name, pid }) => [name, pid]));
  }

  /**
   * Starts a cluster in a new folder and waits until it says that it is ready. `variables`: more
   * environment for all of its processes, restarted ones too. `cli`: the command line that starts it.
   */
  static async start(
    extra: readonly string[] = [],
    variables: Readonly<Record<string, string>> = {},
    cli = CLI,
  ): Promise<Cluster> {
    const folder = await mkdtemp(join(tmpdir(), 'minikv-e2e-'));
    const basePort = await freeBasePort();
    const env = { ...process.env, ...variables };
    const command = [cli, 'local', '--data-dir', folder, '--base-port', String(basePort)];
    const local = spawn(process.execPath, [...NODE_FLAGS, ...command, ...extra], {
      cwd: ROOT,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    await readyLine(local);
    const rows = JSON.parse(await readFile(join(folder, 'processes.json'), 'utf8')) as ProcessRow[];
    return new Cluster(folder, { local, env }, rows);
  }

  row(name: string): ProcessRow {
    const found = this.rows.find((row) => row.name === name);
    if (found === undefined) throw new Error(`no process ${name}`);
    return found;
  }

  /** Process id of a process in its present life. */
  pid(name: string): number {
    const pid = this.#pids.get(name);
    if (pid === undefined) throw new Error(`no process ${name}`);
    return pid;
  }

  /** Resolves once a process is gone that somebody else has killed. */
  async death(name: string, timeoutMs: number): Promise<void> {
    const pid = this.pid(name);
    await waitFor(`${name} is gone`, timeoutMs, () => !alive(pid));
  }

  /** Signals one process; resolves once it is gone (unless it was only paused or resumed). */
  async kill(name: string, signal: NodeJS.Signals): Promise<void> {
    const pid = this.pid(name);
    process.kill(pid, signal);
    if (signal === 'SIGSTOP' || signal === 'SIGCONT') return;
    await waitFor(`${name} ends after ${signal}`, STOP_TIMEOUT_MS, () => !alive(pid));
  }

  /** Starts a killed process again by its command, with changed arguments where given. */
  restart(
    name: string,
    change: (argv: readonly string[]) => readonly string[] = (argv) => argv,
  ): void {
    const [program, ...args] = change(this.row(name).command);
    if (program === undefined) throw new Error(`no command for ${name}`);
    const child = spawn(program, args, {
      cwd: ROOT,
      env: this.#env,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    keepTail(child);
    child.stderr.pipe(createWriteStream(this.#logOf(name), { flags: 'a' }));
    if (child.pid === undefined) throw new Error(`${name} did not start`);
    this.#restarted.set(name, child);
    this.#pids.set(name, child.pid);
  }

  /** The last words of a process that this harness restarted. */
  lastWords(name: string): string {
    const child = this.#restarted.get(name);
    return child === undefined ? '' : (TAILS.get(child) ?? []).join('');
  }

  /** The structured lines that a restarted process has logged in its present life. */
  lines(name: string): readonly Record<string, unknown>[] {
    const whole = this.lastWords(name).split('\n').slice(0, -1);
    return whole
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** What a process has logged since the cluster was made, in all its lives. */
  log(name: string): Promise<string> {
    return readFile(this.#logOf(name), 'utf8');
  }

  /** Resolves once a process has ended by itself, with its exit code. */
  async ended(name: string, timeoutMs: number): Promise<number | null> {
    const child = this.#restarted.get(name);
    if (child === undefined) throw new Error(`${name} was not restarted here`);
    await waitFor(`${name} ends`, timeoutMs, () => child.exitCode !== null);
    return child.exitCode;
  }

  async status(url: string): Promise<Record<string, unknown>> {
    const answer = await fetch(`${url}/admin/status`, { signal: AbortSignal.timeout(2000) });
    return (await answer.json()) as Record<string, unknown>;
  }

  /** Name of the coordinator that leads, as its own status says. */
  async leader(): Promise<string> {
    let name = '';
    await waitFor('a leader', 20_000, async () => {
      for (const row of this.rows) {
        if (row.role !== 'coordinator') continue;
        const status = await this.status(httpUrl(row.http)).catch(() => null);
        if (status?.['is_leader'] === true) name = row.name;
      }
      return name !== '';
    });
    return name;
  }

  /** Waits until every process answers that it is ready. */
  async ready(timeoutMs = 60_000): Promise<void> {
    for (const row of this.rows) {
      await waitFor(`${row.name} is ready`, timeoutMs, async () => {
        const answer = await fetch(`${httpUrl(row.http)}/health/ready`, {
          signal: AbortSignal.timeout(2000),
        });
        await answer.arrayBuffer();
        return answer.status === 200;
      });
    }
  }

  #logOf(name: string): string {
    return join(this.folder, 'logs', `${name}.log`);
  }

  /** Stops everything gracefully and removes the folder. */
  async stop(): Promise<void> {
    const children = [this.#local, ...this.#restarted.values()].filter(
      (child) => child.exitCode === null && child.signalCode === null,
    );
    for (const child of children) child.kill('SIGTERM');
    // `minikv local` too: it notes each death in its folder.
    const pids = [...this.#pids.values(), ...children.flatMap(({ pid }) => pid ?? [])];
    for (const pid of pids) {
      await waitFor(`process ${pid} ends`, STOP_TIMEOUT_MS, () => !alive(pid)).catch(() => {
        process.kill(pid, 'SIGKILL');
      });
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

export const httpUrl = (address: string): string =>
  address.startsWith('http') ? address : `http://${address}`;

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const TAIL_PIECES_MAX = 2000;
const TAILS = new WeakMap<ChildProcess, string[]>();

/** Keeps the last output of a child, for failures. */
function keepTail(child: ChildProcess): string[] {
  const tail: string[] = [];
  TAILS.set(child, tail);
  const keep = (piece: Buffer): void => {
    tail.push(piece.toString());
    if (tail.length > TAIL_PIECES_MAX) tail.shift();
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  return tail;
}

async function readyLine(child: ChildProcess): Promise<void> {
  const tail = keepTail(child);
  await waitFor('the ready line', START_TIMEOUT_MS, () => {
    if (child.exitCode !== null) throw new Error(`minikv local ended: ${tail.join('')}`);
    return READY.test(tail.join(''));
  }).catch((error: Error) => {
    child.kill('SIGTERM');
    throw new Error(`${error.message}\n${tail.join('')}`);
  });
}

/** A base port whose neighbours (coordinators up to +9, volumes from +1000 on) are free. */
async function freeBasePort(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const base = 20_000 + Math.floor(Math.random() * 300) * 10;
    const ports = Array.from({ length: 6 }, (_, i) => [base + i, base + 1000 + i]).flat();
    const free = await Promise.all(ports.map(isFree));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no free ports');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}
