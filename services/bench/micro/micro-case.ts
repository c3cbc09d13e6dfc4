/**
 * One thing that is measured by itself. A case makes what it needs when it is opened; the harness says
 * how many steps a run has, and times the runs alone.
 */

export interface MicroCase {
  /** Its subject first; the stored baseline knows it by this. */
  readonly name: string;
  /** What one operation is: figures are of one. */
  readonly of: string;
  /** Operations in one step. */
  readonly perStep: number;
  /** The disk decides how long it takes: shown and never judged. */
  readonly onDisk: boolean;
  open(stage: Stage): Work | Promise<Work>;
}

/** Where a case is measured. */
export interface Stage {
  /** An empty folder for what is on a real disk. */
  readonly folder: string;
  /** Keys, blobs and the like that stand there beforehand; a case may take a fixed share of it. */
  readonly stored: number;
}

/** An opened case. Each part throws where a result is not what it must be: a wrong one has no speed. */
export interface Work {
  /** Makes ready what the next run uses up, and lets go of what the last one left. Not timed. */
  prepare?(steps: number): void | Promise<void>;
  run(steps: number): void | Promise<void>;
  close?(): Promise<void>;
}

/** @throws Error, with `what` went wrong. */
export function mustHold(holds: boolean, what: string): void {
  if (!holds) throw new Error(`a micro-benchmark is unsound: ${what}`);
}
