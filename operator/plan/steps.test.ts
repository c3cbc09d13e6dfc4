/** Each step by itself: what it plans, what it says, and what holds it. */
import { describe, expect, test } from '@jest/globals';
import { SAMPLE_ID } from '../desired/testing/sample-cluster.ts';
import { plan } from './plan.ts';
import { conditionOf, reasonsOf, withCondition, withStatus } from './testing/plans.ts';
import {
  changeClaim,
  changePod,
  claimOf,
  clusterOf,
  emptyCoordinator,
  fresh,
  memberOf,
  NOW_MS,
  OLDER,
  outdated,
  podOf,
  setName,
  settled,
  unformed,
  withCluster,
} from './testing/snapshots.ts';
import type { Plan, Snapshot } from './types.ts';

const kindsOf = (p: Plan): readonly string[] => p.applies.map(({ kind }) => kind);
const doesNothing = (p: Plan): void => {
  expect(p).toMatchObject({ applies: [], calls: [], broken: null, disruptive: null });
};
test('a settled cluster: nothing to do, and status as it was', () => {
  const p = plan(settled());
  doesNothing(p);
  expect(p).toMatchObject({ identity: null, events: [], requeueMs: 300_000 });
  expect(p.status).toMatchObject({ phase: 'Running', observedGeneration: 4, version: '0.1.0' });
  expect(p.status.conditions.every(({ sinceMs }) => sinceMs < NOW_MS)).toBe(true);
  expect(p.status.volumes).toMatchObject({ replicas: 3, ready: 3, updated: 3, summary: '3/3' });
  expect(p.status.selector).toBe(
    'app.kubernetes.io/name=minikv,app.kubernetes.io/instance=demo,app.kubernetes.io/component=volume',
  );
});

describe('1 and 2: deletion and suspension end the pass', () => {
  test('deleting', () => {
    const s = outdated(settled(), 'volume');
    const p = plan({ ...s, cr: { ...s.cr, deleting: true }, applied: {} });
    doesNothing(p);
    expect(p.status.phase).toBe('Deleting');
  });

  test('suspended: status alone', () => {
    const p = plan(outdated(settled({ maintenance: { suspended: true } }), 'volume'));
    doesNothing(p);
    expect(p.status.phase).toBe('Suspended');
    expect(conditionOf(p, 'Progressing')).toBe('True RollingVolumes');
  });
});

describe('3: identity', () => {
  test('new: minted and written before anything is made', () => {
    const p = plan(fresh());
    doesNothing(p);
    expect(p.identity).toEqual({ clusterId: null, origin: 'New', bootstrapped: false });
    expect(p.requeueMs).toBe(0);
  });

  test('status lost: found on the claims', () => {
    const p = plan({ ...fresh(), claims: [claimOf('volume', 0)] });
    doesNothing(p);
    expect(p.identity).toEqual({ clusterId: SAMPLE_ID, origin: 'Adopted', bootstrapped: false });
  });

  test('status lost: found in an answer', () => {
    const s = withStatus(settled(), { clusterId: null, origin: null });
    expect(plan({ ...s, claims: [] }).identity).toMatchObject({ clusterId: SAMPLE_ID });
  });

  test('pods that do not say whose they are: nothing is minted', () => {
    const p = plan({
      ...fresh(),
      pods: [podOf('volume', 0)],
      volumes: { 'demo-volume-0': 'unknown' },
    });
    expect(p.identity).toBeNull();
    expect(conditionOf(p, 'Progressing')).toBe('False WaitingForOldObjects');
  });

  test.each<[string, Partial<Snapshot>]>([
    ['a claim', { claims: [claimOf('volume', 0, { clusterId: 'f'.repeat(32) })] }],
    [
      'a coordinator',
      { coordinators: { 'demo-coordinator-0': memberOf(0, 3, { clusterId: 'f'.repeat(32) }) } },
    ],
    ['a volume', { volumes: { 'demo-volume-0': { clusterId: 'f'.repeat(32), disk: 1 } } }],
    ['the leader', { cluster: { ...clusterOf(3, 3), clusterId: 'f'.repeat(32) } }],
  ])('two ids, one of them from %s: nothing created, nothing restarted', (_what, part) => {
    const p = plan({ ...outdated(settled(), 'volume'), applied: {}, ...part });
    doesNothing(p);
    expect(conditionOf(p, 'Bootstrapped')).toBe('False ClusterIDConflict');
    expect(p.status.phase).toBe('Failed');
    expect(reasonsOf(p)).toContain('ClusterIDConflict');
  });

  test('a claim that nobody labelled', () => {
    const p = plan({ ...fresh(), claims: [claimOf('volume', 0, { clusterId: null })] });
    doesNothing(p);
    expect(p.identity).toBeNull();
    expect(conditionOf(p, 'Bootstrapped')).toBe('False ForeignClaim');
  });

  test('old objects are awaited, and so are claims on their way out', () => {
    const service = { key: 'Service/demo', leaves: true };
    const old = plan({ ...fresh(), foreign: [service] });
    expect(conditionOf(old, 'Progressing')).toBe('False WaitingForOldObjects');
    expect(old).toMatchObject({ identity: null, requeueMs: 2000 });
    expect(reasonsOf(old)).toEqual(['WaitingForOldObjects']);
    const leaving = plan({ ...fresh(), claims: [claimOf('volume', 0, { deleting: true })] });
    expect(leaving).toMatchObject({ identity: null, requeueMs: 2000 });
  });

  test("somebody else's object stops all, is told once and is looked at again less often", () => {
    const s = { ...settled(), foreign: [{ key: 'Service/demo', leaves: false }] };
    const p = plan({ ...s, applied: {} });
    doesNothing(p);
    expect(p.requeueMs).toBe(10_000);
    expect(p.events).toMatchObject([{ type: 'Warning', reason: 'WaitingForOldObjects' }]);
    expect(p.events[0]!.note).toContain('Service/demo (not made for this cluster: delete it');
    const told = withCondition(s, 'Progressing', ['False', 'WaitingForOldObjects', 0]);
    expect(plan(told).events).toEqual([]);
    const mixed = [...s.foreign, { key: 'ConfigMap/demo-config', leaves: true }];
    expect(plan({ ...s, foreign: mixed }).requeueMs).toBe(2000);
  });

  test.each([
    ['PodMonitor/demo-volume', { podMonitor: true }],
    ['PrometheusRule/demo', { prometheusRule: true }],
  ])("somebody else's %s keeps nothing but itself from being applied", (key, monitoring) => {
    const s = { ...settled({ monitoring }), foreign: [{ key, leaves: false }] };
    const { [key]: _live, ...live } = s.live;
    const taken = { ...s, live };
    const p = plan({ ...taken, applied: {} });
    const keys = p.applies.map((step) => (step.kind === 'apply' ? step.key : ''));
    expect(keys).toHaveLength(plan({ ...s, foreign: [], applied: {} }).applies.length - 1);
    expect(keys).not.toContain(key);
    expect(conditionOf(p, 'Progressing')).toBe('False ApplyRejected');
    expect(reasonsOf(p)).toEqual(['ApplyRejected']);
    expect(p.events[0]!.note).toContain(`${key} (not made for this cluster: delete it`);
    expect(plan(taken).requeueMs).toBe(60_000);
    expect(plan(outdated(taken, 'volume')).disruptive).not.toBeNull();
    const leaving = plan({ ...taken, foreign: [{ key, leaves: true }] });
    expect(conditionOf(leaving, 'Progressing')).toBe('False WaitingForOldObjects');
  });
});

describe('4 and 5: applies', () => {
  test('all objects of a fresh cluster, whatever its health', () => {
    const p = plan(withStatus(fresh(), { clusterId: SAMPLE_ID, origin: 'New' }));
    expect(new Set(kindsOf(p))).toEqual(new Set(['apply']));
    expect(p.applies).toHaveLength(12);
    expect(p.status.observedGeneration).toBe(0);
  });

  test('the template goes out under a freeze too', () => {
    const s = settled({ image: 'minikv:0.2.0' });
    const { applied, live } = settled();
    const lost = withCondition({ ...s, applied, live, cluster: 'unknown' }, 'Available', [
      'False',
      'NoLeader',
      0,
    ]);
    const keys = plan(lost).applies.map((step) => (step.kind === 'apply' ? step.key : ''));
    expect(keys).toEqual([setName('coordinator'), setName('volume')]);
  });

  test('touched by others: applied only when what is ours is not there any more', () => {
    const s = settled();
    const service = s.live['Service/demo']!;
    const touch = (content: unknown): Snapshot => ({
      ...s,
      live: { ...s.live, 'Service/demo': { ...service, rv: '6', content } },
    });
    doesNothing(plan(touch({ ...(service.content as object), status: { loadBalancer: {} } })));
    expect(kindsOf(plan(touch({ spec: { type: 'NodePort' } })))).toEqual(['apply']);
  });

  test('a deleted object is made again', () => {
    const s = settled();
    const { 'ConfigMap/demo-config': _gone, ...live } = s.live;
    expect(plan({ ...s, live }).applies).toMatchObject([{ key: 'ConfigMap/demo-config' }]);
  });

  const refusedOf = (s: Snapshot, key: string, more: object): Snapshot => ({
    ...s,
    applied: {
      ...s.applied,
      [key]: {
        ...s.applied[key]!,
        refused: { atMs: NOW_MS - 1000, message: 'no', immutable: false, ...more },
      },
    },
  });

  test('a refusal is said with the words of the server, and offered again later', () => {
    const p = plan(refusedOf(settled(), 'Service/demo', {}));
    doesNothing(p);
    expect(conditionOf(p, 'Progressing')).toBe('False ApplyRejected');
    expect(p.status).toMatchObject({ phase: 'Failed', observedGeneration: 4 });
    expect(p.requeueMs).toBe(60_000);
    const later = plan(refusedOf(settled(), 'Service/demo', { atMs: NOW_MS - 31_000 }));
    expect(kindsOf(later)).toEqual(['apply']);
  });

  test('a field that cannot change: the StatefulSet is made anew around its pods', () => {
    const s = refusedOf(settled(), setName('volume'), { immutable: true });
    expect(plan(s).applies).toEqual([
      { kind: 'recreate', key: setName('volume'), uid: `uid-${setName('volume')}` },
    ]);
    const { [setName('volume')]: _gone, ...live } = s.live;
    expect(kindsOf(plan({ ...s, live }))).toEqual(['apply']);
  });

  test('a refused overlay leaves the last good template', () => {
    const s = settled({ volumes: { podTemplate: { spec: { securityContext: {} } } } });
    const p = plan({ ...s, applied: {} });
    expect(JSON.stringify(p.applies)).not.toContain('"demo-volume","replicas"');
    expect(conditionOf(p, 'Progressing')).toBe('False OverlayRejected');
    expect(p.applies.some((step) => 'key' in step && step.key === setName('volume'))).toBe(false);
  });

  test('what was turned off is deleted', () => {
    const s = settled({ networkPolicy: { enabled: false } });
    const p = plan({ ...s, applied: settled().applied, live: settled().live });
    expect(kindsOf(p)).toEqual(['delete', 'delete']);
  });
});

describe('7: claims', () => {
  test('follow the deletion policy, both ways', () => {
    const owned = plan(settled({ deletionPolicy: 'Delete' })).applies;
    expect(owned).toHaveLength(6);
    expect(owned[0]).toMatchObject({ kind: 'own-claim', owned: true });
    const s = settled();
    const kept = plan({ ...s, claims: s.claims.map((claim) => ({ ...claim, owned: true })) });
    expect(kept.applies[0]).toMatchObject({ kind: 'own-claim', owned: false });
  });

  test('one that is lost is said, and its pod stays', () => {
    const s = changePod(outdated(settled(), 'volume'), 'demo-volume-1', {
      ready: false,
      waitingReason: 'ImagePullBackOff',
    });
    const p = plan(changeClaim(s, 'demo-volume-1', { phase: 'Lost' }));
    expect(conditionOf(p, 'Degraded')).toBe('True ClaimLost');
    expect(p.broken).toBeNull();
  });

  test('the broken pod of a coordinator stays too, while its claim is on its way out', () => {
    const s = changePod(outdated(settled(), 'coordinator'), 'demo-coordinator-1', {
      ready: false,
      waitingReason: 'ImagePullBackOff',
    });
    expect(plan(s).broken).toMatchObject({ pod: 'demo-coordinator-1' });
    expect(plan(changeClaim(s, 'demo-coordinator-1', { deleting: true })).broken).toBeNull();
  });

  test('a volume that came back empty', () => {
    const s = withCluster(settled(), ({ volumes }) => ({
      volumes: [
        ...volumes.map((v) => (v.disk === 2 ? { ...v, live: false } : v)),
        { ...volumes[1]!, disk: 9, refs: 0 },
      ],
    }));
    const p = plan(s);
    expect(conditionOf(p, 'Degraded')).toBe('True DiskReplaced');
    expect(p.status.volumes!.members![1]).toMatchObject({ disk: 9, state: 'Active' });
  });
});

describe('8: bootstrap', () => {
  test('all empty: told to each', () => {
    const p = plan(unformed());
    expect(p.calls.map((call) => call.kind === 'bootstrap' && call.pod)).toEqual([
      'demo-coordinator-0',
      'demo-coordinator-1',
      'demo-coordinator-2',
    ]);
    expect(p.calls[0]).toMatchObject({
      clusterId: SAMPLE_ID,
      members: [
        { nodeId: 1, address: 'demo-coordinator-0.demo-coordinator.store.svc:5001' },
        {},
        {},
      ],
    });
    expect(p).toMatchObject({ requeueMs: 1000, disruptive: null });
    expect(p.status.phase).toBe('Creating');
  });

  const armed = { ...emptyCoordinator, state: 'armed', clusterId: SAMPLE_ID } as const;

  test('only the empty ones are called; all armed: wait', () => {
    const s = unformed();
    const some = { ...s, coordinators: { ...s.coordinators, 'demo-coordinator-1': armed } };
    expect(plan(some).calls).toHaveLength(2);
    const all = Object.fromEntries(Object.keys(s.coordinators).map((name) => [name, armed]));
    expect(plan({ ...s, coordinators: all }).calls).toEqual([]);
  });

  test.each(['unknown', { ...emptyCoordinator, state: 'waiting' }] as const)(
    'one that is not surely empty holds all: %j',
    (answer) => {
      const s = unformed();
      const p = plan({ ...s, coordinators: { ...s.coordinators, 'demo-coordinator-2': answer } });
      expect(p.calls).toEqual([]);
      expect(conditionOf(p, 'Bootstrapped')).toBe('False WaitingForCoordinators');
    },
  );

  test('adopted: every volume must say that it is empty', () => {
    const s = withStatus(unformed(), { origin: 'Adopted' });
    expect(plan(s).calls).toHaveLength(3);
    const p = plan({ ...s, volumes: { ...s.volumes, 'demo-volume-1': 'unknown' } });
    expect(p.calls).toEqual([]);
    expect(conditionOf(p, 'Bootstrapped')).toBe('False VolumesNotEmpty');
  });

  test('adopted: a claim that was never bound has no volume to say that it is empty', () => {
    const s = withStatus(unformed(), { origin: 'Adopted' });
    const left = claimOf('volume', 3, { phase: 'Pending' });
    expect(plan({ ...s, claims: [...s.claims, left] }).calls).toHaveLength(3);
    const bound = claimOf('volume', 3, { name: 'wal-demo-volume-3' });
    expect(plan({ ...s, claims: [...s.claims, left, bound] }).calls).toEqual([]);
  });

  test.each<[string, Partial<Snapshot>]>([
    ['a member', { coordinators: { 'demo-coordinator-0': memberOf(0, 3) } }],
    ['a registered disk', { volumes: { 'demo-volume-0': { clusterId: SAMPLE_ID, disk: 1 } } }],
  ])('%s latches and never bootstraps', (_what, part) => {
    const p = plan({ ...unformed(), ...part });
    expect(p.calls).toEqual([]);
    expect(p.identity).toEqual({ clusterId: SAMPLE_ID, origin: 'New', bootstrapped: true });
    expect(reasonsOf(p)).toContain('Bootstrapped');
  });

  test('a bad image of the first hour is mended too', () => {
    const s = changePod(unformed(), 'demo-coordinator-1', {
      waitingReason: 'ErrImagePull',
      revision: OLDER,
    });
    expect(plan(s).broken).toMatchObject({ pod: 'demo-coordinator-1' });
  });
});

describe('9: freeze', () => {
  const silent = (s: Snapshot, sinceMs: number): Snapshot =>
    withCondition({ ...s, cluster: 'unknown' }, 'Available', ['Unknown', 'NoAnswer', sinceMs]);
  const answers = (s: Snapshot, answer: Snapshot['coordinators'][string]): Snapshot => ({
    ...s,
    coordinators: Object.fromEntries(Object.keys(s.coordinators).map((name) => [name, answer])),
  });

  test('ten seconds are unknown, then it is said', () => {
    const early = plan(silent(settled(), NOW_MS - 9000));
    expect(conditionOf(early, 'Available')).toBe('Unknown NoAnswer');
    expect(conditionOf(early, 'QuorumHealthy')).toBe('Unknown LeaderUnknown');
    const late = plan(silent(settled(), NOW_MS - 10_000));
    expect(conditionOf(late, 'QuorumHealthy')).toBe('False NoLeader');
    expect(conditionOf(late, 'Ready')).toBe('False NotAvailable');
    expect(late.status.phase).toBe('Unavailable');
  });

  test('too few answer', () => {
    const p = plan(silent(answers(settled(), 'unknown'), 0));
    expect(conditionOf(p, 'QuorumHealthy')).toBe('False QuorumLost');
    expect(reasonsOf(p)).toContain('QuorumLost');
  });

  test('all came back empty: never formed again, nothing restarted', () => {
    const p = plan(silent(answers(outdated(settled(), 'volume'), emptyCoordinator), 0));
    expect(conditionOf(p, 'QuorumHealthy')).toBe('False MetadataLost');
    expect(p).toMatchObject({ calls: [], disruptive: null });
    expect(p.status.phase).toBe('Failed');
  });

  test('one came back empty: served by the rest, no roll', () => {
    const s = outdated(settled(), 'coordinator');
    const lost = changePod(s, 'demo-coordinator-2', {
      ready: false,
      readySinceMs: 0,
      revision: 'rev-2',
    });
    const p = plan({
      ...lost,
      coordinators: {
        ...s.coordinators,
        'demo-coordinator-2': { ...emptyCoordinator, state: 'waiting' },
      },
    });
    expect(conditionOf(p, 'Degraded')).toBe('True MemberDataLost');
    expect(conditionOf(p, 'Available')).toBe('True Serving');
    expect(conditionOf(p, 'RollBlocked')).toBe('True BrokenPod');
    expect(p.disruptive).toBeNull();
  });
});

describe('10: broken pods', () => {
  const brokenPod = {
    ready: false,
    readySinceMs: NOW_MS - 1000,
    waitingReason: 'ImagePullBackOff',
  };

  test('the outdated one goes at once, and nothing else in that pass', () => {
    const s = changePod(outdated(settled(), 'volume'), 'demo-volume-1', brokenPod);
    const p = plan(s);
    expect(p.broken).toEqual({
      pod: 'demo-volume-1',
      uid: 'uid-demo-volume-1',
      rv: 'rv-demo-volume-1',
    });
    expect(p.disruptive).toBeNull();
    expect(conditionOf(p, 'Degraded')).toBe('True BrokenPod');
  });

  test('also under a freeze, and the lowest ordinal first', () => {
    const s = ['demo-coordinator-2', 'demo-coordinator-1'].reduce(
      (all, name) => changePod(all, name, { ...brokenPod, revision: OLDER }),
      settled(),
    );
    expect(plan({ ...s, cluster: 'unknown' }).broken).toMatchObject({ pod: 'demo-coordinator-1' });
  });

  test.each([
    ['an image that may not be pulled', { ...brokenPod, waitingReason: 'ErrImageNeverPull' }, true],
    ['unschedulable', { ready: false, readySinceMs: NOW_MS, unschedulable: true }, true],
    ['unready for two minutes', { ready: false, readySinceMs: NOW_MS - 120_000 }, true],
    ['unready for less', { ready: false, readySinceMs: NOW_MS - 119_000 }, false],
    ['terminating', { ...brokenPod, deleting: true }, false],
    ['ready', { ready: true, waitingReason: 'CrashLoopBackOff' }, false],
  ])('%s', (_what, change, isBroken) => {
    const s = changePod(settled(), 'demo-volume-1', { ...change, revision: OLDER });
    expect(plan(s).broken !== null).toBe(isBroken);
  });

  test('of the newest template: left alone, and it stops the roll', () => {
    const s = changePod(outdated(settled(), 'volume'), 'demo-volume-2', {
      ...brokenPod,
      revision: 'rev-2',
    });
    const away = withCluster(s, ({ volumes }) => ({
      volumes: volumes.map((v) => (v.disk === 3 ? { ...v, live: false } : v)),
    }));
    const p = plan(away);
    expect(p).toMatchObject({ broken: null, disruptive: null, requeueMs: 10_000 });
    expect(conditionOf(p, 'RollBlocked')).toBe('True BrokenPod');
  });

  test('of the newest template: the roll stops, also where every gate would be open', () => {
    const s = changePod(outdated(settled(), 'coordinator'), 'demo-volume-2', {
      ...brokenPod,
      revision: 'rev-2',
    });
    const p = plan(s);
    expect(p.disruptive).toBeNull();
    expect(conditionOf(p, 'RollBlocked')).toBe('True BrokenPod');
  });

  test('the one that has replaced an evicted pod: its end is not waited for', () => {
    const s = changePod(outdated(settled(), 'volume'), 'demo-volume-2', {
      ...brokenPod,
      revision: 'rev-2',
    });
    const open = { kind: 'evict', atMs: NOW_MS, pod: 'demo-volume-2', oldUid: 'another' } as const;
    expect(conditionOf(plan({ ...s, open }), 'RollBlocked')).toBe('True BrokenPod');
  });

  test('nothing before the controller has taken up the template', () => {
    const s = changePod(settled(), 'demo-volume-1', { ...brokenPod, revision: OLDER });
    const volume = { ...s.sts.volume!, generation: 4 };
    expect(plan({ ...s, sts: { ...s.sts, volume } }).broken).toBeNull();
  });
});

describe('11: what is on its way', () => {
  const rolling = outdated(settled(), 'volume');
  test.each<[string, Snapshot]>([
    ['a missing pod', { ...rolling, pods: rolling.pods.slice(1) }],
    ['a terminating pod', changePod(rolling, 'demo-volume-0', { deleting: true })],
    ['a pod ready for 4 s', changePod(rolling, 'demo-volume-0', { readySinceMs: NOW_MS - 4000 })],
    ['a pod starting', changePod(rolling, 'demo-volume-0', { ready: false, readySinceMs: NOW_MS })],
    [
      'a coordinator behind',
      {
        ...rolling,
        coordinators: {
          ...rolling.coordinators,
          'demo-coordinator-1': memberOf(1, 3, { caughtUp: false }),
        },
      },
    ],
    [
      'a coordinator that does not say',
      { ...rolling, coordinators: { ...rolling.coordinators, 'demo-coordinator-1': 'unknown' } },
    ],
    [
      'an eviction not seen yet',
      {
        ...rolling,
        open: { kind: 'evict', atMs: NOW_MS, pod: 'demo-volume-2', oldUid: 'uid-demo-volume-2' },
      },
    ],
    [
      'a transfer not seen yet',
      { ...rolling, open: { kind: 'transfer', atMs: NOW_MS, oldLeader: 'demo-coordinator-0' } },
    ],
  ])('%s: wait', (_what, s) => {
    expect(plan(s)).toMatchObject({ disruptive: null, requeueMs: 2000 });
    expect(conditionOf(plan(s), 'RollBlocked')).toBe('False NotBlocked');
  });

  test('an eviction is over once another pod is available', () => {
    const open = { kind: 'evict', atMs: NOW_MS, pod: 'demo-volume-2', oldUid: 'older' } as const;
    expect(plan({ ...rolling, open }).disruptive).not.toBeNull();
  });

  test('too long on its way: the roll is said to be blocked', () => {
    const s = changePod(rolling, 'demo-volume-0', { deleting: true, ready: false });
    const p = plan({ ...s, absentSinceMs: { 'demo-volume-0': NOW_MS - 120_000 } });
    expect(conditionOf(p, 'RollBlocked')).toMatch(/^True/);
    expect(conditionOf(p, 'Ready')).toBe('False PodsNotReady');
  });

  test('Ready stays while a pod is away for less than two minutes', () => {
    const s = { ...settled(), pods: settled().pods.slice(1) };
    const away = (ms: number): Snapshot => ({
      ...s,
      absentSinceMs: { 'demo-coordinator-0': NOW_MS - ms },
    });
    expect(conditionOf(plan(away(119_000)), 'Ready')).toBe('True PodsReady');
    expect(conditionOf(plan(away(120_000)), 'Ready')).toBe('False PodsNotReady');
  });
});

describe('12: volumes', () => {
  const rolling = outdated(settled(), 'volume', 'coordinator');

  test('the highest ordinal as a number goes first', () => {
    const s = outdated(settled({ volumes: { replicas: 12 } }), 'volume');
    expect(plan(s).disruptive).toMatchObject({
      kind: 'evict',
      pod: 'demo-volume-11',
      outdated: 12,
    });
    expect(reasonsOf(plan(s))).toEqual(['RollStarted']);
  });

  test('before coordinators, and only those outdated', () => {
    const s = changePod(rolling, 'demo-volume-2', { revision: 'rev-2' });
    expect(plan(s).disruptive).toMatchObject({ pod: 'demo-volume-1' });
    expect(conditionOf(plan(s), 'Progressing')).toBe('True RollingVolumes');
  });

  test.each<[string, string, Snapshot]>([
    ['StateUnknown', 'no leader answers', { ...rolling, cluster: 'unknown' }],
    [
      'UnderReplicated',
      'thin keys',
      withCluster(rolling, () => ({ data: { underReplicated: 3, lost: 2 } })),
    ],
    [
      'VolumeUnavailable',
      'a disk away',
      withCluster(rolling, ({ volumes }) => ({
        volumes: [...volumes, { ...volumes[0]!, name: 'x', disk: 9, live: false }],
      })),
    ],
    ['ClaimLost', 'a claim pending', changeClaim(rolling, 'demo-volume-1', { phase: 'Pending' })],
    [
      'ClaimLost',
      'a claim that is lost, of a pod that nobody wants',
      { ...rolling, claims: [...rolling.claims, claimOf('volume', 3, { phase: 'Lost' })] },
    ],
    ['Budget', 'no budget', { ...rolling, pdb: { ...rolling.pdb, volume: null } }],
    [
      'Budget',
      'a budget of yesterday',
      { ...rolling, pdb: { ...rolling.pdb, volume: { current: false, allowed: 1 } } },
    ],
    [
      'Budget',
      'a budget used up',
      { ...rolling, pdb: { ...rolling.pdb, volume: { current: true, allowed: 0 } } },
    ],
    [
      'VolumeUnavailable',
      'too few live',
      withCluster(rolling, ({ volumes }) => ({
        volumes: volumes.map((v) => (v.disk > 2 ? { ...v, live: false, refs: 0 } : v)),
      })),
    ],
  ])('%s: %s', (reason, _what, s) => {
    const p = plan(s);
    expect(p.disruptive).toBeNull();
    expect(conditionOf(p, 'RollBlocked')).toBe(`True ${reason}`);
    expect(reasonsOf(p)).toContain('RollBlocked');
  });

  test('a claim that was never bound, of a pod that nobody wants, does not hold a roll', () => {
    const left = [claimOf('volume', 3, { phase: 'Pending' })];
    const s = { ...rolling, claims: [...rolling.claims, ...left] };
    expect(plan(s).disruptive).toMatchObject({ pod: 'demo-volume-2' });
  });

  test('lost values do not hold a roll', () => {
    const s = withCluster(rolling, () => ({ data: { underReplicated: 2, lost: 2 } }));
    expect(plan(s).disruptive).not.toBeNull();
  });

  test.each([
    { replicas: 1, replicationFactor: 1 },
    { replicas: 3, replicationFactor: 1 },
    { replicas: 2, replicationFactor: 2 },
  ])('%j: there is no better moment, and it is said', (volumes) => {
    const p = plan(outdated(settled({ volumes }), 'volume'));
    expect(p.disruptive).toMatchObject({ kind: 'evict' });
    expect(reasonsOf(p)).toContain('RestartInterruptsService');
  });
});

describe('13: coordinators', () => {
  const rolling = outdated(settled(), 'coordinator');

  test('followers from the highest, then leadership to the one that is furthest, then the last', () => {
    expect(plan(rolling).disruptive).toMatchObject({ kind: 'evict', pod: 'demo-coordinator-2' });
    const followersDone = ['demo-coordinator-1', 'demo-coordinator-2'].reduce(
      (s, name) => changePod(s, name, { revision: 'rev-2' }),
      rolling,
    );
    expect(plan(followersDone).disruptive).toEqual({
      kind: 'transfer',
      from: 'demo-coordinator-0',
      to: 'demo-coordinator-1',
      toNodeId: 2,
      expectedTerm: 7,
    });
    const refused = { ...followersDone, transferRefusedMs: [1, 2, 3].map((i) => NOW_MS - i) };
    expect(plan(refused).disruptive).toMatchObject({ kind: 'evict', pod: 'demo-coordinator-0' });
    const old = { ...followersDone, transferRefusedMs: [1, 2, 60_000].map((i) => NOW_MS - i) };
    expect(plan(old).disruptive).toMatchObject({ kind: 'transfer' });
  });

  test.each<[string, string, Snapshot]>([
    [
      'Quorum',
      'a voter silent',
      withCluster(rolling, ({ members }) => ({
        members: members.map((m) => (m.nodeId === 3 ? { ...m, contactMs: 2000 } : m)),
      })),
    ],
    [
      'Quorum',
      'a voter behind',
      withCluster(rolling, ({ members }) => ({
        members: members.map((m) => (m.nodeId === 3 ? { ...m, lag: 1000 } : m)),
      })),
    ],
    [
      'Quorum',
      'a voter recovering',
      withCluster(rolling, ({ members }) => ({
        members: members.map((m) => (m.nodeId === 3 ? { ...m, state: 'recovering' } : m)),
      })),
    ],
    [
      'StateUnknown',
      'a voter nobody knows',
      withCluster(rolling, ({ members }) => ({
        members: [...members, { ...members[1]!, nodeId: 4, name: 'stranger' }],
      })),
    ],
    ['Budget', 'no budget', { ...rolling, pdb: { ...rolling.pdb, coordinator: null } }],
    [
      'ClaimLost',
      'a claim on its way out',
      changeClaim(rolling, 'demo-coordinator-2', { deleting: true }),
    ],
    [
      'ClaimLost',
      'a claim that is lost',
      changeClaim(rolling, 'demo-coordinator-0', { phase: 'Lost' }),
    ],
    [
      'ClaimLost',
      'the claim of the only voter',
      changeClaim(
        outdated(settled({ coordinators: { replicas: 1 } }), 'coordinator'),
        'demo-coordinator-0',
        { deleting: true },
      ),
    ],
  ])('%s: %s', (reason, _what, s) => {
    const p = plan(s);
    expect(p.disruptive).toBeNull();
    expect(conditionOf(p, 'RollBlocked')).toBe(`True ${reason}`);
  });

  test('leadership does not leave either while a claim is going', () => {
    const followersDone = ['demo-coordinator-1', 'demo-coordinator-2'].reduce(
      (s, name) => changePod(s, name, { revision: 'rev-2' }),
      rolling,
    );
    expect(plan(followersDone).disruptive).toMatchObject({ kind: 'transfer' });
    const going = changeClaim(followersDone, 'demo-coordinator-0', { deleting: true });
    expect(plan(going).disruptive).toBeNull();
  });

  test("a volume's claim does not hold coordinators", () => {
    const s = changeClaim(rolling, 'demo-volume-1', { deleting: true });
    expect(plan(s).disruptive).toMatchObject({ pod: 'demo-coordinator-2' });
  });

  test('five bear one that is down', () => {
    const five = outdated(settled({ coordinators: { replicas: 5 } }), 'coordinator');
    const s = withCluster(five, ({ members }) => ({
      members: members.map((m) => (m.nodeId === 3 ? { ...m, contactMs: null } : m)),
    }));
    expect(plan(s).disruptive).toMatchObject({ pod: 'demo-coordinator-4' });
  });

  test('one alone is restarted, and it is said', () => {
    const p = plan(outdated(settled({ coordinators: { replicas: 1 } }), 'coordinator'));
    expect(p.disruptive).toMatchObject({ kind: 'evict', pod: 'demo-coordinator-0' });
    expect(reasonsOf(p)).toContain('RestartInterruptsService');
  });

  test('the end is told', () => {
    const s = withCondition(settled(), 'Progressing', ['True', 'RollingCoordinators', 0]);
    expect(reasonsOf(plan(s))).toEqual(['RollFinished']);
  });
});

describe('14: zones', () => {
  const zoned = { ...settled({ volumes: { failureDomain: 'Zone' } }) };
  const zones = { 'node-0': 'a', 'node-1': 'b', 'node-2': 'unknown' } as const;

  test('what differs is told, what nobody knows is said', () => {
    const s = withCluster({ ...zoned, zones }, ({ volumes }) => ({
      volumes: volumes.map((v) => ({ ...v, zone: 'a' })),
    }));
    const p = plan(s);
    expect(p.calls).toEqual([{ kind: 'zone', volume: 'demo-volume-1', disk: 2, zone: 'b' }]);
    expect(reasonsOf(p)).toContain('ZoneUnknown');
  });

  test('with the node as domain nobody is asked', () => {
    expect(plan({ ...settled(), zones }).calls).toEqual([]);
  });
});
