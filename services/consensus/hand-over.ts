/** Waiting for another node to lead: Raft says who leads, not whether a transfer went well. */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import type { NodeId } from '../common/ids.ts';

const LOOK_EVERY_MS = 10;

/**
 * Resolves with the first leader that `otherLeader` names.
 * @throws KvError `TRANSFER_FAILED` after `timeoutMs`.
 */
export function awaitOtherLeader(
  clock: Clock,
  timeoutMs: number,
  otherLeader: () => NodeId | null,
): Promise<NodeId> {
  const endMs = clock.monotonicMs() + timeoutMs;
  return new Promise((resolve, reject) => {
    const look = (): void => {
      const leader = otherLeader();
      if (leader !== null) resolve(leader);
      else if (clock.monotonicMs() < endMs) clock.after(LOOK_EVERY_MS, look);
      else reject(new KvError('TRANSFER_FAILED', 'no other coordinator took over in time'));
    };
    look();
  });
}
