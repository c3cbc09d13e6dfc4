/**
 * Goal: a truncation takes back what stands in earlier segments, and the log is read whole all the same once
 * these segments are gone. Method: a deposed leader's entries of every length, with segments so small that they
 * end anywhere in them; then each cut, with a start behind it.
 */
import { describe, expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { Entry, LogPoint } from '../raft/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LogStore } from './log-store.ts';
import { consensusMetrics } from './metrics.ts';

const FOLDER = '/raft';
const LOG_FOLDER = `${FOLDER}/log`;
/** A few entries. */
const SEGMENT_BYTES = 250;
const FIRST = '000000000001.log';
const NONE = logIndex(0);
/** The last entry that both leaders share. */
const SHARED = 6;
/** How the next leader's entries come until they reach beyond the voided ones. */
type CatchUp = 'in one write' | 'one by one';

const point = (index: number, inTerm: number): LogPoint => ({
  index: logIndex(index),
  term: term(inTerm),
});
const entry = (index: number, inTerm: number): Entry => ({
  ...point(index, inTerm),
  kind: 'command',
  data: new Uint8Array(1),
});
const entries = (from: number, to: number, inTerm: number): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, i) => entry(from + i, inTerm));
const write = (list: readonly Entry[]) => ({ hardState: null, truncateFrom: null, entries: list });

async function open(disk: MemoryDisk): Promise<LogStore> {
  const parts = { disk, clock: new ManualClock(), random: seededRandom(1), logger: silentLogger };
  const metrics = consensusMetrics(createMetrics());
  const options = { path: FOLDER, segmentBytes: SEGMENT_BYTES, isMember: false };
  return LogStore.open({ ...parts, metrics }, options);
}

const segments = (disk: MemoryDisk): Promise<readonly string[]> => disk.list(LOG_FOLDER);

interface Story {
  readonly disk: MemoryDisk;
  readonly store: LogStore;
  /** The segment in which the truncation stands. */
  readonly truncatedIn: string;
  /** The truncation is the first record of its segment. */
  readonly isFirst: boolean;
  /** Segments that begin between the first of the voided entries and the truncation. */
  readonly rolls: number;
  readonly last: number;
}

/** `stale` entries of a leader that was deposed, voided by those of the next one. */
async function deposed(stale: number, catchUp: CatchUp): Promise<Story> {
  const disk = new MemoryDisk();
  const store = await open(disk);
  store.initialState(NONE);
  const hardState = { term: term(1), vote: nodeId(1) };
  await store.write([{ ...write([]), hardState }]);
  for (let i = 1; i <= SHARED; i += 1) await store.write([write([entry(i, 1)])]);
  const shared = await segments(disk);
  for (let i = 1; i <= stale; i += 1) await store.write([write([entry(SHARED + i, 1)])]);
  const before = await segments(disk);
  const atOnce = catchUp === 'in one write' ? SHARED + stale + 2 : SHARED + 1;
  const conflicting = {
    ...write(entries(SHARED + 1, atOnce, 2)),
    truncateFrom: logIndex(SHARED + 1),
  };
  await store.write([{ ...conflicting, hardState: { term: term(2), vote: nodeId(3) } }]);
  const after = await segments(disk);
  const last = SHARED + stale + 8;
  for (let i = atOnce + 1; i <= last; i += 1) await store.write([write([entry(i, 2)])]);
  return {
    disk,
    store,
    truncatedIn: after.at(-1) ?? '',
    isFirst: after.length > before.length,
    rolls: after.length - shared.length,
    last,
  };
}

/** The state machine is durable up to `cut`; the node stops and starts. */
async function restarted({ disk, store }: Story, cut: number): Promise<LogStore> {
  await store.compact(point(cut, 2));
  await store.close();
  const again = await open(disk);
  await again.align(point(cut, 2), false);
  return again;
}

describe('a truncation of what stands in earlier segments', () => {
  test.each<CatchUp>(['in one write', 'one by one'])(
    'is no loss once these segments are gone, wherever they ended: %s',
    async (catchUp) => {
      const seen = { asFirstRecord: 0, behindTwoRolls: 0 };
      for (let stale = 1; stale <= 12; stale += 1) {
        const { last } = await deposed(stale, catchUp);
        for (let cut = SHARED + 1; cut < last; cut += 1) {
          const story = await deposed(stale, catchUp);
          const again = await restarted(story, cut);
          const [oldest = ''] = await segments(story.disk);
          const isOldest = oldest === story.truncatedIn;
          if (isOldest && story.isFirst) seen.asFirstRecord += 1;
          if (oldest !== FIRST && oldest < story.truncatedIn && story.rolls >= 2) {
            seen.behindTwoRolls += 1;
          }
          const { base, entries: kept, hardState } = again.initialState(logIndex(cut));
          expect({ stale, cut, recovering: again.recovering, hardState }).toEqual({
            stale,
            cut,
            recovering: false,
            hardState: { term: 2, vote: 3 },
          });
          expect(base.index).toBeLessThanOrEqual(cut);
          const wanted = Array.from({ length: last - base.index }, (_, i) => base.index + 1 + i);
          expect(kept.map(({ index }) => index)).toEqual(wanted);
          expect(kept.every(({ index, term: of }) => of === (index > SHARED ? 2 : 1))).toBe(true);
        }
      }
      expect(seen.behindTwoRolls).toBeGreaterThan(0);
      if (catchUp === 'in one write') expect(seen.asFirstRecord).toBeGreaterThan(0);
    },
  );
});
