/**
 * Goal: the k6 scenarios go through on a sound cluster, leave nothing behind, and report whatever is wrong.
 * Method: `npm run load` as a user calls it, a few seconds each; a proxy that lies about what the cluster answered,
 * one lie a run, and none as the control; two of three volumes killed in the middle.
 * All of it runs twice: under k6, skipped aloud where there is none, and under a stand-in that carries out the same
 * files. The stand-in shows what the scenarios ask and see, not that k6 takes them.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Cluster } from '../harness/cluster.ts';
import { type Answer, call } from '../harness/kv.ts';
import { type Lie, lyingProxy } from '../harness/lying-proxy.ts';
import { waitFor } from '../harness/wait-for.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const STAND_IN = join(ROOT, 'e2e/harness/k6-stand-in/main.ts');
const SCENARIOS = ['write-heavy', 'read-heavy', 'mixed'];
const SMALL = ['--vus', '3', '--keys', '50', '--size', '1021'];
/** What k6 ends with where a threshold was crossed. */
const CROSSED = 99;
const RUN_TIMEOUT_MS = 120_000;

const hasK6 = spawnSync('k6', ['version']).status === 0;
if (!hasK6) console.warn('SKIPPED: the scenarios under k6 itself: there is no k6 in PATH');

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start();
}, 90_000);

afterAll(async () => {
  await cluster.stop();
}, 90_000);

interface Ending {
  readonly code: number | null;
  readonly output: string;
}

function load(...args: readonly string[]): Promise<Ending> {
  const node = ['--disable-warning=ExperimentalWarning', join(ROOT, 'e2e/load/main.ts')];
  const child = spawn(process.execPath, [...node, ...args], { cwd: ROOT });
  const pieces: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => pieces.push(piece));
  }
  return new Promise((done, reject) => {
    child.on('error', reject);
    child.on('close', (code) => done({ code, output: Buffer.concat(pieces).toString() }));
  });
}

/** Keys below a prefix, as any coordinator lists them. */
async function keysBelow(prefix: string): Promise<readonly string[]> {
  const list = `/kv?limit=10000&prefix=${encodeURIComponent(prefix)}`;
  const { body } = await call(`${cluster.urls[0] ?? ''}${list}`);
  const { entries } = JSON.parse(body.toString()) as { entries: readonly { key: string }[] };
  return entries.map(({ key }) => key);
}

const isRead = ({ method, path }: { method: string; path: string }): boolean =>
  method === 'GET' && path.startsWith('/kv/');

const withBody = (truth: Answer, change: (body: Buffer) => Buffer): Answer => ({
  ...truth,
  body: change(Buffer.from(truth.body)),
});

function withoutEtag(truth: Answer): Answer {
  const headers = new Headers(truth.headers);
  headers.delete('etag');
  return { ...truth, headers };
}

const error = (status: number, code: string): Answer => ({
  status,
  headers: new Headers({ 'content-type': 'application/json' }),
  body: Buffer.from(JSON.stringify({ code, message: 'a lie', outcome: 'not_applied' })),
});

interface Case {
  readonly what: string;
  readonly scenario: string;
  /** The check that must turn red. */
  readonly check: string;
  /** What the log must say. */
  readonly log: string;
  readonly lie: Lie;
}

const LIES: readonly Case[] = [
  {
    what: 'one bit of the last byte of a value is wrong',
    scenario: 'read-heavy',
    check: 'GET: the bytes of its key',
    log: 'answered 200',
    lie: (heard, truth) =>
      isRead(heard) && truth.status === 200
        ? withBody(truth, (body) => {
            body.writeUInt8(body.readUInt8(body.length - 1) ^ 1, body.length - 1);
            return body;
          })
        : truth,
  },
  {
    what: 'a value ends early as if it were whole',
    scenario: 'read-heavy',
    check: 'GET: the bytes of its key',
    log: 'answered 200',
    lie: (heard, truth) =>
      isRead(heard) && truth.status === 200
        ? withBody(truth, (body) => body.subarray(0, 1020))
        : truth,
  },
  {
    what: 'the connection breaks within a value',
    scenario: 'read-heavy',
    check: 'GET: 200',
    log: 'answered 0',
    lie: (heard, truth) => (isRead(heard) ? null : truth),
  },
  {
    what: 'a read is answered 500',
    scenario: 'read-heavy',
    check: 'GET: 200',
    log: 'answered 500 DATA_LOSS',
    lie: (heard, truth) => (isRead(heard) ? error(500, 'DATA_LOSS') : truth),
  },
  {
    what: 'a key that is there is said to be absent',
    scenario: 'read-heavy',
    check: 'GET: 200',
    log: 'answered 404 KEY_NOT_FOUND',
    lie: (heard, truth) => (isRead(heard) ? error(404, 'KEY_NOT_FOUND') : truth),
  },
  {
    what: 'a read has no ETag',
    scenario: 'read-heavy',
    check: 'GET: has an ETag',
    log: 'answered 200',
    lie: (heard, truth) => (isRead(heard) ? withoutEtag(truth) : truth),
  },
  {
    what: 'a write is answered 500, although it was done',
    scenario: 'write-heavy',
    check: 'PUT: 201',
    log: 'answered 500 INTERNAL',
    lie: ({ method, path }, truth) =>
      method === 'PUT' && path.includes('own') ? error(500, 'INTERNAL') : truth,
  },
  {
    what: 'a new key is said to have been replaced',
    scenario: 'write-heavy',
    check: 'PUT: 201',
    log: 'answered 200',
    lie: ({ method, path }, truth) =>
      method === 'PUT' && path.includes('own') ? { ...truth, status: 200 } : truth,
  },
  {
    what: 'a write that must be refused is granted',
    scenario: 'mixed',
    check: 'PUT If-None-Match: 412',
    log: 'answered 201',
    lie: ({ headers }, truth) =>
      headers.get('if-none-match') === '*' ? { ...truth, status: 201 } : truth,
  },
  {
    what: 'a former ETag still grants a write',
    scenario: 'mixed',
    check: 'PUT If-Match (former): 412',
    log: 'answered 200',
    lie: ({ headers }, truth) =>
      headers.has('if-match') && truth.status === 412 ? { ...truth, status: 200 } : truth,
  },
  {
    what: 'a deleted key is read',
    scenario: 'mixed',
    check: 'GET deleted: 404',
    log: 'answered 200',
    lie: (heard, truth) =>
      isRead(heard) && truth.status === 404 ? { ...truth, status: 200 } : truth,
  },
];

test('without a k6 it says what to install, and starts nothing', async () => {
  const { code, output } = await load('mixed', '--k6', join(ROOT, 'no-such-program'));
  expect(output).toMatch(/there is no k6 at .*no-such-program'\. Install k6 \(https:/);
  expect(output).not.toContain('starting');
  expect(code).toBe(1);
}, 20_000);

const RUNNERS = [
  { name: 'a stand-in for k6', k6: STAND_IN, runs: true },
  { name: 'k6', k6: 'k6', runs: hasK6 },
];

for (const { name, k6, runs } of RUNNERS) {
  (runs ? describe : describe.skip)(`under ${name}`, () => {
    const small = [...SMALL, '--k6', k6];
    const here = () => [...small, '--urls', cluster.urls.join()];

    test.each(SCENARIOS)(
      '%s goes through on a sound cluster and leaves nothing behind',
      async (scenario) => {
        const { code, output } = await load(scenario, ...here(), '--duration', '3s');
        expect(output).not.toContain('✗ GET');
        expect({ code, output }).toMatchObject({ code: 0 });
        expect(await keysBelow('k6/')).toEqual([]);
      },
      RUN_TIMEOUT_MS,
    );

    test(
      'a cluster of its own is started and stopped',
      async () => {
        const { code, output } = await load('mixed', ...small, '--duration', '2s');
        expect({ code, output }).toMatchObject({ code: 0 });
      },
      RUN_TIMEOUT_MS,
    );

    test(
      'a proxy that does not lie changes nothing',
      async () => {
        const proxy = await lyingProxy(cluster.urls[0] ?? '', (_heard, truth) => truth);
        const args = [...small, '--urls', proxy.url, '--duration', '3s'];
        const { code, output } = await load('mixed', ...args);
        proxy.close();
        expect({ code, output }).toMatchObject({ code: 0 });
      },
      RUN_TIMEOUT_MS,
    );

    test.each(LIES)(
      '$what: $scenario sees it',
      async ({ scenario, check, log, lie }) => {
        const proxy = await lyingProxy(cluster.urls[0] ?? '', lie);
        const args = [...small, '--urls', proxy.url, '--duration', '3s'];
        const { code, output } = await load(scenario, ...args);
        proxy.close();
        expect(output).toContain(`✗ ${check}`);
        expect(output).toContain(log);
        expect(code).toBe(CROSSED);
      },
      RUN_TIMEOUT_MS,
    );

    test.each(SCENARIOS)(
      'two of three volumes are killed under %s: it reports that writes fail',
      async (scenario) => {
        const run = load(scenario, ...here(), '--duration', '8s');
        const begun = scenario === 'read-heavy' ? 50 : 51;
        await waitFor('the users have begun', 30_000, async () => {
          return (await keysBelow(`k6/${scenario}/`)).length >= begun;
        });
        await Promise.all(['v2', 'v3'].map((volume) => cluster.kill(volume, 'SIGKILL')));
        const { code, output } = await run;
        for (const volume of ['v2', 'v3']) cluster.restart(volume);
        await cluster.ready();
        expect(output).toMatch(/answered 50[34] [A-Z_]+, wanted PUT/);
        expect(code).toBe(CROSSED);
      },
      RUN_TIMEOUT_MS,
    );
  });
}
