/**
 * Finds the sealed segments that mostly hold drop records which nothing needs any more. The index knows
 * where a drop record stands and not which segments it names: so heavy ones are read, and that only after
 * a share of the volume's files has changed since the last time. What is given is worth its compaction,
 * each time by as much as any other: so looking and compacting in turns comes to an end.
 */
import { type Clock, nextTurn } from '../../common/clock.ts';
import { DROPPED } from '../copy-state.ts';
import type { Catalog } from '../index/catalog.ts';
import { unpackCopy } from '../index/entry.ts';
import type { Key, Slot } from '../index/key.ts';
import type { SegmentInfo } from '../index/segments.ts';
import { DEAD_RATIO_MIN, ENTRIES_A_TURN } from '../limits.ts';
import type { MetDrops } from './met-drops.ts';
import { deadRatio } from './plan.ts';

/** What a segment holds as if it were the only one to go. */
export interface Survey {
  /** All of it could be read. */
  readonly isSound: boolean;
  /** Bytes of records that would have to move. */
  readonly neededBytes: number;
  /** Drops that would be needed no more. */
  readonly deadDrops: MetDrops;
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
    const weigh = (_: Key, slot: Slot): number => {
      const { state, segment, recordBytes } = unpackCopy(slot);
      if (state === DROPPED) dropBytes.set(segment, (dropBytes.get(segment) ?? 0) + recordBytes);
      return 1;
    };
    for (const _ of catalog.tables.copies.portions(ENTRIES_A_TURN, weigh)) {
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
