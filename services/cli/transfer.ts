/**
 * Many things moved at once, each failing alone: one bad name is told and the rest goes on. Only a
 * cluster that cannot serve, after all retries, ends the whole.
 */
import { type ErrorCode, KvError } from '../common/errors.ts';
import { startProgress, type Tally } from './progress.ts';
import { complain, describeError, type Terminal } from './terminal.ts';

export type Moved =
  | { readonly kind: 'moved'; readonly bytes: number }
  | { readonly kind: 'unchanged' }
  | { readonly kind: 'skipped'; readonly why: string }
  /** Another job will finish and count it. */
  | { readonly kind: 'later' };

export interface Job {
  readonly name: string;
  readonly run: () => Promise<Moved>;
}

export interface TransferOptions {
  readonly concurrency: number;
  /** Counts how the jobs ended. */
  readonly tally: Tally;
}

/** Worth another try later, yet of one value: its copies are away, the cluster serves. */
const OF_ONE_VALUE: ReadonlySet<ErrorCode> = new Set(['REPLICAS_UNAVAILABLE']);

const endsAll = (error: unknown): boolean =>
  error instanceof KvError && error.row.retryable && !OF_ONE_VALUE.has(error.code);

/** Runs all jobs, `concurrency` at a time. @throws what ended the whole. */
export async function runJobs(
  terminal: Terminal,
  jobs: readonly Job[],
  options: TransferOptions,
): Promise<void> {
  const { concurrency, tally } = options;
  const progress = startProgress(terminal, jobs.length);
  const queue = jobs[Symbol.iterator]();
  const fatal: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) {
      const { name, run } = next.value;
      try {
        const moved = await run();
        if (moved.kind === 'skipped') complain(terminal, `skipped ${name}: ${moved.why}`);
        progress.done(count(tally, moved));
      } catch (error) {
        if (endsAll(error)) fatal.push(error);
        if (fatal.length > 0) return;
        tally.failed += 1;
        complain(terminal, `${name}: ${describeError(error)}`);
      }
      if (fatal.length > 0) return;
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  progress.stop();
  if (fatal.length > 0) throw fatal[0];
}

/** Adds one end to the tally; answers the bytes it moved. */
function count(tally: Tally, moved: Moved): number {
  if (moved.kind === 'moved') {
    tally.moved += 1;
    tally.movedBytes += moved.bytes;
    return moved.bytes;
  }
  if (moved.kind === 'unchanged') tally.unchanged += 1;
  if (moved.kind === 'skipped') tally.skipped += 1;
  return 0;
}
