/**
 * The test's half of the failpoints: lays down which process dies at which step of which write, and
 * tells afterwards whether it came to that. One plan at a time.
 */
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Failpoint } from '../../services/common/failpoint.ts';

/** Not one of the program's own settings: only the preloaded module knows it. */
export const PLAN_VARIABLE = 'FAILPOINT_PLAN';

export interface CrashPlan {
  readonly id: string;
  readonly point: Failpoint;
  /** Bytes that the failpoint's subject must contain: the key of the write that is meant. */
  readonly key: string;
  /** Acts when the step is met for the nth time in one process, from 1. */
  readonly nth: number;
  /** Pid of the process that has to be at the step; null: any. */
  readonly at: number | null;
  /** Pid of the process that dies. */
  readonly victim: number;
}

/** What the process at the step had in hand. */
export interface Fired {
  readonly about: Buffer;
}

export const firedPath = (planPath: string): string => `${planPath}.fired`;

export class CrashPlanner {
  readonly #folder = mkdtempSync(join(tmpdir(), 'minikv-plan-'));
  #plans = 0;

  /** What the processes of the cluster need in their environment. */
  get variables(): Record<string, string> {
    const preload = new URL('./failpoints.ts', import.meta.url).href;
    const options = [process.env['NODE_OPTIONS'] ?? '', `--import=${preload}`];
    return { NODE_OPTIONS: options.join(' ').trim(), [PLAN_VARIABLE]: this.#path };
  }

  /** From now on the step is deadly; whatever was planned before is off. */
  arm(plan: Omit<CrashPlan, 'id'>): void {
    this.disarm();
    this.#plans += 1;
    const next: CrashPlan = { ...plan, id: String(this.#plans) };
    writeFileSync(`${this.#path}.new`, JSON.stringify(next));
    renameSync(`${this.#path}.new`, this.#path);
  }

  disarm(): void {
    rmSync(this.#path, { force: true });
  }

  /** What the armed plan came to; null: its step was not met. */
  fired(): Fired | null {
    try {
      const fired = JSON.parse(readFileSync(firedPath(this.#path), 'utf8')) as {
        planId: string;
        about: string;
      };
      if (fired.planId !== String(this.#plans)) return null;
      return { about: Buffer.from(fired.about, 'hex') };
    } catch {
      return null;
    }
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #path(): string {
    return join(this.#folder, 'plan.json');
  }
}
