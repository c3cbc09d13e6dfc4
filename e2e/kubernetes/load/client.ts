/**
 * Clients of a cluster, in a pod as a user's are: they know it by its Service, and ask once more what
 * failed. All that they saw is kept for a story to judge. It runs as one file in the image under
 * test, so at run time it imports nothing but Node.
 */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Operation } from '../../../services/sim/history.ts';
import type { Line } from '../../harness/load-history.ts';

const BASE = process.env['CLUSTER_URL'] ?? '';
const CONTROL_PORT = 8080;
/** Clients of a group use the same keys at the same time; each key for a while only. */
const GROUPS = 4;
const CLIENTS_PER_GROUP = 3;
const OPERATIONS_PER_KEY = 40;
const PAUSE_MS = 150;
const REQUEST_TIMEOUT_MS = 10_000;
const VALUE_BYTES = [40, 100, 1_000, 5_000, 70_000];
const FINAL_READ_MS = 60_000;

type Method = 'PUT' | 'GET' | 'DELETE';
interface Asked {
  readonly method: Method;
  readonly value: string | null;
  readonly span: Pick<Operation, 'key' | 'startMs' | 'endMs'>;
}

/** What one attempt came to: its part of the history, and whether the client is content with it. */
interface Attempt {
  readonly operation: Operation;
  readonly isAnswered: boolean;
  /** How long the answer asks to wait. */
  readonly retryAfterMs: number;
  readonly told: string;
}

/** What was not asked for yet. */
let lines: Line[] = [];
const keys: string[] = [];
let stopping = false;

/** A value that proves itself: its name, and bytes that follow from it. */
function bodyOf(name: string): string {
  const digest = createHash('sha256').update(name).digest('hex');
  const bytes = VALUE_BYTES[Number.parseInt(digest.slice(0, 4), 16) % VALUE_BYTES.length] ?? 0;
  return `${name}\n${digest.repeat(Math.ceil(bytes / digest.length))}`;
}

function nameIn(body: string): string {
  const name = body.slice(0, body.indexOf('\n'));
  return body === bodyOf(name) ? name : `wrong bytes, ${body.length} of them`;
}

async function attempt(method: Method, key: string, value: string | null): Promise<Attempt> {
  const startMs = performance.now();
  let status = 0;
  let body = '';
  let retryAfterMs = 0;
  try {
    const answer = await fetch(`${BASE}/kv/${encodeURIComponent(key)}`, {
      method,
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      ...(value === null ? {} : { body: bodyOf(value) }),
    });
    body = await answer.text();
    status = answer.status;
    retryAfterMs = 1_000 * Number(answer.headers.get('retry-after') ?? 0);
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    // An answer that broke off says nothing.
    body = String(cause);
  }
  const asked = { method, value, span: { key, startMs, endMs: performance.now() } };
  const told = `${method} ${key} ${String(status)} ${method === 'GET' ? '' : body.slice(0, 300)}`;
  return { ...judged(asked, status, body), retryAfterMs, told };
}

function judged(
  asked: Asked,
  status: number,
  body: string,
): Pick<Attempt, 'operation' | 'isAnswered'> {
  const { method, value, span } = asked;
  const absent = { ...span, kind: 'read', value: null, outcome: 'ok' } as const;
  if (method !== 'PUT' && status === 404) return { operation: absent, isAnswered: true };
  const isAnswered = status === 200 || status === 201 || status === 204;
  const kind = method === 'GET' ? 'read' : 'write';
  const seen = method === 'GET' && isAnswered ? nameIn(body) : value;
  const outcome = isAnswered ? 'ok' : isRefused(body) ? 'failed' : 'unknown';
  return { operation: { ...span, kind, value: seen, outcome }, isAnswered };
}

/** Whether the answer promises that nothing was done. */
function isRefused(body: string): boolean {
  try {
    return (JSON.parse(body) as { outcome?: string }).outcome === 'not_applied';
  } catch {
    return false;
  }
}

/** One request as a client makes it: what failed is tried once more, when the answer says. */
async function request(method: Method, key: string, value: string | null): Promise<boolean> {
  const first = await attempt(method, key, value);
  lines.push({ kind: 'operation', operation: first.operation });
  if (first.isAnswered) return true;
  await sleep(first.retryAfterMs);
  const second = await attempt(method, key, value);
  lines.push({ kind: 'operation', operation: second.operation });
  const told = `${first.told}; then ${second.told}`;
  lines.push({ kind: second.isAnswered ? 'retried' : 'failed', atMs: performance.now(), told });
  return second.isAnswered;
}

async function runGroup(group: number): Promise<void> {
  let turn = 0;
  const runClient = async (): Promise<void> => {
    while (!stopping) {
      const key = `load/${group}/${Math.floor(turn / OPERATIONS_PER_KEY)}`;
      if (turn % OPERATIONS_PER_KEY === 0) keys.push(key);
      turn += 1;
      const dice = Math.random();
      if (dice < 0.6) await request('PUT', key, `${group}.${turn}`);
      else await request(dice < 0.95 ? 'GET' : 'DELETE', key, null);
      await sleep(PAUSE_MS);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS_PER_GROUP }, runClient));
}

/** Reads every key that was ever written: the last part of the history. */
async function readAll(): Promise<void> {
  const endMs = performance.now() + FINAL_READ_MS;
  for (const key of keys) {
    while (!(await request('GET', key, null))) {
      if (performance.now() > endMs) throw new Error(`${key} cannot be read`);
      await sleep(PAUSE_MS);
    }
  }
}

const running = Promise.all(Array.from({ length: GROUPS }, (_, group) => runGroup(group)));

function takeLines(): string {
  const taken = lines;
  lines = [];
  return taken.map((line) => JSON.stringify(line)).join('\n');
}

/**
 * `POST /mark/NAME` puts a mark into the history, and `POST /stop` ends it with one; both answer what
 * there is since the last mark, this one included.
 */
const server = createServer((asked, answer) => {
  const [, verb, name = ''] = (asked.url ?? '').split('/');
  if (verb !== 'mark' && verb !== 'stop') {
    answer.writeHead(404).end();
    return;
  }
  stopping = verb === 'stop';
  const ended = stopping ? running.then(readAll) : Promise.resolve();
  ended.then(
    () => {
      lines.push({ kind: 'mark', atMs: performance.now(), name });
      answer.end(takeLines());
    },
    (error: unknown) => answer.writeHead(500).end(String(error)),
  );
});
server.listen(CONTROL_PORT);
