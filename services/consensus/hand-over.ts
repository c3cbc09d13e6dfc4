/** Handing leadership over: Raft says who leads, not whether a transfer went well. */
import type { Clock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { NOBODY, type NodeId } from '../common/ids.ts';
import type { RaftStatus } from '../raft/types.ts';

const LOOK_EVERY_MS = 10;

export interface HandOverParts {
  readonly clock: Clock;
  readonly self: NodeId;
  readonly status: () => RaftStatus;
  /** Begins a transfer; does nothing while one to the same target is under way. */
  readonly transfer: () => void;
}

/**
 * Asks `target`, or whoever may do, to lead, and resolves with the next leader.
 * @throws KvError `TRANSFER_FAILED` after `timeoutMs`, or at once where nobody goes on.
 */
export function handOver(
  parts: HandOverParts,
  { target, timeoutMs }: { readonly target: NodeId; readonly timeoutMs: number },
): Promise<NodeId> {
  const { clock, transfer } = parts;
  const endMs = clock.monotonicMs() + timeoutMs;
  transfer();
  return new Promise((resolve, reject) => {
    const look = (): void => {
      try {
        const leader = otherLeader(parts, target);
        if (leader !== null) resolve(leader);
        else if (clock.monotonicMs() < endMs) clock.after(LOOK_EVERY_MS, look);
        else throw failed('no other coordinator took over in time');
      } catch (error) {
        reject(asError(error));
      }
    };
    look();
  });
}

function otherLeader({ self, status, transfer }: HandOverParts, target: NodeId): NodeId | null {
  const { leader, role, transferTarget, peers } = status();
  // Nobody could be chosen, or the chosen one is dead: another may do. A named one is tried once,
  // since proposals wait meanwhile.
  if (role === 'leader' && transferTarget === NOBODY && target === NOBODY) {
    // As where a whole cluster is told to stop: waiting would change nothing.
    if (peers.every(({ stopping }) => stopping)) throw failed('no other coordinator goes on');
    transfer();
  }
  return leader === NOBODY || leader === self ? null : leader;
}

const failed = (why: string): KvError => new KvError('TRANSFER_FAILED', why);
