/**
 * A short life of a Raft log and its vote file, cut at every change and torn at every sector. Goal: what
 * was acknowledged is there, of what was under way a whole front, and nothing unsynced is ever taken for
 * decay.
 */
import { expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import type { Disk } from '../disk/disk.ts';
import type { Entry } from '../raft/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { DiskTrace } from '../testing/disk-trace.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LogStore } from './log-store.ts';
import { consensusMetrics } from './metrics.ts';
import type { LogWrite } from './raft-log.ts';

/** What a log holds, as text: term and vote, what was cut off its front, entries. */
interface Model {
  readonly vote: string;
  readonly base: number;
  readonly entries: readonly string[];
}

interface Deed {
  readonly run: (store: LogStore) => Promise<void>;
  /** What may be there while it runs, and as the last one when it is done. */
  readonly states: (before: Model) => readonly Model[];
}

const entry = (index: number, inTerm: number): Entry => ({
  index: logIndex(index),
  term: term(inTerm),
  kind: 'command',
  data: Buffer.from(`${index}@${inTerm} `.padEnd(10 + ((index * 97) % 300), '.')),
});
const textOf = ({ index, term: inTerm, data }: Entry): string =>
  `${index}@${inTerm} ${data.length}`;

/** Entries from `from` to `to`, over those that were there, with a vote for node 2. */
function write(from: number, to: number, inTerm: number, votes = false): Deed {
  const entries = Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, inTerm));
  const hardState = votes ? { term: term(inTerm), vote: nodeId(2) } : null;
  return {
    run: (store) => {
      const writes: LogWrite[] = [{ hardState, truncateFrom: logIndex(from), entries }];
      return store.write(writes);
    },
    states: (before) => {
      const kept = before.entries.slice(0, Math.max(0, from - before.base - 1));
      const texts = entries.map(textOf);
      const fronts = [
        before.entries,
        ...[...texts, ''].map((_, i) => [...kept, ...texts.slice(0, i)]),
      ];
      const voted = votes ? [before.vote, `${inTerm} for 2`] : [before.vote];
      return voted.flatMap((vote) => fronts.map((front) => ({ ...before, vote, entries: front })));
    },
  };
}

function compact(index: number, inTerm: number): Deed {
  return {
    run: (store) => store.compact({ index: logIndex(index), term: term(inTerm) }),
    states: (before) => [
      before,
      { ...before, base: index, entries: before.entries.slice(index - before.base) },
    ],
  };
}

const restart = (index: number, inTerm: number): Deed => ({
  run: (store) => store.restart({ index: logIndex(index), term: term(inTerm) }),
  states: (before) => [before, { ...before, base: index, entries: [] }],
});

const STORY: readonly Deed[] = [
  write(1, 0, 1, true),
  write(1, 3, 1),
  write(4, 6, 1),
  write(5, 7, 2, true),
  write(8, 11, 2),
  compact(9, 2),
  write(12, 12, 2),
  restart(20, 3),
  write(21, 23, 3, true),
];

const open = (disk: Disk): Promise<LogStore> =>
  LogStore.open(
    {
      disk,
      clock: new ManualClock(),
      random: seededRandom(1),
      logger: silentLogger,
      metrics: consensusMetrics(createMetrics()),
    },
    { path: '/raft', segmentBytes: 900, isMember: false },
  );

function found(store: LogStore): Model {
  const { hardState, base, entries } = store.initialState(logIndex(0));
  const vote = `${hardState.term} for ${hardState.vote}`;
  return { vote, base: base.index, entries: entries.map(textOf) };
}

test('a log, cut at every change and torn at every sector', async () => {
  const trace = new DiskTrace();
  const store = await open(trace.disk);
  let model: Model = { vote: '0 for 0', base: 0, entries: [] };
  /** From which change on what may be there. */
  const phases = [{ from: trace.length, possible: [model] as readonly Model[] }];
  for (const { run, states } of STORY) {
    const possible = states(model);
    phases.push({ from: trace.length, possible });
    await run(store);
    model = possible.at(-1) ?? model;
    phases.push({ from: trace.length, possible: [model] });
  }
  await store.close();
  let cuts = 0;
  for await (const { disk, step, fate } of trace.cuts(phases[0]?.from)) {
    const now = phases.filter(({ from }) => from <= step);
    // Torn, the next change has begun: it may be the first one of the next deed.
    const possible = [now.at(-1), now.at(-2)?.from === step ? now.at(-2) : undefined].flatMap(
      (phase) => phase?.possible ?? [],
    );
    const where = `${String(step)} ${fate}`;
    const again = await open(disk);
    expect([where, again.recovering]).toEqual([where, false]);
    const held = found(again);
    const isPossible = possible.some((state) => JSON.stringify(state) === JSON.stringify(held));
    if (!isPossible) throw new Error(`${where}: ${JSON.stringify({ held, possible }, null, 1)}`);
    cuts += 1;
  }
  expect(cuts).toBeGreaterThan(200);
}, 60_000);
