/**
 * Times one case in many short runs, each beside a run of the reference: whatever slows the machine
 * down meanwhile slows both, and medians forget the runs that something fell into.
 */
import { median, type Taken } from './figures.ts';
import type { MicroCase, Stage, Work } from './micro-case.ts';
import { referencePassNs } from './reference.ts';

export interface Pace {
  /** Until the code is compiled and the caches are warm. */
  readonly warmUpMs: number;
  /** About how long one run is. */
  readonly runMs: number;
  readonly rounds: number;
}

/**
 * Runs and the reference are shorter than what a busy system gives a thread at a time: of longer ones
 * most would be interrupted, the case's more than the reference's.
 */
export const FULL_PACE: Pace = { warmUpMs: 400, runMs: 1, rounds: 151 };

/** @throws Error where the case is unsound. */
export async function measure(measured: MicroCase, stage: Stage, pace: Pace): Promise<Taken> {
  const work = await measured.open(stage);
  try {
    const steps = await warmUp(work, pace);
    const times: number[] = [];
    const shares: number[] = [];
    const passes: number[] = [];
    for (let round = 0; round < pace.rounds; round += 1) {
      const passNs = referencePassNs();
      const eachNs = (await timeMs(work, steps)) * (1e6 / (steps * measured.perStep));
      times.push(eachNs);
      shares.push(eachNs / passNs);
      passes.push(passNs);
    }
    return { eachNs: median(times), passes: median(shares), passNs: median(passes) };
  } finally {
    await work.close?.();
  }
}

/** Answers how many steps take as long as a run should: by the fastest runs, which nothing fell into. */
async function warmUp(work: Work, { warmUpMs, runMs }: Pace): Promise<number> {
  const untilMs = performance.now() + warmUpMs;
  let steps = 1;
  let stepMs = Number.POSITIVE_INFINITY;
  do {
    referencePassNs();
    const ms = await timeMs(work, steps);
    stepMs = Math.min(stepMs, ms / steps);
    if (ms < runMs) steps *= 2;
  } while (performance.now() < untilMs);
  return Math.max(1, Math.round(runMs / stepMs));
}

async function timeMs(work: Work, steps: number): Promise<number> {
  await work.prepare?.(steps);
  const beganMs = performance.now();
  await work.run(steps);
  return performance.now() - beganMs;
}
