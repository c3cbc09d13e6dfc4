/**
 * Processes of one peer: each in a process group of its own, so that Ctrl-C reaches only us, with its
 * output in a file of its folder. What was started is ended, whatever happens in between.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SECOND_MS } from '../../common/units.ts';
import type { ProcessPlan } from './peer.ts';

/** After this long a process that was asked to stop is killed. */
const STOP_MS = 60 * SECOND_MS;
const LAST_WORDS_MAX = 400;

interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
}

export class Processes {
  readonly #plans: readonly ProcessPlan[];
  readonly #folder: string;
  readonly #running = new Map<string, Running>();
  /** Names of those that ended unasked, and how. */
  readonly #died = new Map<string, string>();

  constructor(plans: readonly ProcessPlan[], folder: string) {
    this.#plans = plans;
    this.#folder = folder;
  }

  async startAll(): Promise<void> {
    await mkdir(this.#folder, { recursive: true });
    for (const { name, folder } of this.#plans) {
      if (folder !== undefined) await mkdir(folder, { recursive: true });
      this.start(name);
    }
  }

  start(name: string): void {
    const plan = this.#plans.find((each) => each.name === name);
    const [program, ...args] = plan?.command ?? [];
    if (plan === undefined || program === undefined) throw new Error(`there is no process ${name}`);
    const log = openSync(this.#logOf(name), 'a');
    const child = spawn(program, args, {
      cwd: this.#folder,
      env: { ...process.env, ...plan.env },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#died.delete(name);
    const ended = new Promise<void>((settle) => {
      const bury = (how: string): void => {
        if (this.#running.get(name)?.child === child) {
          this.#running.delete(name);
          this.#died.set(name, how);
        }
        settle();
      };
      child.once('error', (error) => bury(error.message));
      child.once('exit', (code, signal) => bury(signal ?? `code ${code ?? '?'}`));
    });
    this.#running.set(name, { child, ended });
  }

  get pids(): readonly number[] {
    return [...this.#running.values()].flatMap(({ child }) => child.pid ?? []);
  }

  /** What ended unasked, with its last words; null: all are running. */
  async death(): Promise<string | null> {
    const [first] = this.#died;
    if (first === undefined) return null;
    const [name, how] = first;
    const text = await readFile(this.#logOf(name), 'utf8').catch(() => '');
    const words = text.trimEnd().slice(-LAST_WORDS_MAX).split('\n').at(-1) ?? '';
    return `${name} ended (${how}): ${words}`;
  }

  /** By SIGKILL, at once. */
  async kill(name: string): Promise<void> {
    const running = this.#forget(name);
    running?.child.kill('SIGKILL');
    await running?.ended;
  }

  /** In good order; whoever does not stop in time is killed. */
  async stop(): Promise<void> {
    const all = [...this.#running.keys()].flatMap((name) => this.#forget(name) ?? []);
    for (const { child } of all) child.kill('SIGTERM');
    const late = setTimeout(() => all.forEach(({ child }) => child.kill('SIGKILL')), STOP_MS);
    await Promise.all(all.map(({ ended }) => ended));
    clearTimeout(late);
  }

  /** All at once by SIGKILL: for data that is thrown away. */
  async end(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((name) => this.kill(name)));
  }

  /** Like `end`, without a wait: what a program does when it ends itself. */
  killAll(): void {
    for (const { child } of this.#running.values()) child.kill('SIGKILL');
  }

  #forget(name: string): Running | undefined {
    const running = this.#running.get(name);
    this.#running.delete(name);
    return running;
  }

  #logOf(name: string): string {
    return join(this.#folder, `${name}.log`);
  }
}
