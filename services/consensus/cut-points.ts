/**
 * Places at which the log may be cut: flushed points of the past. The term of an index far behind is
 * no longer at hand, so the points are noted while they pass.
 */
import type { LogPoint } from '../raft/types.ts';

/** A slow flush or a long transfer keeps no more than this; the oldest go first. */
const POINTS_MAX = 4096;

export class CutPoints {
  #points: LogPoint[] = [];

  /** The state machine is durable up to here. */
  note(flushed: LogPoint): void {
    if (flushed.index <= (this.#points.at(-1)?.index ?? 0)) return;
    this.#points.push(flushed);
    if (this.#points.length > POINTS_MAX) this.#points.shift();
  }

  /** The highest noted point above `base` and at most at `limit`, null where there is none. */
  take(base: number, limit: number): LogPoint | null {
    const cut = this.#points.findLast(({ index }) => index <= limit);
    if (cut === undefined || cut.index <= base) return null;
    this.#points = this.#points.filter(({ index }) => index > cut.index);
    return cut;
  }
}
