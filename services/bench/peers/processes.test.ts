/** Processes of a peer, played by small ones: their death is told, and none outlives its end. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Processes } from './processes.ts';

let folder: string;
let processes: Processes;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'minikv-processes-'));
});
afterEach(async () => {
  await processes.end();
  await rm(folder, { recursive: true });
});

const SAYS = 'process.on("SIGTERM", () => { console.log("bye"); process.exit(); });';
const plan = (name: string, code: string) => ({
  name,
  command: [process.execPath, '-e', `${code}; console.log("up"); setInterval(() => 0, 1e6)`],
  folder: join(folder, 'data', name),
});

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function until(isTrue: () => Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await pause(10);
}

const saidBy = (name: string): Promise<string> => readFile(join(folder, `${name}.log`), 'utf8');

async function start(...plans: readonly ReturnType<typeof plan>[]): Promise<readonly number[]> {
  processes = new Processes(plans, folder);
  await processes.startAll();
  for (const { name } of plans) await until(async () => (await saidBy(name)).includes('up'));
  return processes.pids;
}

test('all stop in good order, and then none is there', async () => {
  const pids = await start(plan('a', SAYS), plan('b', SAYS));
  expect(pids).toHaveLength(2);
  expect(await processes.death()).toBeNull();
  await processes.stop();
  expect(pids.filter(isAlive)).toEqual([]);
  expect([await saidBy('a'), await saidBy('b')]).toEqual(['up\nbye\n', 'up\nbye\n']);
  expect([processes.pids, await processes.death()]).toEqual([[], null]);
});

test('one that is killed on purpose is no death, and starts again', async () => {
  const [first = 0] = await start(plan('a', ''));
  await processes.kill('a');
  expect([isAlive(first), await processes.death()]).toEqual([false, null]);
  processes.start('a');
  expect(processes.pids).toHaveLength(1);
  expect(processes.pids).not.toEqual([first]);
});

test('one that ends unasked is told with its last words', async () => {
  await start(
    plan('a', ''),
    plan('b', 'setTimeout(() => { console.log("no room"); process.exit(3); }, 50)'),
  );
  await until(async () => (await processes.death()) !== null);
  expect(await processes.death()).toBe('b ended (code 3): no room');
  expect(processes.pids).toHaveLength(1);
});

test('a program that is not there is a death too', async () => {
  processes = new Processes([{ name: 'a', command: [join(folder, 'absent')] }], folder);
  await processes.startAll();
  await until(async () => (await processes.death()) !== null);
  expect(await processes.death()).toContain('ENOENT');
});

test('one that does not listen to a stop is killed by `end`', async () => {
  const pids = await start(plan('a', 'process.on("SIGTERM", () => undefined)'));
  await processes.end();
  expect(pids.filter(isAlive)).toEqual([]);
});
