/** The parent's side of the load generator: starts its process and speaks with it in turn. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { SECOND_MS } from '../../common/units.ts';
import type { LoadPlan, Order, Report, Workload } from './process.ts';
import type { Tally } from './workload.ts';

const PROGRAM = fileURLToPath(new URL('./process.ts', import.meta.url));
const ANSWER_MS = 30 * SECOND_MS;
/** Filling is many requests, and a large value takes its time: at least so many a second after that. */
const FILL_MS = 600 * SECOND_MS;
const FILLED_PER_SECOND_MIN = 1000;

export interface Ended extends Tally {
  /** PUTs of the whole run, counted or not. */
  readonly acknowledged: number;
}

export class LoadGenerator {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** With `program`, one that obeys the same orders, instead of the generator of this folder. */
  static async start(plan: LoadPlan, program?: string): Promise<LoadGenerator> {
    const generator = new LoadGenerator(
      program === undefined
        ? fork(PROGRAM, [], { execArgv: ['--disable-warning=ExperimentalWarning'] })
        : spawn(program, [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    );
    generator.#child.on('error', () => undefined);
    await generator.#ask({ kind: 'plan', plan }, 'ready', ANSWER_MS);
    return generator;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async fill(keys: number, timeoutMs: number = FILL_MS): Promise<void> {
    const extraMs = (keys / FILLED_PER_SECOND_MIN) * SECOND_MS;
    await this.#ask({ kind: 'fill', keys }, 'filled', timeoutMs + extraMs);
  }

  run(workload: Workload): void {
    this.#send({ kind: 'run', workload });
  }

  async begin(): Promise<void> {
    await this.#ask({ kind: 'begin' }, 'began', ANSWER_MS);
  }

  /** What was done since `begin`; requests in flight are then waited for and not counted. */
  async end(): Promise<Ended> {
    // Both at once: a peer that hangs keeps both from coming, and neither may fail unheard.
    const [last, report] = await Promise.all([
      this.#hear('idle', ANSWER_MS),
      this.#ask({ kind: 'end' }, 'tally', ANSWER_MS),
    ]);
    if (report.kind !== 'tally' || last.kind !== 'idle') {
      throw new Error('the load generator counted nothing');
    }
    return { ...report.tally, acknowledged: last.acknowledged };
  }

  /** Reads keys of the last run of PUTs, drawn at random; the errors are values that are not as written. */
  async verify(times: number): Promise<Tally> {
    const report = await this.#ask({ kind: 'verify', times }, 'verified', FILL_MS);
    if (report.kind !== 'verified') throw new Error('the load generator verified nothing');
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
