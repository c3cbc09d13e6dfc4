/** What a story's pods went through, in the order in which the apiserver told it: nothing is polled. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { waitFor } from '../../harness/wait-for.ts';
import { findTools } from '../cluster/tools.ts';

const FIRST_LOOK_MS = 20_000;
/** A line an event: what happened, to whom, whether it is ready, and when it was told to go. */
const FIELDS = [
  '.type',
  '.object.metadata.name',
  '.object.status.conditions[?(@.type=="Ready")].status',
  '.object.metadata.deletionTimestamp',
];
const LINE = `jsonpath=${FIELDS.map((field) => `{${field}}`).join('|')}{"\\n"}`;

export class PodWatch {
  readonly #child: ChildProcess;
  readonly #expected: readonly string[];
  readonly #serving = new Set<string>();
  readonly #leaving = new Set<string>();
  readonly #removed: string[] = [];
  #worst: readonly string[] = [];
  #said = '';
  #isClosed = false;

  private constructor(child: ChildProcess, expected: readonly string[]) {
    this.#child = child;
    this.#expected = expected;
  }

  /** Resolves once all of `expected` are seen to be ready. */
  static async start(namespace: string, expected: readonly string[]): Promise<PodWatch> {
    const { kubectl } = await findTools();
    const args = ['get', 'pods', '--namespace', namespace, '--watch', '--output-watch-events'];
    const child = spawn(kubectl, [...args, '--output', LINE], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const watch = new PodWatch(child, expected);
    createInterface({ input: child.stdout }).on('line', (line) => {
      watch.#take(line);
    });
    child.stderr.on('data', (bytes: Buffer) => {
      watch.#said += bytes.toString();
    });
    try {
      await waitFor('all pods to be seen ready', FIRST_LOOK_MS, () => watch.away.length === 0);
    } catch (error) {
      child.kill();
      throw error;
    }
    watch.#worst = [];
    return watch;
  }

  /** Those that are missing, not ready or on their way out. */
  get away(): readonly string[] {
    return this.#expected.filter((name) => !this.#serving.has(name));
  }

  /** The most that were away at one moment. */
  get worst(): readonly string[] {
    return this.#worst;
  }

  /** Who was told to go, in that order. */
  get removed(): readonly string[] {
    return this.#removed;
  }

  /** @throws Error when the watch ended before: what it then says of the pods is not the whole. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const { exitCode, signalCode } = this.#child;
    this.#child.kill();
    if (exitCode === null && signalCode === null) return;
    throw new Error(`the watch of pods ended by itself: ${this.#said}`);
  }

  #take(line: string): void {
    const [event = '', name = '', ready = '', deleted = ''] = line.split('|');
    const isGone = event === 'DELETED';
    const isLeaving = isGone || deleted !== '';
    if (isLeaving && !this.#leaving.has(name)) this.#removed.push(name);
    if (isLeaving && !isGone) this.#leaving.add(name);
    else this.#leaving.delete(name);
    if (ready === 'True' && !isLeaving) this.#serving.add(name);
    else this.#serving.delete(name);
    if (this.away.length > this.#worst.length) this.#worst = this.away;
  }
}
