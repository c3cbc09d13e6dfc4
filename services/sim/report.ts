/** Sums over many runs, and the table that a long run ends with. */
import { HOUR_MS, SECOND_MS } from '../common/units.ts';
import { SOMETIMES } from './sometimes.ts';
import type { JobResult } from './worker.ts';

/** A run of so many seeds must have seen everything at least once. */
const SOMETIMES_FROM_SEEDS = 1000;

export class Report {
  readonly #startMs: number;
  readonly #nowMs: () => number;
  readonly failed: JobResult[] = [];
  seeds = 0;
  #events = 0;
  #simulatedMs = 0;
  #operations = 0;
  #acknowledged = 0;
  #slowest: JobResult | null = null;
  readonly #faults = new Map<string, number>();
  readonly #refused = new Map<string, number>();
  readonly #sometimes = new Map<string, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
  }

  add(result: JobResult): void {
    this.seeds += 1;
    this.#events += result.events;
    this.#simulatedMs += result.simulatedMs;
    this.#operations += result.operations;
    this.#acknowledged += result.acknowledged;
    if (result.wallMs > (this.#slowest?.wallMs ?? 0)) this.#slowest = result;
    addAll(this.#faults, result.faults);
    addAll(this.#refused, result.refusedFaults);
    addAll(this.#sometimes, result.sometimes);
    if (result.troubles.length > 0) this.failed.push(result);
  }

  progress(): string {
    const rate = this.seeds / this.#seconds;
    return `${this.seeds} seeds, ${rate.toFixed(2)} a second, ${this.failed.length} failed`;
  }

  /** Counters that a run of this length must have risen and have not. */
  unseen(isBeyond: boolean): readonly string[] {
    if (isBeyond || this.seeds < SOMETIMES_FROM_SEEDS) return [];
    return SOMETIMES.filter((name) => (this.#sometimes.get(name) ?? 0) === 0);
  }

  print(): string {
    const total = [...this.#faults.values()].reduce((sum, count) => sum + count, 0);
    const slowest = this.#slowest;
    const rows: (readonly [string, string])[] = [
      ['seeds', `${this.seeds}`],
      ['seeds a second', (this.seeds / this.#seconds).toFixed(2)],
      ['events', `${this.#events}`],
      ['events a second', (this.#events / this.#seconds).toFixed(0)],
      ['simulated hours', (this.#simulatedMs / HOUR_MS).toFixed(2)],
      ['times real time', (this.#simulatedMs / SECOND_MS / this.#seconds).toFixed(0)],
      ['operations', `${this.#operations} (${this.#acknowledged} acknowledged)`],
      ['faults', `${total}`],
      ...sorted(this.#faults).map(([kind, count]) => {
        const refused = this.#refused.get(kind) ?? 0;
        const more = refused > 0 ? ` (${refused} more not admitted)` : '';
        return [`  ${kind}`, `${count}${more}`] as const;
      }),
      ...SOMETIMES.map((name) => [`  ${name}`, `${this.#sometimes.get(name) ?? 0}`] as const),
      ...(slowest === null
        ? []
        : [['slowest seed', `${slowest.seed}: ${(slowest.wallMs / 1000).toFixed(1)} s`] as const]),
      ['failed seeds', `${this.failed.length}`],
    ];
    return rows.map(([name, value]) => `${name.padEnd(46)} ${value}`).join('\n');
  }

  get #seconds(): number {
    return Math.max(0.001, (this.#nowMs() - this.#startMs) / 1000);
  }
}

function addAll(sums: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    sums.set(name, (sums.get(name) ?? 0) + count);
  }
}

const sorted = (counts: ReadonlyMap<string, number>): readonly (readonly [string, number])[] =>
  [...counts].sort(([a], [b]) => a.localeCompare(b));
