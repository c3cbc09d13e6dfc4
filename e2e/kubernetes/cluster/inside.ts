/**
 * The first steps within the namespaces of a node or of the control plane, and the watch over its
 * programs: each is started again when it ends.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';
import { LOGS } from './settings.ts';

const RESTART_AFTER_MS = 1_000;

/** Gives the namespaces a name, a `/sys` that shows their own network, and an empty `/run`. */
export async function settleIn(name: string, folder: string): Promise<void> {
  await run('hostname', [name]);
  await run('mount', ['--make-rshared', '/']);
  const system = join(folder, 'sys');
  mkdirSync(system, { recursive: true });
  await run('mount', ['-t', 'sysfs', 'sysfs', system]);
  await run('mount', ['--rbind', '/sys/fs/cgroup', join(system, 'fs/cgroup')]);
  await run('mount', ['--rbind', system, '/sys']);
  await run('mount', ['-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run']);
  for (const path of ['/run/lock', '/run/containerd', '/run/netns']) mkdirSync(path);
}

/** Runs a program for as long as the node runs; its output goes to a log of that name. */
export function supervise(name: string, program: string, args: readonly string[]): void {
  const log = openSync(join(LOGS, `${name}.log`), 'a');
  const start = (): void => {
    writeSync(log, `--- ${new Date().toISOString()} start\n`);
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    child.on('error', (error) => {
      writeSync(log, `--- ${error.message}\n`);
    });
    child.on('close', (code, signal) => {
      writeSync(log, `--- ended with ${signal ?? String(code)}\n`);
      setTimeout(start, RESTART_AFTER_MS);
    });
  };
  start();
}

/** Spells settings as the flags of a Go program. */
export function flags(settings: Readonly<Record<string, string | number | boolean>>): string[] {
  return Object.entries(settings).map(([name, value]) => `--${name}=${String(value)}`);
}
