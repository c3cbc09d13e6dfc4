/** Step 15: what a plan says of its cluster, and when it wants to look again. */
import { describe, expect, test } from '@jest/globals';
import { plan } from './plan.ts';
import { conditionOf, reasonsOf } from './testing/plans.ts';
import { changePod, NOW_MS, outdated, settled, withCluster } from './testing/snapshots.ts';

describe('15: status', () => {
  test('counts are rounded up to one digit, so they do not tick', () => {
    const s = withCluster(settled(), () => ({ data: { underReplicated: 1234, lost: 0 } }));
    expect(plan(s).status.data).toEqual({ underReplicated: 2000, lost: 0 });
  });

  test('while copies or members are missing the next look is soon', () => {
    const thin = withCluster(settled(), () => ({ data: { underReplicated: 1, lost: 0 } }));
    expect(plan(thin).requeueMs).toBe(10_000);
    expect(plan(outdated(thin, 'volume')).requeueMs).toBe(3000);
    const alone = withCluster(settled(), ({ members }) => ({
      members: members.map((m) => (m.nodeId === 3 ? { ...m, contactMs: 60_000 } : m)),
    }));
    expect(plan(alone).requeueMs).toBe(10_000);
    expect(plan(settled()).requeueMs).toBe(300_000);
  });

  test('a condition keeps its time while its status stays', () => {
    const p = plan(withCluster(settled(), () => ({ data: { underReplicated: 1, lost: 1 } })));
    const since = Object.fromEntries(p.status.conditions.map((c) => [c.type, c.sinceMs]));
    expect(since['DataRedundant']).toBe(NOW_MS);
    expect(since['Available']).toBeLessThan(NOW_MS);
    expect(conditionOf(p, 'Degraded')).toBe('True DataLost');
    expect(reasonsOf(p)).toEqual(['DataLost']);
  });

  test('a volume is still being added until its pod serves, though the store knows it before', () => {
    const four = changePod(settled({ volumes: { replicas: 4 } }), 'demo-volume-3', {
      ready: false,
      readySinceMs: NOW_MS,
    });
    const unknown = withCluster(four, ({ volumes }) => ({
      volumes: volumes.filter(({ name }) => name !== 'demo-volume-3'),
    }));
    const first = plan(unknown);
    expect([first.status.phase, conditionOf(first, 'Progressing')]).toEqual([
      'Updating',
      'True ScalingOut',
    ]);
    const conditions = Object.fromEntries(first.status.conditions.map((c) => [c.type, c]));
    const { cr } = four;
    const next = plan({ ...four, cr: { ...cr, status: { ...cr.status, conditions } } });
    expect([next.status.phase, conditionOf(next, 'Progressing')]).toEqual([
      'Updating',
      'True ScalingOut',
    ]);
  });

  test('a change is not in force before Kubernetes has taken up the StatefulSets', () => {
    const s = settled();
    const volume = { ...s.sts.volume!, generation: 2, observedGeneration: 1 };
    const before = { ...s.cr, generation: 5, status: { ...s.cr.status, observedGeneration: 4 } };
    const applied = { ...s, cr: before, sts: { ...s.sts, volume } };
    expect(plan(applied).status.observedGeneration).toBe(4);
    const taken = { ...applied, sts: { ...s.sts, volume: { ...volume, observedGeneration: 2 } } };
    expect(plan(taken).status.observedGeneration).toBe(5);
  });

  test('too few volumes to write', () => {
    const s = withCluster(settled(), ({ volumes }) => ({
      volumes: volumes.map((v) => (v.disk > 1 ? { ...v, live: false } : v)),
    }));
    expect(conditionOf(plan(s), 'Available')).toBe('False TooFewVolumes');
    expect(plan(s).status.volumes!.members![2]).toMatchObject({ state: 'Away' });
  });
});
