/** How many pods there shall be: what is added, what is held, and what alone may be taken back. */
import { describe, expect, test } from '@jest/globals';
import { plan } from './plan.ts';
import { conditionOf, reasonsOf } from './testing/plans.ts';
import {
  changeClaim,
  changePod,
  claimOf,
  clusterOf,
  outdated,
  podOf,
  setName,
  setOf,
  settled,
  withCluster,
} from './testing/snapshots.ts';
import type { Plan, Snapshot } from './types.ts';

const doesNothing = (p: Plan): void => {
  expect(p).toMatchObject({ applies: [], calls: [], broken: null, disruptive: null });
};

describe('4 and 6: sizes', () => {
  const replicasIn = (s: Snapshot, role: 'coordinator' | 'volume'): unknown => {
    const step = plan({ ...s, applied: {} }).applies.find(
      (one) => one.kind === 'apply' && one.key === setName(role),
    );
    return step?.kind === 'apply' && (step.manifest['spec'] as { replicas: number }).replicas;
  };
  const asked = (s: Snapshot, part: object): Snapshot => ({
    ...s,
    cr: { ...s.cr, spec: { ...s.cr.spec, ...part } },
  });
  const volumes = (replicas: number) => ({ volumes: { ...settled().cr.spec.volumes, replicas } });
  const coordinators = (replicas: number) => ({
    coordinators: { ...settled().cr.spec.coordinators, replicas },
  });

  test('more volumes are just applied, also while the cluster is unwell', () => {
    const s = withCluster(asked(settled(), volumes(5)), () => ({
      data: { underReplicated: 9, lost: 0 },
    }));
    expect(replicasIn(s, 'volume')).toBe(5);
  });

  test('fewer volumes are held, by StatefulSet and by claims', () => {
    const s = asked(settled({ volumes: { replicas: 5 } }), volumes(3));
    const p = plan(s);
    expect(conditionOf(p, 'ChangeHeld')).toBe('True VolumeScaleIn');
    expect(reasonsOf(p)).toEqual(['ChangeHeld']);
    expect(replicasIn(s, 'volume')).toBe(5);
    expect(replicasIn({ ...s, sts: { ...s.sts, volume: null } }, 'volume')).toBe(5);
  });

  /** Five volumes asked for, `extra` more once asked for, which no node has taken. */
  const overscaled = (extra = 1): Snapshot => {
    const s = settled({ volumes: { replicas: 5 } });
    const ordinals = Array.from({ length: extra }, (_, i) => 5 + i);
    const pending = { ready: false, readySinceMs: 0, node: null, ip: null, unschedulable: true };
    return {
      ...s,
      sts: { ...s.sts, volume: setOf('volume', 5 + extra) },
      pods: [...s.pods, ...ordinals.map((i) => podOf('volume', i, pending))],
      claims: [...s.claims, ...ordinals.map((i) => claimOf('volume', i, { phase: 'Pending' }))],
    };
  };

  test.each([1, 25])('%d volumes that never ran are taken back', (extra) => {
    const s = overscaled(extra);
    expect(replicasIn(s, 'volume')).toBe(5);
    const p = plan(s);
    expect(conditionOf(p, 'ChangeHeld')).toBe('False NothingHeld');
    expect(p.status.volumes).toMatchObject({ replicas: 5, summary: '5/5' });
    expect(replicasIn({ ...s, claims: settled().claims, pods: settled().pods }, 'volume')).toBe(5);
  });

  test('while they are asked for they stay', () => {
    expect(replicasIn(asked(overscaled(3), volumes(7)), 'volume')).toBe(7);
    expect(replicasIn(asked(overscaled(3), volumes(8)), 'volume')).toBe(8);
  });

  const disk = { ...clusterOf(3, 6).volumes[5]!, live: false, refs: 0 };
  test.each<[string, Snapshot]>([
    ['no leader tells of its disks', { ...overscaled(), cluster: 'unknown' }],
    ['its pod was placed', changePod(overscaled(), 'demo-volume-5', { node: 'node-5' })],
    ['its claim is bound', changeClaim(overscaled(), 'demo-volume-5', { phase: 'Bound' })],
    ['its claim is lost', changeClaim(overscaled(), 'demo-volume-5', { phase: 'Lost' })],
    ['its claim says nothing', changeClaim(overscaled(), 'demo-volume-5', { phase: '' })],
    [
      'a second claim is bound',
      {
        ...overscaled(),
        claims: [...overscaled().claims, claimOf('volume', 5, { name: 'wal-demo-volume-5' })],
      },
    ],
    [
      'the store knows its disk',
      withCluster(overscaled(), (c) => ({ volumes: [...c.volumes, disk] })),
    ],
    [
      'its disk is gone',
      withCluster(overscaled(), (c) => ({ volumes: [...c.volumes, { ...disk, state: 'gone' }] })),
    ],
    ['one above it ran', changePod(overscaled(2), 'demo-volume-6', { node: 'node-6' })],
  ])('it may have run: %s', (_what, s) => {
    expect(replicasIn(s, 'volume')).toBe(s.sts.volume!.replicas);
    expect(conditionOf(plan(s), 'ChangeHeld')).toBe('True VolumeScaleIn');
  });

  test('a claim left behind is no wish, also while nobody leads', () => {
    const s = settled();
    const left = [...s.claims, claimOf('volume', 3, { phase: 'Pending' })];
    doesNothing(plan({ ...s, claims: left }));
    doesNothing(plan({ ...s, claims: left, cluster: 'unknown' }));
    const unset = { ...s, claims: left, sts: { ...s.sts, volume: null } };
    expect(replicasIn({ ...unset, cluster: 'unknown' }, 'volume')).toBe(3);
    const ran = changeClaim({ ...unset, cluster: 'unknown' }, 'demo-volume-3', { phase: 'Bound' });
    expect(replicasIn(ran, 'volume')).toBe(4);
  });

  test('coordinators are never taken back', () => {
    const s = settled();
    const pending = podOf('coordinator', 3, { node: null, ready: false });
    const five = {
      ...s,
      sts: { ...s.sts, coordinator: setOf('coordinator', 4) },
      pods: [...s.pods, pending],
      claims: [...s.claims, claimOf('coordinator', 3, { phase: 'Pending' })],
    };
    expect(replicasIn(five, 'coordinator')).toBe(4);
  });

  test.each([1, 5])('%d coordinators instead of 3 are held', (count) => {
    const s = asked(settled(), coordinators(count));
    expect(conditionOf(plan(s), 'ChangeHeld')).toBe('True CoordinatorCount');
    expect(replicasIn(s, 'coordinator')).toBe(3);
    expect(replicasIn({ ...s, cluster: 'unknown', coordinators: {} }, 'coordinator')).toBe(3);
  });

  test('a member knows the count when a claim is gone', () => {
    const s = asked(settled(), coordinators(1));
    const found = {
      ...s,
      cluster: 'unknown' as const,
      sts: { ...s.sts, coordinator: null },
      claims: [claimOf('coordinator', 0)],
    };
    expect(replicasIn(found, 'coordinator')).toBe(3);
  });

  test('an image change rolls although a wish is held', () => {
    const s = asked(outdated(settled({ volumes: { replicas: 5 } }), 'volume'), volumes(3));
    expect(plan(s).disruptive).toMatchObject({ kind: 'evict', pod: 'demo-volume-4' });
  });
});
