/**
 * Measures one case and says what it took. A process each: a case that ran beside others would find
 * their types in its code and their rubbish in its heap, and take another time when measured alone.
 */
import { MICRO_CASES } from './cases/all.ts';
import type { Taken } from './figures.ts';
import { FULL_PACE, measure } from './measure.ts';
import type { Stage } from './micro-case.ts';

export interface MicroJob extends Stage {
  /** Name of the case. */
  readonly name: string;
}

process.on('disconnect', () => process.exit());
process.once('message', (job: MicroJob) => {
  const found = MICRO_CASES.find(({ name }) => name === job.name);
  if (found === undefined) throw new Error(`there is no case "${job.name}"`);
  void measure(found, job, FULL_PACE).then((taken: Taken) =>
    process.send?.(taken, () => process.exit()),
  );
});
