/**
 * One request of a client on the way to a gateway and back: it may find nobody, wait for a paused process,
 * outlive its process, or lose patience. What the client then knows of it is all that the history may say.
 */
import { asError, KvError } from '../common/errors.ts';
import type { Gateway } from '../coordinator/gateway.ts';
import type { Draw } from './draw.ts';
import { ConnectionLost } from './lost.ts';
import type { SimCluster, SimHost } from './types.ts';

/** What clients know of a cluster. */
export interface ClientWorld extends Pick<SimCluster, 'nowMs' | 'after'> {
  readonly coordinators: readonly Door[];
}

/** Where a client asks. */
export type Door = Pick<SimHost, 'name' | 'gateway'>;

export type Answer<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'error'; readonly error: KvError }
  /** Nobody listened: nothing was sent. */
  | { readonly kind: 'refused' }
  /** The connection broke or the client lost patience. */
  | { readonly kind: 'lost' };

export interface CallOptions {
  /** What the gateway is told. */
  readonly timeoutMs: number;
  /** When the client goes away. */
  readonly patienceMs: number;
}

export type Request<T> = (gateway: Gateway, signal: AbortSignal, timeoutMs: number) => Promise<T>;

const TRAVEL_MS_MEAN = 0.5;

export const pause = (cluster: Pick<SimCluster, 'after'>, ms: number): Promise<void> =>
  new Promise((resolve) => {
    cluster.after(ms, resolve);
  });

/** @throws Error when the gateway fails with anything but a KvError: that is a bug of it. */
export async function callGateway<T>(
  { cluster, draw }: { readonly cluster: ClientWorld; readonly draw: Draw },
  host: Door,
  request: Request<T>,
  { timeoutMs, patienceMs }: CallOptions,
): Promise<Answer<T>> {
  await pause(cluster, draw.exponential(TRAVEL_MS_MEAN));
  const called = host.gateway;
  if (called === null) return { kind: 'refused' };
  const leaving = new AbortController();
  const running = request(called, leaving.signal, timeoutMs);
  const answer = await raced(cluster, running, patienceMs);
  if (answer.kind === 'lost') leaving.abort();
  return answer;
}

function raced<T>(
  cluster: Pick<SimCluster, 'after'>,
  running: Promise<T>,
  patienceMs: number,
): Promise<Answer<T>> {
  return new Promise((resolve, reject) => {
    const timer = cluster.after(patienceMs, () => resolve({ kind: 'lost' }));
    running.then(
      (value) => {
        timer.cancel();
        resolve({ kind: 'ok', value });
      },
      (thrown: unknown) => {
        timer.cancel();
        const error = asError(thrown);
        if (error instanceof ConnectionLost) resolve({ kind: 'lost' });
        else if (error instanceof KvError) resolve({ kind: 'error', error });
        else reject(error);
      },
    );
  });
}
