/** A call of one request and one reply, on a connection of its own: rare calls, no state to keep. */
import { Metadata } from '@grpc/grpc-js';
import { systemClock, withDeadline } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { resolveAll } from './address.ts';
import { newClient } from './channel.ts';
import { fromStatus } from './status.ts';
import type { UnaryMethod } from './types.ts';

/**
 * Looks `address` (host:port) up, dials it and asks once.
 * @throws KvError `UNAVAILABLE` when it cannot be reached, `DEADLINE_EXCEEDED` after `timeoutMs`,
 * or the error that the other end answered with.
 */
export async function callUnary<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  address: string,
  request: Request,
  timeoutMs: number,
): Promise<Reply> {
  const deadlineMs = systemClock.wallMs() + timeoutMs;
  const late = (): KvError =>
    new KvError('DEADLINE_EXCEEDED', `${address} did not answer within ${timeoutMs} ms`);
  const found = await withDeadline(systemClock, resolveAll(address), timeoutMs, late);
  let failure = new KvError('UNAVAILABLE', `${address} has no address right now`);
  for (const ipPort of found) {
    try {
      return await callOnce(method, ipPort, request, deadlineMs);
    } catch (error) {
      failure = fromStatus(error);
      // Nobody there: the name's next address may do. A peer's own answer is final.
      if (failure.code !== 'UNAVAILABLE') break;
    }
  }
  throw failure;
}

async function callOnce<Request, Reply>(
  method: UnaryMethod<Request, Reply>,
  ipPort: string,
  request: Request,
  deadlineMs: number,
): Promise<Reply> {
  const client = newClient(ipPort);
  try {
    return await new Promise<Reply>((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        new Metadata(),
        { deadline: deadlineMs },
        (error, reply) => {
          if (error !== null) reject(error);
          else if (reply === undefined)
            reject(new KvError('INTERNAL', 'a call ended without reply'));
          else resolve(reply);
        },
      );
    });
  } finally {
    client.close();
  }
}
