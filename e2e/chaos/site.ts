/**
 * Three coordinators and three volumes as a nemesis needs them: each at its own address, killed, held
 * still and started at will, on a small file system or under a turned clock where the machine allows
 * it. Whoever dies without having been killed is noted and started again, as an init system does.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { present } from '../../services/common/assert.ts';
import type { ProcessRow } from '../harness/cluster.ts';
import { call } from '../harness/kv.ts';
import { waitFor } from '../harness/wait-for.ts';
import type { Network, Ports } from './network.ts';
import { COORDINATORS, VOLUMES } from './schedule.ts';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');
const HOSTS = join(ROOT, 'e2e/harness/hosts.ts');
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning', '--import', HOSTS];
const STOP_TIMEOUT_MS = 60_000;
const RESTART_MS = 1000;
const KIB = 1024;
/** Room of a file system that can be filled: the store's reserve and much more than the load needs. */
const SMALL_DISK_BYTES = 320 * KIB * KIB;

/** Small and short, so that a minute sees segments sealed, logs cut and fences pass. */
const SETTINGS: Readonly<Record<string, string>> = {
  MINIKV_REQUEST_TIMEOUT: '5s',
  MINIKV_FENCE: '10s',
  MINIKV_GRACE: '12s',
  MINIKV_SEGMENT_BYTES: '2MiB',
  MINIKV_RESERVE: '32MiB',
  MINIKV_BLOB_CACHE: '1MiB',
};

export interface Death {
  readonly name: string;
  readonly atMs: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly words: string;
}

export interface SiteOptions {
  readonly folder: string;
  readonly ports: Ports;
  /** Processes whose folder is a small file system of its own. */
  readonly fillable: readonly string[];
  /** Processes whose clock can be turned, and the library that does it. */
  readonly clocked: readonly string[];
  readonly clockLibrary: string | null;
}

interface Node {
  readonly row: ProcessRow;
  child: ChildProcess | null;
  /** It is meant to run. */
  isWanted: boolean;
  lastWords: string;
}

export class Site {
  readonly folder: string;
  readonly rows: readonly ProcessRow[];
  /** Every end that nobody here brought about, in order. */
  readonly deaths: Death[] = [];
  readonly #options: SiteOptions;
  readonly #network: Network;
  readonly #nodes: ReadonlyMap<string, Node>;
  #stopping = false;

  private constructor(network: Network, options: SiteOptions) {
    this.#network = network;
    this.#options = options;
    this.folder = options.folder;
    this.rows = [...COORDINATORS, ...VOLUMES].map((name) => this.#rowOf(name));
    this.#nodes = new Map(
      this.rows.map((row) => [row.name, { row, child: null, isWanted: false, lastWords: '' }]),
    );
  }

  static async create(network: Network, options: SiteOptions): Promise<Site> {
    const site = new Site(network, options);
    await mkdir(join(options.folder, 'logs'), { recursive: true });
    for (const { name, dataDir } of site.rows) {
      const disk = site.diskOf(name);
      await mkdir(disk, { recursive: true });
      if (options.fillable.includes(name)) {
        await run('mount', ['-t', 'tmpfs', '-o', `size=${SMALL_DISK_BYTES}`, `disk-${name}`, disk]);
      }
      await mkdir(dataDir);
      await writeFile(site.#clockFile(name), '+0\n');
    }
    return site;
  }

  /** HTTP addresses of the coordinators themselves, past every proxy. */
  get urls(): readonly string[] {
    return this.rows.filter(({ role }) => role === 'coordinator').map(({ http }) => http);
  }

  /** The folder that a full disk fills: the data is below it. */
  diskOf(name: string): string {
    return join(this.folder, name);
  }

  row(name: string): ProcessRow {
    return this.#node(name).row;
  }

  pid(name: string): number | null {
    return this.#node(name).child?.pid ?? null;
  }

  start(name: string): void {
    const node = this.#node(name);
    node.isWanted = true;
    if (node.child !== null || this.#stopping) return;
    const [program = '', ...args] = this.#network.wrap(name, node.row.command);
    const log = openSync(join(this.folder, 'logs', `${name}.log`), 'a');
    const child = spawn(program, args, {
      cwd: ROOT,
      env: this.#environmentOf(name),
      stdio: ['ignore', log, 'pipe'],
    });
    child.stderr?.on('data', (piece: Buffer) => this.#hear(node, log, piece));
    node.child = child;
    child.once('close', (code, signal) => {
      closeSync(log);
      node.child = null;
      this.#bury(node, code, signal);
    });
  }

  startAll(): void {
    for (const { name } of this.rows) this.start(name);
  }

  /** Ends a process and keeps it down; resolves once it is gone. */
  async kill(name: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const node = this.#node(name);
    node.isWanted = false;
    const { child } = node;
    if (child === null) return;
    child.kill(signal);
    const isGone = (): boolean => node.child !== child;
    await waitFor(`${name} ends after ${signal}`, STOP_TIMEOUT_MS, isGone);
  }

  /** Holds a process still, or lets it go on. */
  signal(name: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#node(name).child?.kill(signal);
  }

  /** Turns the wall clock of a process by so many seconds from the true time. */
  async turnClock(name: string, seconds: number): Promise<void> {
    await writeFile(this.#clockFile(name), `${seconds < 0 ? '' : '+'}${seconds}\n`);
  }

  /** How many files a process may have open: those of now and `more`, or as many as ever. */
  async limitDescriptors(name: string, more: number | null): Promise<void> {
    const pid = this.pid(name);
    if (pid === null) return;
    const limits = await readFile(`/proc/${pid}/limits`, 'utf8').catch(() => '');
    const hard = /^Max open files +\d+ +(\d+)/m.exec(limits)?.[1];
    const open = await readdir(`/proc/${pid}/fd`).catch(() => null);
    if (open === null || hard === undefined) return;
    const soft = more === null ? hard : String(open.length + more);
    await run('prlimit', ['--pid', String(pid), `--nofile=${soft}:${hard}`]).catch(
      (error: unknown) => {
        // A process that has just ended has no limits.
        if (this.pid(name) === pid) throw error;
      },
    );
  }

  /** It answers HTTP at all: whether it may serve depends on the others too. */
  async isAlive(name: string): Promise<boolean> {
    return (await call(`${this.row(name).http}/health/live`, {}, 1000)).status === 200;
  }

  async isReady(name: string): Promise<boolean> {
    return (await call(`${this.row(name).http}/health/ready`, {}, 1000)).status === 200;
  }

  /** Who says that it leads; null where nobody does. */
  async leader(): Promise<string | null> {
    for (const { name, http, role } of this.rows) {
      if (role !== 'coordinator') continue;
      const { status, body } = await call(`${http}/admin/status`, {}, 1000);
      if (status === 200 && body.includes('"is_leader":true')) return name;
    }
    return null;
  }

  async ready(timeoutMs = 60_000): Promise<void> {
    for (const { name } of this.rows) {
      await waitFor(`${name} is ready`, timeoutMs, () => this.isReady(name));
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const { name } of this.rows) this.signal(name, 'SIGCONT');
    await Promise.all(this.rows.map(({ name }) => this.kill(name, 'SIGTERM')));
  }

  /** Gives small file systems back; of what they hold only a copy stays, where one is wanted. */
  async unmount(isKept: boolean): Promise<void> {
    for (const name of this.#options.fillable) {
      const disk = this.diskOf(name);
      if (isKept) await run('cp', ['-a', disk, `${disk}.kept`]);
      await run('umount', [disk]);
    }
  }

  /** At once, whatever they do. */
  abort(): void {
    this.#stopping = true;
    for (const { child } of this.#nodes.values()) child?.kill('SIGKILL');
  }

  #node(name: string): Node {
    return present(this.#nodes.get(name), `a process ${name}`);
  }

  #hear(node: Node, log: number, piece: Buffer): void {
    writeSync(log, piece);
    node.lastWords = `${node.lastWords}${piece.toString()}`.slice(-LAST_WORDS_MAX);
  }

  #bury(node: Node, code: number | null, signal: NodeJS.Signals | null): void {
    const { name } = node.row;
    const words = node.lastWords.trimEnd().split('\n').at(-1) ?? '';
    node.lastWords = '';
    if (!node.isWanted || this.#stopping) return;
    this.deaths.push({ name, atMs: performance.now(), code, signal, words });
    setTimeout(() => {
      if (node.isWanted) this.start(name);
    }, RESTART_MS);
  }

  #clockFile(name: string): string {
    return join(this.folder, `clock-${name}`);
  }

  #environmentOf(name: string): NodeJS.ProcessEnv {
    const { clocked, clockLibrary, folder } = this.#options;
    const common = {
      ...process.env,
      ...SETTINGS,
      HOSTS_FILE: this.#network.hostsFile(name),
      NODE_COMPILE_CACHE: join(folder, 'compiled'),
    };
    if (clockLibrary === null || !clocked.includes(name)) return common;
    return {
      ...common,
      LD_PRELOAD: clockLibrary,
      FAKETIME_TIMESTAMP_FILE: this.#clockFile(name),
      FAKETIME_CACHE_DURATION: '1',
      // The wall clock jumps; the monotonic one never does.
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  #rowOf(name: string): ProcessRow {
    const { http, grpc } = this.#options.ports;
    const role = name.startsWith('c') ? 'coordinator' : 'volume';
    const address = this.#network.addressOf(name);
    const dataDir = join(this.diskOf(name), 'data');
    const peers = COORDINATORS.map((peer) => `${peer}=${peer}.test:${grpc}`).join(',');
    const coordinators = COORDINATORS.map((peer) => `${peer}.test:${grpc}`).join(',');
    const own =
      role === 'coordinator'
        ? ['--db', dataDir, '--peers', peers]
        : ['--data', dataDir, '--coordinators', coordinators];
    const shared = [
      ...['--id', name, '--bind', `${address}:${http}`, '--grpc', `${address}:${grpc}`],
      ...['--advertise', `${name}.test:${grpc}`],
    ];
    const main = join(ROOT, 'services', role, 'main.ts');
    return {
      name,
      role,
      pid: 0,
      http: `http://${address}:${http}`,
      grpc: `${address}:${grpc}`,
      dataDir,
      command: [process.execPath, ...NODE_FLAGS, main, 'serve', ...shared, ...own],
    };
  }
}

const LAST_WORDS_MAX = 4000;
