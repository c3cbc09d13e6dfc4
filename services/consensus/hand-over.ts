/** Handing leadership over: Raft says who leads, not whether a transfer went well. */
import type { Clock } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { NOBODY, type NodeId } from '../common/ids.ts';
import type { RaftStatus } from '../raft/types.ts';

const LOOK_EVERY_MS = 10;
/**
 * Who only wants to be rid of the lead waits so long for the next leader once it has gone: an election takes a
 * tenth of it, and where whoever was to lead is told to stop as well there is none.
 */
const ELECTION_MS = 500;

export interface HandOverParts {
  readonly clock: Clock;
  readonly self: NodeId;
  readonly status: () => RaftStatus;
  /** Begins a transfer; does nothing while one to the same target is under way. */
  readonly transfer: () => void;
}

/**
 * Asks `target`, or whoever may do, to lead, and resolves with the next leader.
 * @throws KvError `TRANSFER_FAILED` after `timeoutMs`, or at once where nobody goes on; without a target also
 * when nobody leads half a second after this node does no more.
 */
export function handOver(
  parts: HandOverParts,
  { target, timeoutMs }: { readonly target: NodeId; readonly timeoutMs: number },
): Promise<NodeId> {
  const { clock, transfer } = parts;
  let endMs = clock.monotonicMs() + timeoutMs;
  transfer();
  return new Promise((resolve, reject) => {
    const look = (): void => {
      try {
        const leader = otherLeader(parts, target);
        if (target === NOBODY && parts.status().role !== 'leader') {
          endMs = Math.min(endMs, clock.monotonicMs() + ELECTION_MS);
        }
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
