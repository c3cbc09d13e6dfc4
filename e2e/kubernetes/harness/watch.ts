/** What happened to objects in between two looks: a line for every change that the apiserver tells. */
import { spawn } from 'node:child_process';
import { findTools } from '../cluster/tools.ts';
import type { Namespace } from './namespace.ts';

export interface WatchOptions {
  /** For example `pod` or `mkv`. */
  readonly kind: string;
  readonly labels?: string;
  /** What a line has of an object, in the language of kubectl's `jsonpath`. */
  readonly line: string;
}

export interface Watch {
  /** The objects as they were when the watch began, and then as they became. */
  readonly lines: readonly string[];
  close(): void;
}

/** Resolves when the first object was told of. */
export async function watch(namespace: Namespace, options: WatchOptions): Promise<Watch> {
  const { kind, labels = '', line } = options;
  const { kubectl } = await findTools();
  const args = ['--namespace', namespace.name, 'get', kind, '--selector', labels, '--watch'];
  const output = ['--output', `jsonpath=${line}{"\\n"}`];
  const child = spawn(kubectl, [...args, ...output], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const whole = `${rest}${text}`.split('\n');
    rest = whole.pop() ?? '';
    lines.push(...whole);
  });
  await namespace.waitFor(`a watch of ${kind}`, 10_000, () => lines.length > 0);
  return {
    lines,
    close: () => {
      child.kill();
    },
  };
}
