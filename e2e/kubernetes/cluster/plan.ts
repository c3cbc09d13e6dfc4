/** What a running cluster was made of: written by `up`, read by its nodes when they start. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ImageArchive } from './images.ts';
import { STATE } from './settings.ts';

export interface Plan {
  readonly nodeCount: number;
  /** The folder of the cluster's programs. */
  readonly binaries: string;
  readonly images: ImageArchive;
}

const FILE = join(STATE, 'plan.json');

export function writePlan(plan: Plan): void {
  writeFileSync(FILE, JSON.stringify(plan));
}

/** @throws Error when no cluster is up. */
export function readPlan(): Plan {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Plan;
}
