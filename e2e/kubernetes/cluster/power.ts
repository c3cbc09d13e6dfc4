/**
 * Power of a node or of the control plane: a first process in namespaces of its own. When it ends,
 * everything in the node ends with it at once, as when a machine loses power.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../harness/wait-for.ts';
import { run } from './run.ts';
import { LOGS, namespaceOf, STATE } from './settings.ts';

const FOLDER = join(STATE, 'power');
const MAIN = join(import.meta.dirname, 'main.ts');
const ISOLATION = ['--mount', '--pid', '--uts', '--ipc', '--mount-proc', '--propagation=private'];
const END_TIMEOUT_MS = 10_000;

interface Power {
  readonly pid: number;
  /** In ticks since the machine started: tells the process from a later one with its number. */
  readonly startTicks: string;
  readonly sinceMs: number;
}

/** Starts a node or the control plane, unless it runs. */
export function powerOn(name: string): void {
  if (powerOf(name) !== undefined) return;
  mkdirSync(FOLDER, { recursive: true });
  const log = openSync(join(LOGS, `${name}.log`), 'a');
  // tini reaps what the containers' shims leave behind; `ip netns exec` would hide the cgroups.
  const child = spawn(
    'nsenter',
    [
      `--net=/run/netns/${namespaceOf(name)}`,
      'unshare',
      ...ISOLATION,
      '--fork',
      '--kill-child=SIGKILL',
      'tini',
      '--',
      process.execPath,
      MAIN,
      'inside',
      name,
    ],
    { detached: true, stdio: ['ignore', log, log] },
  );
  const { pid } = child;
  if (pid === undefined) throw new Error(`${name} did not start`);
  child.unref();
  const power: Power = { pid, startTicks: startTicksOf(pid) ?? '', sinceMs: Date.now() };
  writeFileSync(fileOf(name), JSON.stringify(power));
}

/** Ends a node at once; its files stay. */
export async function powerOff(name: string): Promise<void> {
  const power = powerOf(name);
  if (power !== undefined) {
    // Its holder ends with it, having seen it end; before it is there, the holder is ended.
    process.kill(firstProcess(power) ?? power.pid, 'SIGKILL');
    await waitFor(`${name} to end`, END_TIMEOUT_MS, () => powerOf(name) === undefined);
  }
  rmSync(fileOf(name), { force: true });
}

/** The running first process of a node, or undefined. */
export function powerOf(name: string): Power | undefined {
  if (!existsSync(fileOf(name))) return undefined;
  const power = JSON.parse(readFileSync(fileOf(name), 'utf8')) as Power;
  return startTicksOf(power.pid) === power.startTicks ? power : undefined;
}

/** Runs a program within a node. */
export async function runInside(name: string, program: readonly string[]): Promise<string> {
  const power = powerOf(name);
  if (power === undefined) throw new Error(`${name} is not running`);
  const first = firstProcess(power);
  if (first === undefined) throw new Error(`${name} is starting`);
  const where = ['-t', String(first), '--mount', '--uts', '--ipc', '--net', '--pid'];
  return await run('nsenter', [...where, '--', ...program], { timeoutMs: 300_000 });
}

function firstProcess({ pid }: Power): number | undefined {
  const [first] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ');
  return first === undefined || first === '' ? undefined : Number(first);
}

function fileOf(name: string): string {
  return join(FOLDER, `${name}.json`);
}

function startTicksOf(pid: number): string | undefined {
  try {
    // The name, which stands second in brackets, may itself have spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
