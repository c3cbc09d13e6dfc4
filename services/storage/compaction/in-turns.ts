/** Many changes of the index, of which each is small: some a turn, so that nobody waits for all of them. */
import { type Clock, nextTurn } from '../../common/clock.ts';
import { MOVES_A_TURN } from '../limits.ts';

export async function inTurns<T>(
  clock: Clock,
  items: readonly T[],
  change: (item: T) => void,
): Promise<void> {
  for (const [i, item] of items.entries()) {
    if (i % MOVES_A_TURN === MOVES_A_TURN - 1) await nextTurn(clock);
    change(item);
  }
}
