/** What no snapshot, however odd, may lead to. Each rule is reckoned here in its own way. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { minReplicasOf } from '../api/defaults.ts';
import { plan } from './plan.ts';
import {
  calmConditions,
  changeClaim,
  claimOf,
  clusterOf,
  emptyCoordinator,
  memberOf,
  NEWEST,
  NOW_MS,
  OLDER,
  podOf,
  setOf,
  settled,
} from './testing/snapshots.ts';
import type { ClusterAnswer, CoordinatorAnswer, PodFacts, Snapshot } from './types.ts';

const rarely = <T>(value: T, arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 40, arbitrary: fc.constant(value) }, { weight: 1, arbitrary });

const podChange: fc.Arbitrary<Partial<PodFacts>> = fc.record({
  ready: rarely(true, fc.boolean()),
  readySinceMs: rarely(0, fc.constantFrom(NOW_MS, NOW_MS - 4000, NOW_MS - 130_000)),
  deleting: rarely(false, fc.boolean()),
  waitingReason: rarely<string | null>(null, fc.constantFrom('ImagePullBackOff', 'Creating')),
  revision: fc.constantFrom(NEWEST, OLDER),
});

const coordinatorAnswer = (ordinal: number, count: number) =>
  rarely<CoordinatorAnswer | 'unknown'>(
    memberOf(ordinal, count),
    fc.oneof(
      fc.constant('unknown' as const),
      fc.constant(emptyCoordinator),
      fc.constant(memberOf(ordinal, count, { caughtUp: false })),
      fc.constant(memberOf(ordinal, count, { state: 'recovering' })),
    ),
  );

const clusterAnswer = (n: number, v: number): fc.Arbitrary<ClusterAnswer | 'unknown'> => {
  const base = clusterOf(n, v);
  const member = (i: number) =>
    fc
      .record({
        state: rarely<ClusterAnswer['members'][number]['state']>(
          'member',
          fc.constantFrom('recovering', 'unknown'),
        ),
        lag: rarely(0, fc.constantFrom(999, 1000)),
        contactMs: rarely<number | null>(20, fc.constantFrom(null, 1999, 2000)),
      })
      .map((change) => ({ ...base.members[i]!, ...change }));
  const volume = (i: number) =>
    fc
      .record({ live: rarely(true, fc.boolean()), refs: fc.constantFrom(0, 10) })
      .map((change) => ({ ...base.volumes[i]!, ...change }));
  const known = fc
    .record({
      leader: fc.integer({ min: 0, max: n - 1 }).map((i) => base.members[i]!),
      members: fc.tuple(...base.members.map((_, i) => member(i))),
      volumes: fc.tuple(...base.volumes.map((_, i) => volume(i))),
      under: rarely(0, fc.constantFrom(1, 2)),
      lost: rarely(0, fc.constant(1)),
    })
    .map(
      ({ leader, members, volumes, under, lost }): ClusterAnswer => ({
        ...base,
        leader: { nodeId: leader.nodeId, name: leader.name },
        members,
        volumes,
        data: { underReplicated: Math.max(under, lost), lost },
      }),
    );
  return fc.oneof(
    { weight: 8, arbitrary: known },
    { weight: 1, arbitrary: fc.constant('unknown') },
  );
};

const claimChange = (count: number) =>
  fc.record({
    at: fc.nat(count - 1),
    change: fc.oneof(
      { weight: 6, arbitrary: fc.constant({}) },
      {
        weight: 1,
        arbitrary: fc.constantFrom({ deleting: true }, { phase: 'Lost' }, { phase: 'Pending' }),
      },
    ),
  });

/** A volume above those that were there: nobody knows yet whether it ever ran. */
const aboveChange = fc.record({
  hasPod: fc.boolean(),
  node: fc.constantFrom(null, null, null, 'node-9'),
  phase: fc.constantFrom('Pending', 'Pending', 'Pending', 'Pending', 'Bound', 'Lost'),
  hasDisk: fc.constantFrom(false, false, false, true),
});

const bases = new Map<string, Snapshot>();

function baseOf(n: number, v: number, factor: number): Snapshot {
  const key = `${n} ${v} ${factor}`;
  const spec = {
    image: 'minikv:0.2.0',
    coordinators: { replicas: n },
    volumes: { replicas: v, replicationFactor: factor },
  };
  const found = bases.get(key) ?? settled(spec);
  bases.set(key, found);
  return found;
}

const snapshot: fc.Arbitrary<Snapshot> = fc
  .record({
    n: fc.constantFrom(1, 3, 5),
    v: fc.integer({ min: 3, max: 5 }),
    factor: fc.constantFrom(1, 3),
    asked: fc.record({ n: fc.constantFrom(0, 2), v: fc.constantFrom(0, 0, 2) }),
  })
  .chain(({ n, v, factor, asked }) => {
    const base = baseOf(n, v, factor);
    const budget = rarely<Snapshot['pdb']['volume']>(
      { current: true, allowed: 1 },
      fc.constantFrom(null, { current: true, allowed: 0 }, { current: false, allowed: 1 }),
    );
    return fc
      .record({
        changes: fc.tuple(...base.pods.map(() => podChange)),
        missing: rarely(-1, fc.nat(base.pods.length)),
        answers: fc.tuple(...Array.from({ length: n }, (_, i) => coordinatorAnswer(i, n))),
        cluster: clusterAnswer(n, v),
        pdb: fc.record({ coordinator: budget, volume: budget }),
        bootstrapped: rarely(true, fc.boolean()),
        generation: rarely(3, fc.constant(4)),
        extra: rarely(0, fc.constant(1)),
        claim: claimChange(base.claims.length),
        pending: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 1, 2),
        above: fc.tuple(...[0, 1].map(() => aboveChange)),
        isOpen: rarely(false, fc.boolean()),
        isApplied: fc.boolean(),
      })
      .map((x): Snapshot => {
        const pods = base.pods.map((pod, i) => ({ ...pod, ...x.changes[i] }));
        const above = x.above.slice(0, x.pending);
        const unplaced = above.flatMap(({ node, hasPod }, i) =>
          hasPod ? [podOf('volume', v + i, { node, ready: false, readySinceMs: 0 })] : [],
        );
        const disks = above.flatMap(({ hasDisk }, i) =>
          hasDisk ? clusterOf(n, v + i + 1).volumes.slice(-1) : [],
        );
        const spec = {
          ...base.cr.spec,
          coordinators: { ...base.cr.spec.coordinators, replicas: n + asked.n },
          volumes: { ...base.cr.spec.volumes, replicas: v + asked.v },
        };
        const set = (role: 'coordinator' | 'volume', count: number) => ({
          ...setOf(role, count),
          generation: x.generation,
        });
        return {
          ...base,
          cr: {
            ...base.cr,
            spec,
            status: { ...base.cr.status, bootstrapped: x.bootstrapped, conditions: calmConditions },
          },
          pods: [...pods.filter((_, i) => i !== x.missing), ...unplaced],
          sts: {
            coordinator: set('coordinator', n),
            volume: set('volume', v + x.extra + above.length),
          },
          claims: [
            ...base.claims.map((claim, i) =>
              i === x.claim.at ? { ...claim, ...x.claim.change } : claim,
            ),
            ...above.map((one, i) => claimOf('volume', v + i, { phase: one.phase })),
          ],
          coordinators: Object.fromEntries(
            x.answers.map((answer, i) => [podOf('coordinator', i).name, answer]),
          ),
          cluster:
            x.cluster === 'unknown'
              ? 'unknown'
              : { ...x.cluster, volumes: [...x.cluster.volumes, ...disks] },
          pdb: x.pdb,
          open: x.isOpen
            ? { kind: 'evict', atMs: NOW_MS, pod: 'demo-volume-0', oldUid: 'uid-demo-volume-0' }
            : null,
          ...(x.isApplied ? {} : { applied: {} }),
        };
      });
  });

const check = (rule: (s: Snapshot) => void): void => {
  fc.assert(fc.property(snapshot, rule), { numRuns: 300 });
};

/** Healthy voters beside `pod`, counted from the leader's view. */
function healthyBeside(s: Snapshot, pod: string): number {
  if (s.cluster === 'unknown') return 0;
  const { leader, members } = s.cluster;
  return members.filter((m) => {
    const own = s.pods.find(({ name }) => name === m.name);
    const heard = m.nodeId === leader.nodeId || (m.contactMs ?? 1e9) < 2000;
    const here = own?.ready === true && !own.deleting;
    return m.name !== pod && m.state === 'member' && m.lag < 1000 && heard && here;
  }).length;
}

let disturbed = 0;

test('a quorum stays beside every coordinator that is disturbed', () => {
  check((s) => {
    const { disruptive } = plan(s);
    if (disruptive === null) return;
    disturbed += 1;
    const pod = disruptive.kind === 'evict' ? disruptive.pod : disruptive.from;
    const isCoordinator = disruptive.kind === 'transfer' || disruptive.role === 'coordinator';
    if (!isCoordinator || s.cluster === 'unknown' || s.cluster.members.length === 1) return;
    const majority = Math.floor(s.cluster.members.length / 2) + 1;
    expect(healthyBeside(s, pod)).toBeGreaterThanOrEqual(majority);
  });
  expect(disturbed).toBeGreaterThan(20);
});

test('every value stays held elsewhere, and enough volumes stay to write', () => {
  check((s) => {
    const { disruptive } = plan(s);
    if (disruptive?.kind !== 'evict' || disruptive.role !== 'volume') return;
    if (s.cluster === 'unknown') throw new Error('evicted without knowing');
    const { volumes, data } = s.cluster;
    expect(data.underReplicated - data.lost).toBe(0);
    expect(volumes.filter(({ refs, live }) => refs > 0 && !live)).toEqual([]);
    const least = minReplicasOf(s.cr.spec.volumes);
    const { replicationFactor, replicas } = s.cr.spec.volumes;
    const left = volumes.filter(({ live, name }) => live && name !== disruptive.pod).length;
    if (replicationFactor > 1 && replicas > least) expect(left).toBeGreaterThanOrEqual(least);
  });
});

test('one disturbance a pass, of an available pod, while everything else is settled and known', () => {
  check((s) => {
    const { disruptive, broken } = plan(s);
    if (disruptive === null) return;
    expect(broken).toBeNull();
    expect(s.cluster).not.toBe('unknown');
    expect(s.open).toBeNull();
    for (const pod of s.pods) {
      expect(pod.deleting).toBe(false);
      const answer = pod.role === 'coordinator' && pod.ready ? s.coordinators[pod.name] : null;
      if (answer !== null) expect(answer).toMatchObject({ caughtUp: true });
    }
    const role = disruptive.kind === 'evict' ? disruptive.role : 'coordinator';
    expect(s.pdb[role]).toMatchObject({ current: true, allowed: 1 });
    if (disruptive.kind !== 'evict') return;
    const pod = s.pods.find(({ name }) => name === disruptive.pod)!;
    expect(pod).toMatchObject({ ready: true, uid: disruptive.uid, revision: OLDER });
  });
});

test('a pod that works is never deleted plainly, nor one of the newest template', () => {
  check((s) => {
    const { broken } = plan(s);
    if (broken === null) return;
    const pod = s.pods.find(({ name }) => name === broken.pod)!;
    expect(pod).toMatchObject({ ready: false, deleting: false, revision: OLDER });
  });
});

test('nothing is formed once it was, or while a disk is registered', () => {
  check((s) => {
    const calls = plan(s).calls.filter(({ kind }) => kind === 'bootstrap');
    const disks = Object.values(s.volumes).some((v) => v !== 'unknown' && v.disk > 0);
    if (s.cr.status.bootstrapped || disks) expect(calls).toEqual([]);
  });
});

test('replicas never fall, but for volumes of which there is neither disk nor claim nor node', () => {
  let fallen = 0;
  check((s) => {
    for (const step of plan(s).applies) {
      if (step.kind !== 'apply' || step.manifest.kind !== 'StatefulSet') continue;
      const role = step.key.endsWith('volume') ? 'volume' : 'coordinator';
      const { replicas } = step.manifest['spec'] as { replicas: number };
      const before = s.sts[role]!.replicas;
      if (replicas >= before) continue;
      fallen += 1;
      expect(role).toBe('volume');
      if (s.cluster === 'unknown') throw new Error('taken back without knowing');
      expect(replicas).toBeGreaterThanOrEqual(s.cr.spec.volumes.replicas);
      for (let ordinal = replicas; ordinal < before; ordinal += 1) {
        const name = `demo-volume-${ordinal}`;
        expect(s.cluster.volumes.map((volume) => volume.name)).not.toContain(name);
        const claims = s.claims.filter(({ pod }) => pod === name);
        expect(claims.filter(({ phase }) => phase !== 'Pending')).toEqual([]);
        expect(s.pods.find((pod) => pod.name === name)?.node ?? null).toBeNull();
      }
    }
  });
  expect(fallen).toBeGreaterThan(2);
});

test('nothing would be disturbed if any claim of its role were lost, pending or on its way out', () => {
  check((s) => {
    const { disruptive } = plan(s);
    if (disruptive === null) return;
    const role = disruptive.kind === 'evict' ? disruptive.role : 'coordinator';
    for (const { pod } of s.claims.filter((claim) => claim.role === role)) {
      expect(plan(changeClaim(s, pod, { deleting: true, phase: 'Bound' })).disruptive).toBeNull();
      expect(plan(changeClaim(s, pod, { phase: 'Lost' })).disruptive).toBeNull();
      if (Number(/\d+$/.exec(pod)) >= s.sts[role]!.replicas) continue;
      expect(plan(changeClaim(s, pod, { phase: 'Pending' })).disruptive).toBeNull();
    }
  });
});

test('equal snapshots, equal plans', () => {
  check((s) => {
    expect(plan(structuredClone(s))).toEqual(plan(s));
  });
});
