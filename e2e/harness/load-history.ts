/** What the clients in a pod saw, and what a story asks of it. */
import type { Operation } from '../../services/sim/history.ts';
import { violationsOf } from '../../services/sim/linearizable.ts';

/** One line that the clients wrote. */
export type Line =
  | { readonly kind: 'operation'; readonly operation: Operation }
  | { readonly kind: 'mark'; readonly atMs: number; readonly name: string }
  /** A request that its second attempt saved, or did not. */
  | { readonly kind: 'retried'; readonly atMs: number; readonly told: string }
  | { readonly kind: 'failed'; readonly atMs: number; readonly told: string };

/** Between a mark and the next one. */
interface Phase {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
}

export class LoadHistory {
  readonly #lines: Line[] = [];

  /** Takes the next part, a line of JSON each, as the clients answered it. */
  append(text: string): void {
    for (const line of text.split('\n')) this.#lines.push(JSON.parse(line) as Line);
  }

  /** Empty when nothing was lost, nothing made up, and all reads and writes have an order. */
  get violations(): readonly string[] {
    return violationsOf(this.#operations);
  }

  /** Writes that were acknowledged. */
  get writes(): number {
    return this.#acknowledgedMs.length;
  }

  /** What was asked twice in a phase, and failed both times. */
  failedIn(phase: string): readonly string[] {
    const { startMs, endMs } = this.#phase(phase);
    const failed = this.#lines.filter((line) => line.kind === 'failed');
    return failed.filter(({ atMs }) => atMs >= startMs && atMs < endMs).map(({ told }) => told);
  }

  /** The longest time without an acknowledged write of which at least a part lies in the phase. */
  gapMsIn(phase: string): number {
    const { startMs, endMs } = this.#phase(phase);
    const acknowledged = this.#acknowledgedMs.toSorted((a, b) => a - b);
    // A pause that has not ended yet is as long as what is known of it.
    const times = [...acknowledged, Math.max(endMs, acknowledged.at(-1) ?? 0)];
    const gaps = times.map((time, place) => ({ fromMs: times[place - 1] ?? startMs, toMs: time }));
    const here = gaps.filter(({ fromMs, toMs }) => toMs > startMs && fromMs < endMs);
    return Math.round(Math.max(...here.map(({ fromMs, toMs }) => toMs - fromMs)));
  }

  get #operations(): readonly Operation[] {
    return this.#lines.flatMap((line) => (line.kind === 'operation' ? [line.operation] : []));
  }

  get #acknowledgedMs(): readonly number[] {
    return this.#operations
      .filter(({ kind, outcome }) => kind === 'write' && outcome === 'ok')
      .map(({ endMs }) => endMs);
  }

  #phase(name: string): Phase {
    const marks = this.#lines.filter((line) => line.kind === 'mark');
    const place = marks.findIndex((mark) => mark.name === name);
    const [start, end] = marks.slice(place, place + 2);
    if (place < 0 || start === undefined || end === undefined) throw new Error(`no phase ${name}`);
    return { name, startMs: start.atMs, endMs: end.atMs };
  }
}
