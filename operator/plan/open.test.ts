/** When what was done last has come to its end: seen, or so long ago that it had none. */
import { describe, expect, test } from '@jest/globals';
import { isMet, openDisruption } from './open.ts';
import { changePod, NOW_MS, settled } from './testing/snapshots.ts';
import type { Expectation, Snapshot } from './types.ts';

const s = settled();
const gone: Snapshot = { ...s, pods: s.pods.filter(({ name }) => name !== 'demo-volume-2') };
const leaving = changePod(s, 'demo-volume-2', { deleting: true });
const starting = changePod(s, 'demo-volume-2', { uid: 'new', ready: false, readySinceMs: NOW_MS });
const silent: Snapshot = { ...s, cluster: 'unknown' };

const evicted = (agoMs: number): Expectation => ({
  kind: 'evict',
  atMs: NOW_MS - agoMs,
  pod: 'demo-volume-2',
  oldUid: 'uid-demo-volume-2',
});
const moved = (agoMs: number, oldLeader = 'demo-coordinator-0'): Expectation => ({
  kind: 'transfer',
  atMs: NOW_MS - agoMs,
  oldLeader,
});

describe('an eviction', () => {
  test.each<[string, Snapshot, number, boolean]>([
    ['may still have an effect', s, 29_999, false],
    ['has had none after half a minute', s, 30_000, true],
    ['has an effect: the pod is leaving', leaving, 30_000, false],
    ['has an effect: the pod is gone', gone, 30_000, false],
    ['has a pod of its making that starts', starting, 30_000, false],
    [
      'has a pod of its making that is available',
      changePod(s, 'demo-volume-2', { uid: 'new' }),
      0,
      true,
    ],
  ])('%s', (_what, seen, agoMs, met) => {
    expect(isMet(seen, evicted(agoMs))).toBe(met);
  });

  test('without an effect holds nothing up for longer', () => {
    expect(openDisruption({ ...s, open: evicted(29_999) })).toBe(
      'pod demo-volume-2 is being replaced',
    );
    expect(openDisruption({ ...s, open: evicted(30_000) })).toBeNull();
  });
});

describe('a transfer', () => {
  test.each<[string, Snapshot, Expectation, boolean]>([
    ['has another leader', s, moved(0, 'demo-coordinator-1'), true],
    ['has the old leader still', s, moved(29_999), false],
    ['has the old leader again after half a minute', s, moved(30_000), true],
    ['is not seen to have ended', silent, moved(29_999), false],
    ['is not waited for when nobody answers', silent, moved(30_000), true],
  ])('%s', (_what, seen, open, met) => {
    expect(isMet(seen, open)).toBe(met);
  });
});
