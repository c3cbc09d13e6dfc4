/**
 * Finds the sealed segments that mostly hold drop records which nothing needs any more. The index knows
 * where a drop record stands and not which segments it names: so heavy ones are read, and that only after
 * a share of the volume's files has changed since the last time. What is given is worth its compaction,
 * each time by as much as any other: so looking and compacting in turns comes to an end.
 */
import { type Clock, nextTurn } from '../../common/clock.ts';
import { DROPPED } from '../copy-state.ts';
import type { Catalog, DropPlace } from '../index/catalog.ts';
import { unpackCopy } from '../index/entry.ts';
import { idOf } from '../index/key.ts';
import type { SegmentInfo } from '../index/segments.ts';
import { DEAD_RATIO_MIN } from '../limits.ts';
import { deadRatio } from './plan.ts';

/** What a segment holds as if it were the only one to go. */
export interface Survey {
  /** All of it could be read. */
  readonly isSound: boolean;
  /** Bytes of records that would have to move. */
  readonly neededBytes: number;
}

export interface DeadDropsComponents {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly survey: (info: SegmentInfo, signal?: AbortSignal) => Promise<Survey>;
}

interface Limits {
  readonly damaged: ReadonlySet<number>;
  readonly roomBytes: number;
}

/** Entries of the index that are looked at in one turn. */
const ENTRIES_A_TURN = 16_384;
/** So many of the files must have come or gone: each then pays for a bounded number of reads. */
const CHANGED_SHARE = 1 / 8;

export class DeadDrops {
  readonly #parts: DeadDropsComponents;
  #changesSeen = Number.NEGATIVE_INFINITY;
  /** Heavy with drops, yet to be read. */
  #heavy: number[] = [];

  constructor(components: DeadDropsComponents) {
    this.#parts = components;
  }

  /** The next segment that is worth being replaced, or null. */
  async next(limits: Limits, signal?: AbortSignal): Promise<number | null> {
    const { catalog, survey } = this.#parts;
    if (this.#heavy.length === 0) this.#heavy = await this.#findHeavy(signal);
    while (signal?.aborted !== true) {
      const segment = this.#heavy.shift();
      if (segment === undefined) return null;
      const info = catalog.segments.get(segment);
      if (info === undefined || limits.damaged.has(segment)) continue;
      const { isSound, neededBytes } = await survey(info, signal);
      if (!isSound || neededBytes > Math.max(0, limits.roomBytes)) continue;
      const found = { ...info, liveBytes: neededBytes, keptBytes: 0 };
      if (deadRatio(found) >= DEAD_RATIO_MIN) return segment;
    }
    return null;
  }

  async #findHeavy(signal?: AbortSignal): Promise<number[]> {
    const { catalog, clock } = this.#parts;
    const { segments } = catalog;
    if (segments.changes - this.#changesSeen < segments.count * CHANGED_SHARE) return [];
    if (segments.changes === this.#changesSeen) return [];
    this.#changesSeen = segments.changes;
    const dropBytes = new Map<number, number>();
    for (const drops of dropsOf(catalog)) {
      for (const { segment, recordBytes } of drops) {
        dropBytes.set(segment, (dropBytes.get(segment) ?? 0) + recordBytes);
      }
      await nextTurn(clock);
      if (signal?.aborted === true) return [];
    }
    const isHeavy = (info: SegmentInfo): boolean => {
      const drops = dropBytes.get(info.segment) ?? 0;
      const without = { ...info, liveBytes: info.liveBytes - drops };
      return info.sealed && drops > 0 && deadRatio(without) >= DEAD_RATIO_MIN;
    };
    const heavy = segments.all().filter(isHeavy);
    return heavy.map(({ segment }) => segment).sort((a, b) => a - b);
  }
}

/**
 * Forgets the drops whose records stand in these segments still: what is needed has moved. The index is
 * walked because a list of them could weigh more than the index.
 */
export async function forgetDropsIn(
  { catalog, clock }: Pick<DeadDropsComponents, 'catalog' | 'clock'>,
  segments: ReadonlySet<number>,
): Promise<void> {
  for (const drops of dropsOf(catalog)) {
    for (const drop of drops) if (segments.has(drop.segment)) catalog.forgetDrop(drop);
    await nextTurn(clock);
  }
}

type PlacedDrop = DropPlace & { readonly recordBytes: number };

/** All drops that the index knows, a turn's worth at a time: it may change between. */
function* dropsOf(catalog: Catalog): Generator<readonly PlacedDrop[]> {
  let drops: PlacedDrop[] = [];
  let seen = 0;
  for (const entries of catalog.tables.copies.partitions()) {
    for (const [key, slot] of entries) {
      seen += 1;
      const { state, segment, offset, recordBytes } = unpackCopy(slot);
      if (state === DROPPED) drops.push({ copyId: idOf(key), segment, offset, recordBytes });
    }
    if (seen < ENTRIES_A_TURN) continue;
    yield drops;
    drops = [];
    seen = 0;
  }
  yield drops;
}
