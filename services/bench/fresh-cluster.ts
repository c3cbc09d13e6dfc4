/**
 * A cluster for one benchmark: made in a temporary folder the way `minikv local` makes one, stopped in
 * good order, and gone with its folder whatever happened in between.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { runLocalCluster, thisMachine } from '../cli/local-cluster.ts';
import type { LocalProcess } from '../cli/local-plan.ts';

export interface FreshClusterOptions {
  readonly coordinators: number;
  readonly volumes: number;
  readonly basePort: number;
  /** Where the temporary folder is made; null: where the system makes them. */
  readonly parent: string | null;
}

const READY = 'minikv is ready';

/** Runs `work` on a fresh cluster. @throws when the cluster does not start, or ends early. */
export async function withFreshCluster<T>(
  options: FreshClusterOptions,
  signal: AbortSignal,
  work: (processes: readonly LocalProcess[]) => Promise<T>,
): Promise<T> {
  if (signal.aborted) throw new Error('stopped');
  const folder = await mkdtemp(join(options.parent ?? tmpdir(), 'minikv-bench-'));
  /** The cluster hears of it as soon as it listens. */
  const stopping = Promise.withResolvers<undefined>();
  const ready = Promise.withResolvers<undefined>();
  let said = '';
  const stdout = new Writable({
    write(piece: Buffer, _encoding, done) {
      said += piece.toString();
      if (said.includes(READY)) ready.resolve(undefined);
      done();
    },
  });
  const { parent: _parent, ...sizes } = options;
  const ended = runLocalCluster(
    { ...sizes, dataDir: folder, logLevel: 'info' },
    { stdin: process.stdin, stdout, stderr: stdout, interactive: false, env: {} },
    {
      programs: thisMachine().programs,
      onStop: (asked) => {
        void stopping.promise.then(asked);
        return () => undefined;
      },
    },
  );
  const early = ended.then(() => {
    throw new Error(`the cluster ended:\n${said}`);
  });
  early.catch(() => undefined);
  const asked = Promise.withResolvers<never>();
  asked.promise.catch(() => undefined);
  const onAbort = (): void => asked.reject(new Error('stopped'));
  signal.addEventListener('abort', onAbort);
  try {
    await Promise.race([ready.promise, early, asked.promise]);
    return await Promise.race([work(await readProcesses(folder)), early, asked.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    stopping.resolve(undefined);
    await ended.catch(() => undefined);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The rows of a `processes.json` in a cluster's folder. */
export async function readProcesses(folder: string): Promise<readonly LocalProcess[]> {
  return JSON.parse(
    await readFile(join(folder, 'processes.json'), 'utf8'),
  ) as readonly LocalProcess[];
}
