/** What happened to objects in between two looks: a line for every change that the apiserver tells. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { findTools } from '../cluster/tools.ts';
import type { Namespace } from './namespace.ts';

const FIRST_LOOK_MS = 10_000;

export interface WatchOptions {
  /** For example `pod` or `mkv`. */
  readonly kind: string;
  readonly labels?: string;
  /** What a line has of an event (`.type`, `.object`), in the language of kubectl's `jsonpath`. */
  readonly line: string;
}

export interface Watch {
  /** The objects as they were when the watch began, and then as they became. */
  readonly lines: readonly string[];
  /** @throws Error when the watch ended before: what it then says is not the whole. */
  close(): void;
}

/** Resolves when the first object was told of. */
export async function watch(namespace: Namespace, options: WatchOptions): Promise<Watch> {
  const { kind, labels = '', line } = options;
  const { kubectl } = await findTools();
  const args = ['--namespace', namespace.name, 'get', kind, '--selector', labels, '--watch'];
  const output = ['--output-watch-events', '--output', `jsonpath=${line}{"\\n"}`];
  const child = spawn(kubectl, [...args, ...output], { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  let said = '';
  createInterface({ input: child.stdout }).on('line', (text) => lines.push(text));
  child.stderr.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  let isClosed = false;
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    const { exitCode, signalCode } = child;
    child.kill();
    if (exitCode === null && signalCode === null) return;
    throw new Error(`the watch of ${kind} ended by itself: ${said}`);
  };
  try {
    await namespace.waitFor(`a watch of ${kind}`, FIRST_LOOK_MS, () => lines.length > 0);
  } catch (error) {
    child.kill();
    throw error;
  }
  return { lines, close };
}
