/**
 * Workers in processes of their own. One that dies or does not answer in time is replaced, and its seed has
 * failed: a run that never ends is a finding like any other.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Job, JobResult } from './worker.ts';

export interface PoolOptions {
  readonly jobs: number;
  /** Source patch that workers run with; null: the code as it is. */
  readonly mutant: string | null;
  /** Wall time of one job. */
  readonly timeoutMs: number;
}

const WORKER = fileURLToPath(new URL('./worker.ts', import.meta.url));
const MUTANTS = fileURLToPath(new URL('../testing/mutants/register.ts', import.meta.url));

export class WorkerPool {
  readonly #options: PoolOptions;
  readonly #idle: ChildProcess[] = [];
  readonly #all = new Set<ChildProcess>();

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Runs one job; at most as many at a time as there are workers. */
  async run(job: Job): Promise<JobResult> {
    const worker = this.#idle.pop() ?? this.#fork();
    const result = await this.#ask(worker, job);
    if (worker.connected && this.#all.has(worker)) this.#idle.push(worker);
    return result;
  }

  close(): void {
    for (const worker of this.#all) worker.kill('SIGKILL');
  }

  #fork(): ChildProcess {
    const { mutant } = this.#options;
    const preload = mutant === null ? [] : ['--import', MUTANTS];
    const worker = fork(WORKER, {
      execArgv: ['--disable-warning=ExperimentalWarning', ...preload],
      env: { ...process.env, ...(mutant === null ? {} : { MINIKV_MUTANT: mutant }) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#all.add(worker);
    worker.once('exit', () => this.#all.delete(worker));
    return worker;
  }

  #ask(worker: ChildProcess, job: Job): Promise<JobResult> {
    const startMs = performance.now();
    return new Promise((resolve) => {
      const end = (result: JobResult): void => {
        clearTimeout(timer);
        worker.removeAllListeners('message');
        worker.removeListener('exit', died);
        resolve(result);
      };
      const failed = (trouble: string): void =>
        end({
          ...NOTHING,
          seed: job.seed,
          troubles: [trouble],
          wallMs: performance.now() - startMs,
        });
      const died = (): void => failed('the process that ran it has died');
      const timer = setTimeout(() => {
        worker.removeListener('exit', died);
        worker.kill('SIGKILL');
        // It is still connected until it has died, and its next seed would seem to have killed it.
        this.#all.delete(worker);
        failed(`it has not ended within ${this.#options.timeoutMs / 1000} s`);
      }, this.#options.timeoutMs);
      worker.once('exit', died);
      worker.once('message', (result: JobResult) => end(result));
      worker.send(job);
    });
  }
}

const NOTHING = {
  events: 0,
  simulatedMs: 0,
  traceHash: '',
  operations: 0,
  acknowledged: 0,
  faults: {},
  refusedFaults: {},
  sometimes: {},
} as const;
