/** A process that runs seeds, one after the other, as its parent asks for them. */

import { createCluster } from './cluster.ts';
import { type Profile, planOf } from './plan.ts';
import { type SimResult, simulate } from './simulate.ts';

/** What a worker is asked. */
export interface Job {
  readonly seed: number;
  readonly profile: Profile;
  /** Ids of the faults to inject; null: all. */
  readonly only: readonly number[] | null;
  readonly isVerbose: boolean;
  /** Run twice: both must go the same way, event by event. */
  readonly isTwice: boolean;
}

export type JobResult = SimResult & { readonly wallMs: number };

async function carryOut({ seed, profile, only, isVerbose, isTwice }: Job): Promise<JobResult> {
  const startMs = performance.now();
  const plan = planOf(seed, profile);
  const say = isVerbose ? (line: string): void => void process.stdout.write(`${line}\n`) : null;
  const first = await simulate({ plan, only, say }, createCluster);
  const result = isTwice
    ? compared(first, await simulate({ plan, only, say: null }, createCluster))
    : first;
  return { ...result, wallMs: performance.now() - startMs };
}

function compared(first: SimResult, second: SimResult): SimResult {
  if (first.traceHash === second.traceHash && first.events === second.events) return first;
  const trouble = `two runs of one seed differ: ${first.events} events ${first.traceHash}, ${second.events} events ${second.traceHash}`;
  return { ...first, troubles: [...first.troubles, trouble] };
}

process.on('message', (job: Job) => {
  carryOut(job).then(
    (result) => process.send?.(result),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? '') : String(error)}\n`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
