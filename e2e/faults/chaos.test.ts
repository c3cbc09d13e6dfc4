/**
 * Goal: clients see one order of all that happens, and nothing acknowledged is lost, whatever befalls
 * the processes under them.
 * Method: the short form of `npm run chaos` with one seed, on loopback, for every machine: two bursts of
 * faults under load, then the judgement of the whole (docs/testing.md).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { summaryOf, textOf } from '../chaos/report.ts';
import { runChaos } from '../chaos/run.ts';

const SEED = 11;
const ROUND_MS = 42_000;
const FAULTS_MIN = 6;

test('two bursts of faults under load', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'minikv-chaos-'));
  const said: string[] = [];
  const result = await runChaos(
    {
      seed: SEED,
      rounds: 1,
      roundMs: ROUND_MS,
      network: 'loopback',
      mounts: false,
      clockLibrary: null,
      descriptors: true,
      clients: 8,
      rate: 160,
      // How fast this machine is says nothing here.
      rateMin: 1,
      folder,
      basePort: 18_400,
    },
    (line) => said.push(line),
    new AbortController().signal,
  );
  const summary = summaryOf(result);
  console.log([`logs in ${folder}`, ...said, textOf(summary)].join('\n'));
  expect(summary.findings).toEqual([]);
  expect(summary.faults).toBeGreaterThanOrEqual(FAULTS_MIN);
  await rm(folder, { recursive: true, force: true });
}, 240_000);
