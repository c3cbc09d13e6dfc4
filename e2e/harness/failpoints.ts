/**
 * Preloaded into the processes of a cluster under test (`node --import`): at the step that a plan file
 * names, it kills the process that the plan names, this one or another, by SIGKILL. The plan is read
 * at each failpoint, so it can be laid down while the cluster runs; whoever meets it first takes it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hookFailpoints } from '../../services/common/failpoint.ts';
import { type CrashPlan, firedPath, PLAN_VARIABLE } from './crash-plan.ts';

/** A victim that is another process is awaited for so long, so that this step really is its last. */
const DEATH_TIMEOUT_MS = 2000;

const path = process.env[PLAN_VARIABLE];
if (path !== undefined) hookFailpoints(hookOf(path));

function hookOf(planPath: string): (name: string, about: Uint8Array) => void {
  /** How often the present plan's step was met here. */
  let met = { planId: '', times: 0 };
  return (name, about) => {
    const plan = readPlan(planPath);
    if (plan?.point !== name) return;
    if (plan.at !== null && plan.at !== process.pid) return;
    if (!Buffer.from(about.buffer, about.byteOffset, about.byteLength).includes(plan.key)) return;
    met = { planId: plan.id, times: met.planId === plan.id ? met.times + 1 : 1 };
    if (met.times < plan.nth || !take(planPath)) return;
    const fired = { planId: plan.id, about: Buffer.from(about).toString('hex') };
    writeFileSync(firedPath(planPath), JSON.stringify(fired));
    process.kill(plan.victim, 'SIGKILL');
    awaitDeath(plan.victim);
  };
}

function readPlan(planPath: string): CrashPlan | null {
  try {
    return JSON.parse(readFileSync(planPath, 'utf8')) as CrashPlan;
  } catch {
    return null;
  }
}

/** A rename succeeds once: of several processes at the same step one acts. */
function take(planPath: string): boolean {
  try {
    renameSync(planPath, `${planPath}.taken`);
    return true;
  } catch {
    return false;
  }
}

/** Holds this process still until the other one is gone: by then none of its sockets can send. */
function awaitDeath(pid: number): void {
  const cell = new Int32Array(new SharedArrayBuffer(4));
  const endMs = performance.now() + DEATH_TIMEOUT_MS;
  while (runs(pid) && performance.now() < endMs) Atomics.wait(cell, 0, 0, 1);
}

/** False for a process that is gone or waits to be buried; always false where there is no /proc. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^\) [ZX]/.test(stat.slice(stat.lastIndexOf(')')));
  } catch {
    return false;
  }
}
