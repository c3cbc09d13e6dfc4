/** The parent's side of the load generator: starts its process and speaks with it in turn. */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SECOND_MS } from '../../common/units.ts';
import type { LoadPlan, Order, Report } from './process.ts';
import type { Tally } from './workload.ts';

const PROGRAM = fileURLToPath(new URL('./process.ts', import.meta.url));
const ANSWER_MS = 30 * SECOND_MS;
/** Filling is many requests, and a large value takes its time. */
const FILL_MS = 600 * SECOND_MS;

export class LoadGenerator {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start(plan: LoadPlan): Promise<LoadGenerator> {
    const generator = new LoadGenerator(
      fork(PROGRAM, [], { execArgv: ['--disable-warning=ExperimentalWarning'] }),
    );
    await generator.#ask({ kind: 'plan', plan }, 'ready', ANSWER_MS);
    return generator;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async fill(keys: number): Promise<void> {
    await this.#ask({ kind: 'fill', keys }, 'filled', FILL_MS);
  }

  run(method: 'put' | 'get'): void {
    this.#send({ kind: 'run', method });
  }

  async begin(): Promise<void> {
    await this.#ask({ kind: 'begin' }, 'began', ANSWER_MS);
  }

  /** What was done since `begin`; requests in flight are then waited for and not counted. */
  async end(): Promise<Tally> {
    const idle = this.#hear('idle', ANSWER_MS);
    const report = await this.#ask({ kind: 'end' }, 'tally', ANSWER_MS);
    await idle;
    if (report.kind !== 'tally') throw new Error('the load generator counted nothing');
    return report.tally;
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  async #ask(order: Order, kind: Report['kind'], timeoutMs: number): Promise<Report> {
    const heard = this.#hear(kind, timeoutMs);
    this.#send(order);
    return heard;
  }

  #send(order: Order): void {
    this.#child.send(order);
  }

  #hear(kind: Report['kind'], timeoutMs: number): Promise<Report> {
    const child = this.#child;
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
        act();
      };
      const onMessage = (report: Report): void => {
        if (report.kind === kind) settle(() => resolve(report));
      };
      const onExit = (): void =>
        settle(() => reject(new Error('the load generator ended unasked')));
      const timer = setTimeout(
        () => settle(() => reject(new Error(`the load generator did not say ${kind} in time`))),
        timeoutMs,
      );
      child.on('message', onMessage);
      child.on('exit', onExit);
    });
  }
}
