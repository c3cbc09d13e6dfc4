/** A call of one request and one reply, on a connection of its own: rare calls, no state to keep. */
import { type Clock, withDeadline } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import type { Network } from './network.ts';
import { fromStatus } from './status.ts';
import type { UnaryMethod } from './types.ts';

export interface CallComponents {
  readonly clock: Clock;
  readonly network: Network;
}

export interface CallTarget {
  /** host:port */
  readonly address: string;
  readonly timeoutMs: number;
}

/**
 * Looks `address` up, dials it and asks once.
 * @throws KvError `UNAVAILABLE` when it cannot be reached, `DEADLINE_EXCEEDED` after `timeoutMs`,
 * or the error that the other end answered with.
 */
export async function callUnary<Request, Reply>(
  { clock, network }: CallComponents,
  method: UnaryMethod<Request, Reply>,
  { address, timeoutMs }: CallTarget,
  request: Request,
): Promise<Reply> {
  const endMs = clock.monotonicMs() + timeoutMs;
  const late = (): KvError =>
    new KvError('DEADLINE_EXCEEDED', `${address} did not answer within ${timeoutMs} ms`);
  const found = await withDeadline(clock, network.resolve(address), timeoutMs, late);
  let failure = new KvError('UNAVAILABLE', `${address} has no address right now`);
  for (const ipPort of found) {
    try {
      const leftMs = endMs - clock.monotonicMs();
      return await network.call({ method, ipPort, request, timeoutMs: leftMs });
    } catch (error) {
      failure = fromStatus(error);
      // Nobody there: the name's next address may do. A peer's own answer is final.
      if (failure.code !== 'UNAVAILABLE') break;
    }
  }
  throw failure;
}
