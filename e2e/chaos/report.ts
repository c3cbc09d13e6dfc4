/** What a run of chaos was, for eyes and for programs. */
import type { ChaosResult } from './run.ts';
import { FAULT_KINDS, type FaultKind, KINDS } from './schedule.ts';

export interface KindRow {
  readonly kind: FaultKind;
  readonly count: number;
  /** Longest time without an acknowledged write of which a part lies in such a fault. */
  readonly longestGapMs: number | null;
}

export interface Summary {
  readonly minutes: number;
  readonly faults: number;
  readonly faultsPerMinute: number;
  readonly kinds: readonly KindRow[];
  readonly requestsPerSecondBetweenFaults: number | null;
  readonly outcomes: ChaosResult['outcomes'];
  readonly operations: number;
  readonly checkerMs: number;
  readonly longestRepairMs: number;
  readonly endedByThemselves: readonly string[];
  /** Lines that the processes logged, by their message, the rarest last. */
  readonly logged: Readonly<Record<string, number>>;
  readonly findings: readonly string[];
}

/** A minute counts as far as faults may come in it: the judgement at the end is none. */
export function summaryOf(result: ChaosResult): Summary {
  const done = result.passed.filter(({ told }) => told !== null);
  const minutes = (result.endMs - result.startMs) / 60_000;
  return {
    minutes: round(minutes),
    faults: done.length,
    faultsPerMinute: round(done.length / minutes),
    kinds: KINDS.map((kind) => ({
      kind,
      count: done.filter(({ fault }) => fault.kind === kind).length,
      longestGapMs: longestGap(result, kind),
    })),
    requestsPerSecondBetweenFaults: result.quietRate,
    outcomes: result.outcomes,
    operations: result.operations,
    checkerMs: result.checkerMs,
    longestRepairMs: Math.max(0, ...result.repairMs),
    endedByThemselves: result.deaths.map(
      ({ name, code, signal, words }) => `${name} ${code ?? signal}: ${words}`,
    ),
    logged: Object.fromEntries([...result.logged].toSorted(([, a], [, b]) => b - a)),
    findings: result.findings,
  };
}

function longestGap({ passed, acknowledged, endMs }: ChaosResult, kind: FaultKind): number | null {
  const times = [...acknowledged, endMs];
  const gaps = times.flatMap((toMs, i) => {
    const fromMs = times[i - 1];
    return fromMs === undefined || toMs - fromMs < GAP_MIN_MS ? [] : [{ fromMs, toMs }];
  });
  const spans = passed.filter(({ fault, told }) => fault.kind === kind && told !== null);
  if (spans.length === 0) return null;
  const here = gaps.filter(({ fromMs, toMs }) =>
    spans.some((span) => toMs > span.startMs && fromMs < span.endMs),
  );
  return Math.round(Math.max(0, ...here.map(({ fromMs, toMs }) => toMs - fromMs)));
}

/** Shorter times between two writes are no pause. */
const GAP_MIN_MS = 50;

export function textOf(summary: Summary): string {
  const { outcomes } = summary;
  const rows = summary.kinds.map(({ kind, count, longestGapMs }) => [
    kind,
    String(count),
    longestGapMs === null ? '-' : `${longestGapMs} ms`,
    FAULT_KINDS[kind],
  ]);
  return [
    '',
    table([['fault', 'times', 'longest pause', 'what it does'], ...rows]),
    '',
    `${summary.faults} faults in ${summary.minutes} min: ${summary.faultsPerMinute} a minute`,
    `${summary.requestsPerSecondBetweenFaults ?? 'no'} requests/s between faults`,
    `answers: ${Object.entries(outcomes)
      .map(([outcome, count]) => `${count} ${outcome}`)
      .join(', ')}`,
    `history: ${summary.operations} operations, checked in ${summary.checkerMs} ms`,
    `longest repair after a round: ${summary.longestRepairMs} ms`,
    `logged: ${Object.entries(summary.logged)
      .map(([message, count]) => `${count} ${message}`)
      .join(', ')}`,
    `ended by themselves: ${summary.endedByThemselves.length}`,
    ...summary.endedByThemselves.map((line) => `  ${line}`),
    summary.findings.length === 0 ? 'no findings' : `${summary.findings.length} FINDINGS`,
    ...summary.findings.map((finding) => `  ${finding}`),
    '',
  ].join('\n');
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const round = (value: number): number => Math.round(value * 10) / 10;
