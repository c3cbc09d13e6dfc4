#!/usr/bin/env node
/**
 * Runs a scenario of e2e/load where there is no k6: the same files, the same steps in the same order, one thread a
 * user. It shows that the scenarios ask the right things of a cluster and see what is wrong; it does not show that k6
 * takes them, and it measures nothing. `k6 version` and `k6 run FILE` are all that it knows, and its exit codes are
 * k6's: 0, 99 where a threshold was crossed, 107 where the script threw.
 */
import { resolve } from 'node:path';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { Call, Options, Reply, Told, UserData } from './messages.ts';
import { Tally } from './tally.ts';

const CROSSED = 99;
const THREW = 107;
const REQUEST_MS = 30_000;
const tally = new Tally();

/** Names of headers as Go writes them, which k6 is written in. */
const inGo = (name: string): string => name.replace(/(^|-)\w/g, (first) => first.toUpperCase());

async function answer({ method, url, body, headers }: Call): Promise<Reply> {
  const beganMs = performance.now();
  try {
    const signal = AbortSignal.timeout(REQUEST_MS);
    const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' });
    const named = [...response.headers].map(([name, value]) => [inGo(name), value] as const);
    return {
      status: response.status,
      headers: Object.fromEntries(named),
      body: await response.arrayBuffer(),
      error: '',
      durationMs: performance.now() - beganMs,
    };
  } catch (error) {
    const cause = error instanceof Error ? (error.cause ?? error) : error;
    const durationMs = performance.now() - beganMs;
    return { status: 0, headers: {}, body: null, error: String(cause), durationMs };
  }
}

type Part = Pick<UserData, 'script' | 'step' | 'vu' | 'data'>;

/** Resolves once a user has taken its step. @throws what the script threw. */
function take(part: Part): Promise<{ readonly options: Options; readonly value: unknown }> {
  const { port1, port2 } = new MessageChannel();
  const signal = new SharedArrayBuffer(4);
  const answered = new Int32Array(signal);
  const workerData: UserData = { ...part, port: port2, signal };
  port1.on('message', (call: Call) => {
    void answer(call).then((reply) => {
      port1.postMessage(reply);
      Atomics.store(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
  });
  return new Promise((done, reject) => {
    const file = new URL('user.ts', import.meta.url);
    const worker = new Worker(file, { workerData, transferList: [port2] });
    worker.on('error', reject);
    worker.on('message', (told: Told) => {
      if (told.kind === 'end') done(told);
      else tally.add(told.metric, { value: told.value, tags: told.tags });
    });
    worker.on('exit', () => port1.close());
  });
}

async function run(script: string): Promise<number> {
  const { options, value: data } = await take({ script, step: 'setup', vu: 0, data: null });
  const users = Array.from({ length: options.vus }, (_, i) =>
    take({ script, step: 'default', vu: i + 1, data }),
  );
  await Promise.all(users);
  await take({ script, step: 'teardown', vu: 0, data });
  for (const line of tally.lines()) console.log(line);
  const crossed = tally.crossed(options.thresholds);
  for (const threshold of crossed) console.log(`crossed: ${threshold}`);
  return crossed.length === 0 ? 0 : CROSSED;
}

const [command, file = ''] = process.argv.slice(2);
if (command === 'version') {
  console.log('a stand-in for k6: it is not k6, and what it says of times is no figure');
} else if (command === 'run') {
  process.exitCode = await run(resolve(file)).catch((error: unknown) => {
    for (const line of tally.lines()) console.log(line);
    console.error(error);
    return THREW;
  });
} else {
  console.error('k6 version, or k6 run FILE');
  process.exitCode = 1;
}
