/**
 * `minikv local`: a whole cluster of real processes on loopback. It starts each process once, says who
 * leads and who died, and stops all when asked. It never restarts one: a crash is for eyes to see.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KvError } from '../common/errors.ts';
import { MINUTE_MS, SECOND_MS } from '../common/units.ts';
import { type LocalProcess, mismatch, type Programs, planOf, processesOf } from './local-plan.ts';
import { LocalWatch } from './local-watch.ts';
import { FAILED, type LocalRequest, OK } from './program.ts';
import type { Terminal } from './terminal.ts';

/** After this long a process that was asked to stop is killed. */
const STOP_MS = MINUTE_MS;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What a local cluster takes from the machine it runs on. */
export interface LocalParts {
  readonly programs: Programs;
  /** Calls `stop` whenever someone asks for an end; answers how to listen no more. */
  readonly onStop: (stop: () => void) => () => void;
}

/** Runs until it is asked to stop. @throws KvError `INVALID_ARGUMENT` when it cannot start. */
export async function runLocalCluster(
  request: LocalRequest,
  terminal: Terminal,
  parts: LocalParts,
): Promise<number> {
  const dataDir = resolve(request.dataDir);
  const planned = planOf({ ...request, dataDir }, parts.programs);
  await checkFolder(dataDir, planned);
  await checkPorts(planned, dataDir);
  await mkdir(join(dataDir, 'logs'), { recursive: true });
  const cluster = new LocalCluster({ dataDir, planned, terminal });
  const listenNoMore = parts.onStop(() => cluster.stop());
  try {
    return await cluster.run();
  } finally {
    listenNoMore();
  }
}

/**
 * V8 begins with a small heap and counts buffers into it, so that a stream of large values would make
 * it collect everything every few MiB. With room from the start it does so an order less often.
 */
const V8_FLAGS = ['--initial-old-space-size=96'];

/** The programs that stand beside this one, built or not, and the signals of a terminal. */
export function thisMachine(): LocalParts {
  const extension = extname(import.meta.url);
  const program = (room: string): readonly string[] => [
    process.execPath,
    ...V8_FLAGS,
    fileURLToPath(new URL(`../${room}/main${extension}`, import.meta.url)),
  ];
  return {
    programs: { coordinator: program('coordinator'), volume: program('volume') },
    onStop(stop) {
      for (const signal of SIGNALS) process.on(signal, stop);
      return () => {
        for (const signal of SIGNALS) process.off(signal, stop);
      };
    },
  };
}

const PROCESSES = 'processes.json';

/** A folder keeps its counts and ports: its members' addresses are part of its data. */
async function checkFolder(dataDir: string, planned: readonly LocalProcess[]): Promise<void> {
  const text = await readFile(join(dataDir, PROCESSES), 'utf8').catch(() => null);
  if (text === null) return;
  const sentence = mismatch(processesOf(text), planned, dataDir);
  if (sentence !== null) throw new KvError('INVALID_ARGUMENT', sentence);
}

async function checkPorts(planned: readonly LocalProcess[], dataDir: string): Promise<void> {
  for (const { http, grpc } of planned) {
    for (const address of [http, grpc]) {
      const port = Number(address.split(':').at(-1));
      if (await isFree(port)) continue;
      throw new KvError(
        'INVALID_ARGUMENT',
        `port ${port} is in use: give another --base-port, or stop what listens there ` +
          `(an earlier start of this folder has its pids in ${join(dataDir, PROCESSES)})`,
      );
    }
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((settle) => {
    const probe = createServer();
    probe.once('error', () => settle(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => settle(true)));
  });

interface Running {
  readonly planned: LocalProcess;
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

interface ClusterOptions {
  readonly dataDir: string;
  readonly planned: readonly LocalProcess[];
  readonly terminal: Terminal;
}

class LocalCluster {
  readonly #options: ClusterOptions;
  readonly #running = new Map<string, Running>();
  /** One for each process ever started: its end is told and written down. */
  readonly #buried: Promise<void>[] = [];
  #stopping = false;
  #recorded: Promise<void> = Promise.resolve();
  #code = OK;
  readonly #asked = Promise.withResolvers<undefined>();

  constructor(options: ClusterOptions) {
    this.#options = options;
  }

  /** Asks `run` to end; asking again changes nothing. */
  stop(): void {
    this.#asked.resolve(undefined);
  }

  async run(): Promise<number> {
    const { planned } = this.#options;
    this.#say(`starting ${planned.length} processes in ${this.#options.dataDir}`);
    for (const each of planned) this.#start(each);
    await this.#record();
    const watch = new LocalWatch(planned, {
      say: (line) => this.#say(line),
      ready: () => this.#ready(),
      isRunning: (name) => this.#running.has(name),
    });
    watch.start();
    await this.#asked.promise;
    this.#stopping = true;
    await watch.stop();
    await this.#stopAll();
    await Promise.all(this.#buried);
    await this.#record();
    return this.#code;
  }

  #start(planned: LocalProcess): void {
    const [program = '', ...args] = planned.command;
    const log = openSync(this.#logOf(planned.name), 'a');
    // A process group of its own: Ctrl-C reaches us alone, and we stop the others in good order.
    const child = spawn(program, args, { stdio: ['ignore', log, log], detached: true });
    closeSync(log);
    const ended = new Promise<void>((settle) => {
      const bury = (how: string): void => void this.#bury(planned.name, how).then(settle);
      child.once('error', (error) => bury(error.message));
      child.once('exit', (code, signal) => bury(signal ?? `code ${code ?? '?'}`));
    });
    this.#running.set(planned.name, { planned, child, ended });
    this.#buried.push(ended);
  }

  async #bury(name: string, how: string): Promise<void> {
    this.#running.delete(name);
    if (this.#stopping) return;
    const last = await lastWords(this.#logOf(name));
    this.#say(`${name} died (${how}); it is not restarted. Its last words: ${last}`);
    await this.#record();
    if (this.#running.size > 0) return;
    this.#say('no process is left');
    this.#code = FAILED;
    this.stop();
  }

  /** Rewrites processes.json, one time after the other: several may die at once. */
  #record(): Promise<void> {
    this.#recorded = this.#recorded.then(() => this.#write());
    return this.#recorded;
  }

  /** Atomically; a process that is gone has pid 0. */
  async #write(): Promise<void> {
    const { dataDir, planned } = this.#options;
    const processes = planned.map((each) => ({
      ...each,
      pid: this.#running.get(each.name)?.child.pid ?? 0,
    }));
    const path = join(dataDir, PROCESSES);
    await writeFile(`${path}.new`, `${JSON.stringify(processes, null, 2)}\n`);
    await rename(`${path}.new`, path);
  }

  #ready(): void {
    const url = this.#options.planned[0]?.http ?? '';
    this.#say(`minikv is ready: ${url}`);
    this.#say(`next: curl -T README.md ${url}/kv/readme && curl ${url}/kv/readme`);
  }

  async #stopAll(): Promise<void> {
    const running = [...this.#running.values()];
    if (running.length === 0) return;
    this.#say(`stopping ${running.length} processes`);
    for (const { child } of running) child.kill('SIGTERM');
    const late = setTimeout(() => {
      for (const { planned, child } of this.#running.values()) {
        this.#say(`${planned.name} does not stop in ${STOP_MS / SECOND_MS} s and is killed`);
        child.kill('SIGKILL');
      }
    }, STOP_MS);
    await Promise.all(running.map(({ ended }) => ended));
    clearTimeout(late);
    this.#say('all stopped; the data stays');
  }

  #logOf(name: string): string {
    return join(this.#options.dataDir, 'logs', `${name}.log`);
  }

  #say(line: string): void {
    this.#options.terminal.stdout.write(`${line}\n`);
  }
}

const LAST_WORDS_MAX = 300;

/** The end of a log for eyes: of a structured line its message and error. */
async function lastWords(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  return (wordsOf(line) ?? line).slice(0, LAST_WORDS_MAX);
}

function wordsOf(line: string): string | null {
  const json = parsed(line);
  const message = textIn(json, 'msg');
  if (message === null) return null;
  const error = textIn(fieldOf(json, 'error'), 'message');
  return error === null ? message : `${message}: ${error}`;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

const fieldOf = (json: unknown, name: string): unknown =>
  typeof json === 'object' && json !== null ? new Map(Object.entries(json)).get(name) : undefined;

function textIn(json: unknown, name: string): string | null {
  const text = fieldOf(json, name);
  return typeof text === 'string' ? text : null;
}
