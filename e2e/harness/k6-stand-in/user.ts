/** A thread for one user: it loads the script anew, as k6 does, and takes the step that it is there for. */
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { durationMs } from './duration.ts';
import type { Options, Told, UserData } from './messages.ts';

interface Script {
  readonly options: Options;
  readonly setup: () => unknown;
  readonly default: (data: unknown) => void;
  readonly teardown: (data: unknown) => void;
}

const { script, step, vu, data } = workerData as UserData;
const api = new URL('api.ts', import.meta.url).href;
registerHooks({
  resolve: (specifier, context, next) =>
    /^k6(\/|$)/.test(specifier) ? { url: api, shortCircuit: true } : next(specifier, context),
});
Object.assign(globalThis, { __ENV: process.env, __VU: vu });
const loaded = (await import(pathToFileURL(script).href)) as Script;

function take(): unknown {
  if (step === 'setup') return loaded.setup();
  if (step === 'teardown') {
    loaded.teardown(data);
    return null;
  }
  const endMs = performance.now() + durationMs(loaded.options.duration);
  for (let iteration = 0; performance.now() < endMs; iteration += 1) {
    Object.assign(globalThis, { __ITER: iteration });
    loaded.default(data);
  }
  return null;
}

const { vus, duration, thresholds } = loaded.options;
const value = take();
const told: Told = { kind: 'end', options: { vus, duration, thresholds }, value };
parentPort?.postMessage(told);
