/**
 * The drops that a run of compaction has met and that nothing needs once its victims are gone. So many are
 * listed, so that forgetting them costs what they are and not what the index is.
 */
import { type Clock, nextTurn } from '../../common/clock.ts';
import { DROPPED } from '../copy-state.ts';
import type { Catalog, DropPlace } from '../index/catalog.ts';
import { unpackCopy } from '../index/entry.ts';
import { idOf, type Key, type Slot } from '../index/key.ts';
import { DROPS_LISTED_MAX, ENTRIES_A_TURN } from '../limits.ts';
import { inTurns } from './in-turns.ts';

interface ForgetComponents {
  readonly catalog: Catalog;
  readonly clock: Clock;
}

export class MetDrops {
  #listed: DropPlace[] = [];
  #areTooMany = false;

  get isEmpty(): boolean {
    return this.#listed.length === 0;
  }

  add({ copyId, segment, offset }: DropPlace): void {
    if (this.#listed.length < DROPS_LISTED_MAX) this.#listed.push({ copyId, segment, offset });
    else this.#areTooMany = true;
  }

  /** Forgets them all; `segments` are those of the run, from which what is needed has moved. */
  async forget(components: ForgetComponents, segments: ReadonlySet<number>): Promise<void> {
    const { catalog, clock } = components;
    if (this.#areTooMany) return forgetDropsIn(components, segments);
    await inTurns(clock, this.#listed, (drop) => catalog.forgetDrop(drop));
  }
}

/** Walks the index: a list of so many would weigh more than it. */
async function forgetDropsIn(
  { catalog, clock }: ForgetComponents,
  segments: ReadonlySet<number>,
): Promise<void> {
  const pick = (key: Key, slot: Slot, found: DropPlace[]): number => {
    const { segment, offset } = slot;
    // The id is made for those alone that are wanted.
    if (segments.has(segment) && unpackCopy(slot).state === DROPPED) {
      found.push({ copyId: idOf(key), segment, offset });
    }
    return 1;
  };
  for (const drops of catalog.tables.copies.portions(ENTRIES_A_TURN, pick)) {
    // In the order of the index those that stay would gather at its end, where each would probe over all others.
    const inOrder = drops.toSorted((a, b) => a.segment - b.segment || a.offset - b.offset);
    for (const drop of inOrder) catalog.forgetDrop(drop);
    await nextTurn(clock);
  }
}
