/** Step 15: what a plan says of its cluster, and when it wants to look again. */
import { describe, expect, test } from '@jest/globals';
import { plan } from './plan.ts';
import { conditionOf, reasonsOf } from './testing/plans.ts';
import {
  changePod,
  fresh,
  NOW_MS,
  outdated,
  setName,
  settled,
  withCluster,
} from './testing/snapshots.ts';

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

describe('15: what is in force', () => {
  test('what is not in force yet is said, and nothing is called settled before', () => {
    const { applied, live } = settled();
    const p = plan({ ...settled({ image: 'minikv:0.2.0' }), applied, live });
    expect(conditionOf(p, 'Progressing')).toBe('True Applying');
    expect(p.status).toMatchObject({ phase: 'Updating', image: 'minikv:0.1.0' });
    const { message } = p.status.conditions.find(({ type }) => type === 'Progressing')!;
    expect(message).toBe('not in force yet: StatefulSet/demo-coordinator, StatefulSet/demo-volume');
    expect(reasonsOf(p)).toEqual([]);
  });

  test('the image is the old one until both templates have the new one', () => {
    const next = settled({ image: 'minikv:0.2.0' });
    const key = setName('volume');
    const half = { ...next, live: { ...next.live, [key]: settled().live[key]! } };
    expect(plan(half).status.image).toBe('minikv:0.1.0');
    expect(plan(next).status.image).toBe('minikv:0.2.0');
    expect(plan(fresh({ image: 'minikv:0.2.0' })).status.image).toBe('minikv:0.2.0');
  });

  test('what was applied and not taken up by Kubernetes is not settled either', () => {
    const s = settled();
    const volume = { ...s.sts.volume!, generation: 4 };
    const p = plan({ ...s, sts: { ...s.sts, volume } });
    expect(conditionOf(p, 'Progressing')).toBe('True Applying');
  });

  test('what was turned off and is still there, and what is away, is not settled', () => {
    const off = settled({ networkPolicy: { enabled: false } });
    const { applied, live } = settled();
    expect(conditionOf(plan({ ...off, applied, live }), 'Progressing')).toBe('True Applying');
    const { 'Service/demo': _gone, ...rest } = live;
    expect(conditionOf(plan({ ...settled(), live: rest }), 'Progressing')).toBe('True Applying');
  });

  test('an operator without memory applies all once, and says nothing of it', () => {
    const p = plan({ ...settled(), applied: {} });
    expect(p.applies).toHaveLength(12);
    expect(p.status).toEqual(plan(settled()).status);
  });
});
