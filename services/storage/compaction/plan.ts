/**
 * Chooses what to compact; pure. A segment is worth it where enough of it is dead, or where many
 * small ones can become one. Header and seal are nobody's dead bytes, so an output that is all alive
 * is never chosen again.
 */
import { DEAD_RATIO_MIN, VICTIMS_MAX } from '../limits.ts';
import { HEADER_BYTES } from '../record.ts';
import { SEGMENT_HEADER_BYTES } from '../segment/header.ts';

export interface SegmentShape {
  readonly segment: number;
  readonly bytes: number;
  readonly sealed: boolean;
  readonly liveBytes: number;
  readonly keptBytes: number;
}

export interface PlanLimits {
  readonly segmentBytes: number;
  /** Segments with bad records that somebody still needs. */
  readonly damaged: ReadonlySet<number>;
  /** What the disk has room for. */
  readonly roomBytes: number;
}

/** Small enough, and enough of them, to be worth merging although nothing in them is dead. */
const SMALL_SHARE = 1 / 8;
const SMALL_COUNT_MIN = 8;

/** Dead bytes over all bytes that records take, 0 for an empty segment without any. */
export function deadRatio(shape: SegmentShape): number {
  const records = shape.bytes - SEGMENT_HEADER_BYTES - HEADER_BYTES;
  const dead = records - shape.liveBytes - shape.keptBytes;
  return records <= 0 ? 0 : dead / records;
}

/** The segments to replace by one, ascending; empty where nothing is worth the work. */
export function planCompaction(
  shapes: readonly SegmentShape[],
  limits: PlanLimits,
): readonly number[] {
  const open = shapes.filter(({ sealed, segment }) => sealed && !limits.damaged.has(segment));
  const small = open.filter(({ bytes }) => bytes < limits.segmentBytes * SMALL_SHARE);
  const merge = small.length >= SMALL_COUNT_MIN;
  const worth = open.filter((shape) => isDead(shape) || (merge && small.includes(shape)));
  worth.sort((a, b) => deadRatio(b) - deadRatio(a) || a.segment - b.segment);
  const victims: SegmentShape[] = [];
  let bytes = 0;
  for (const shape of worth) {
    const needed = shape.liveBytes + shape.keptBytes;
    if (bytes + needed > Math.max(0, limits.roomBytes)) continue;
    if (victims.length > 0 && bytes + needed > limits.segmentBytes) break;
    if (victims.length === VICTIMS_MAX) break;
    victims.push(shape);
    bytes += needed;
  }
  /* A small one by itself would only become another small one. */
  if (victims.length === 1 && !victims.every(isDead)) return [];
  return victims.map(({ segment }) => segment).sort((a, b) => a - b);
}

const isDead = (shape: SegmentShape): boolean =>
  deadRatio(shape) >= DEAD_RATIO_MIN || isEmpty(shape);

const isEmpty = (shape: SegmentShape): boolean => shape.liveBytes + shape.keptBytes === 0;
