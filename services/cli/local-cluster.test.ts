/** A local cluster of stand-in processes: real children, pids, logs, ports and signals. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { runLocalCluster } from './local-cluster.ts';
import type { LocalProcess } from './local-plan.ts';

/**
 * Answers /admin/status as the real ones do; c2 leads, and coordinators hear their volume once there is a file
 * `heard`. Says its last words when it is killed.
 */
const STAND_IN = `
import { appendFileSync, existsSync } from 'node:fs';
import { createServer } from 'node:http';
const flag = (name) => process.argv[process.argv.indexOf(name) + 1];
const id = flag('--id');
const leads = id === 'c2';
const coordinator = {
  name: id, nodeId: 1, clusterId: null, bootId: 1, podUid: '', version: '0', state: 'member',
  role: leads ? 'leader' : 'follower', term: 3, leader: { nodeId: 2, name: 'c2' },
  leaderContactMs: 1, commitIndex: 1, appliedIndex: 1, caughtUp: true, voters: [],
  operatorEpoch: 0, pendingRestart: [], leader_url: null, digest: 'native', node_id: id,
  is_leader: leads, commit_index: 1, last_applied: 1, log_length: 1, nb_peers: 2, nb_volumes: 1,
  nb_s3_objects: 0,
};
const heard = () => existsSync(new URL('heard', import.meta.url)) ? ['v1'] : [];
const volume = {
  name: id, clusterId: null, disk: 1, session: 1, boots: 1, podUid: '', version: '0',
  state: 'serving', pendingRestart: [], digest: 'native',
};
const [host, port] = flag('--bind').split(':');
createServer((request, response) => {
  const isCoordinator = id.startsWith('c');
  if (id === 'c1') appendFileSync(new URL('looks', import.meta.url), '.');
  response.end(JSON.stringify(isCoordinator ? { ...coordinator, volume_ids: heard() } : volume));
}).listen(Number(port), host);
console.error(id + ' is up');
if (id === 'v1') console.error(JSON.stringify({ msg: 'volume stops', error: { message: 'why' } }));
process.on('SIGTERM', () => { console.error(id + ' was asked'); process.exit(0); });
`;

const SAYS_WITHIN_MS = 15_000;

let folder: string;
let said: string;
let stop: () => void = () => undefined;
let running: Promise<unknown> = Promise.resolve();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'minikv-local-'));
  writeFileSync(join(folder, 'stand-in.mjs'), STAND_IN);
  writeFileSync(join(folder, 'heard'), '');
  said = '';
});
afterEach(async () => {
  // Also after a failure: processes that are left would keep the test run alive.
  stop();
  await running;
  rmSync(folder, { recursive: true, maxRetries: 3 });
});

const dataDir = (): string => join(folder, 'data');

function start(request: { basePort: number; volumes?: number }): Promise<number> {
  const stdout = new PassThrough();
  stdout.on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  const terminal = {
    stdin: Readable.from([]),
    stdout,
    stderr: stdout,
    interactive: false,
    env: {},
  };
  const command = [process.execPath, join(folder, 'stand-in.mjs')];
  const done = runLocalCluster(
    { coordinators: 2, volumes: 1, dataDir: dataDir(), logLevel: 'info', ...request },
    terminal,
    {
      programs: { coordinator: command, volume: command },
      onStop: (asked) => {
        stop = asked;
        return () => undefined;
      },
    },
  );
  running = done.catch(() => undefined);
  return done;
}

async function until(words: string): Promise<void> {
  const endMs = performance.now() + SAYS_WITHIN_MS;
  while (!said.includes(words)) {
    if (performance.now() > endMs) throw new Error(`never said "${words}", only:\n${said}`);
    await new Promise((settle) => setTimeout(settle, 10));
  }
}

const processes = (): LocalProcess[] =>
  JSON.parse(readFileSync(join(dataDir(), 'processes.json'), 'utf8')) as LocalProcess[];

/** A run of free ports, far from where systems hand out their own. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 5000); ; port += 10) {
    const free = await new Promise<boolean>((settle) => {
      const probe = createServer().once('error', () => settle(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => settle(true)));
    });
    if (free) return port;
  }
}

test('says who leads, that it is ready and what to try, and stops all in good order', async () => {
  const basePort = await freePort();
  const done = start({ basePort });
  await until('next: curl');
  expect(said.split('\n').slice(0, 3)).toEqual([
    `starting 3 processes in ${dataDir()}`,
    'c2 leads in term 3',
    `minikv is ready: http://127.0.0.1:${basePort}`,
  ]);
  const started = processes();
  expect(started.map(({ name, role }) => `${name} ${role}`)).toEqual([
    'c1 coordinator',
    'c2 coordinator',
    'v1 volume',
  ]);
  for (const { pid } of started) expect(process.kill(pid, 0)).toBe(true);
  stop();
  stop();
  expect(await done).toBe(0);
  expect(said).toContain('stopping 3 processes\nall stopped; the data stays\n');
  for (const { name, pid } of started) {
    const log = readFileSync(join(dataDir(), 'logs', `${name}.log`), 'utf8');
    expect(log).toMatch(new RegExp(`^${name} is up\n[^]*${name} was asked\n$`));
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  }
  expect(processes().map(({ pid }) => pid)).toEqual([0, 0, 0]);
}, 20_000);

test('is not ready before its coordinators hear every volume', async () => {
  rmSync(join(folder, 'heard'));
  const done = start({ basePort: await freePort() });
  await until('c2 leads');
  const path = join(folder, 'looks');
  const looks = (): number => (existsSync(path) ? readFileSync(path).length : 0);
  const before = looks();
  while (looks() < before + 2) await new Promise((settle) => setTimeout(settle, 10));
  expect(said).not.toContain('is ready');
  writeFileSync(join(folder, 'heard'), '');
  await until('minikv is ready');
  stop();
  expect(await done).toBe(0);
}, 20_000);

test('a process that dies is told with its last words, and is not restarted', async () => {
  const done = start({ basePort: await freePort() });
  await until('next: curl');
  for (const { pid } of processes()) process.kill(pid, 'SIGKILL');
  for (const [name, words] of [
    ['c1', 'c1 is up'],
    ['c2', 'c2 is up'],
    ['v1', 'volume stops: why'],
  ]) {
    await until(`${name} died (SIGKILL); it is not restarted. Its last words: ${words}\n`);
  }
  expect(await done).toBe(1);
  expect(said).toContain('no process is left');
  expect(processes().map(({ pid }) => pid)).toEqual([0, 0, 0]);
}, 20_000);

test('a folder keeps its counts and ports', async () => {
  const basePort = await freePort();
  const done = start({ basePort });
  await until('next: curl');
  stop();
  await done;
  await expect(start({ basePort, volumes: 2 })).rejects.toThrow(
    `holds a cluster made with --coordinators 2 --volumes 1 --base-port ${basePort}`,
  );
}, 20_000);

test('a port in use is named before anything starts', async () => {
  const basePort = await freePort();
  const other = createServer();
  await new Promise<void>((settle) => other.listen(basePort + 1, '127.0.0.1', settle));
  await expect(start({ basePort })).rejects.toThrow(`port ${basePort + 1} is in use`);
  expect(said).toBe('');
  other.close();
});
