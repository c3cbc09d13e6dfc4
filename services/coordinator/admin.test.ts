/** What operators are told of a coordinator and may ask of it, over a log and volumes in memory. */
import { describe, expect, test } from '@jest/globals';
import { coordinatorStatusSchema } from '../api/admin.ts';
import { clusterId, logIndex, NOBODY, type NodeId, nodeId } from '../common/ids.ts';
import { loadCoordinatorOptions } from '../config/coordinator.ts';
import type { DirectoryState } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import { CoordinatorWorld } from '../testing/coordinator-world.ts';
import { CoordinatorAdmin } from './admin.ts';

const members = ['c1', 'c2', 'c3'].map((name, i) => ({
  node: nodeId(i + 1),
  name,
  address: `${name}:5001`,
}));
const identity: Identity = {
  clusterId: clusterId('c'.repeat(32)),
  node: nodeId(1),
  name: 'c1',
  members,
};

interface Setting {
  readonly world: CoordinatorWorld;
  readonly admin: CoordinatorAdmin;
  /** Makes this node a member that runs. */
  readonly join: () => void;
  state: DirectoryState;
}

async function setting(): Promise<Setting> {
  const { options } = await loadCoordinatorOptions(
    ['--id', 'c1', '--db', '/db'],
    { POD_UID: 'uid-1' },
    () => Promise.reject(new Error('no file')),
  );
  const world = new CoordinatorWorld();
  const { clock, consensus, metadata, volumes: registry } = world;
  const admin = new CoordinatorAdmin({
    clock,
    options,
    folder: { bootId: 5, identity },
    bootstrap: { state: () => 'member', request: () => Promise.reject(new Error('not here')) },
    peers: {
      fact: () => undefined,
      clusterView: () => Promise.reject(new Error('nobody is there')),
    },
    pendingRestart: () => ['replicas'],
    httpAddress: '127.0.0.1:5000',
  });
  const made: Setting = {
    world,
    admin,
    state: 'member',
    join: () => {
      const directoryState = (): DirectoryState => made.state;
      admin.join({ identity, consensus, metadata, registry, directoryState });
    },
  };
  return made;
}

describe('the own status', () => {
  test('is complete before the node runs: identity and state, nothing of a log', async () => {
    const { admin } = await setting();
    const status = coordinatorStatusSchema.parse(admin.status());
    expect(status).toMatchObject({ name: 'c1', nodeId: 1, bootId: 5, podUid: 'uid-1', term: 0 });
    expect(status).toMatchObject({ state: 'member', pendingRestart: ['replicas'], leader: null });
    expect(admin.health()).toMatchObject({ ready: false, reason: 'opening its log and state' });
    await expect(admin.cluster(100)).rejects.toMatchObject({ code: 'NOT_READY' });
  });

  test('of a member tells leader, term and voters, also without a leader', async () => {
    const { admin, join, world } = await setting();
    join();
    expect(admin.status()).toMatchObject({ leader: { nodeId: 1, name: 'c1' }, is_leader: true });
    world.consensus.role = 'follower';
    world.consensus.leader = NOBODY;
    const status = coordinatorStatusSchema.parse(admin.status());
    expect(status).toMatchObject({ leader: null, state: 'member', nb_volumes: 3 });
    expect(status.voters.map(({ name }) => name)).toEqual(['c1', 'c2', 'c3']);
    // A leader that is lost later does not make it unready: stale reads and refusals are answers.
    expect(admin.health().ready).toBe(true);
  });

  test('says so when it recovers or stops', async () => {
    const made = await setting();
    made.join();
    made.state = 'recovering';
    expect(made.admin.status().state).toBe('recovering');
    made.admin.beginStop();
    expect(made.admin.status().state).toBe('stopping');
    expect(made.admin.health()).toMatchObject({ ready: false, reason: 'stopping' });
  });

  test('is not ready while volumes are on their way, but not for long', async () => {
    const { admin, join, world } = await setting();
    world.volumes.at(3).isHeard = false;
    join();
    expect(admin.health()).toMatchObject({ ready: false });
    await world.clock.advance(6000);
    expect(admin.health()).toMatchObject({ ready: true, reason: null });
  });
});

describe('handing leadership over', () => {
  const asked = (world: CoordinatorWorld, taker: NodeId) => {
    const calls: NodeId[] = [];
    world.consensus.transferLeadership = async (target) => {
      calls.push(target);
      world.consensus.role = 'follower';
      world.consensus.leader = taker;
      return taker;
    };
    return calls;
  };

  test('names who leads then; asked again it is done already, whatever the term is by now', async () => {
    const { admin, join, world } = await setting();
    join();
    const calls = asked(world, nodeId(2));
    const answer = { leader: { nodeId: 2, name: 'c2' }, term: 1 };
    expect(await admin.transferLeader({ to: 'c2', expectedTerm: 1 }, 1000)).toEqual(answer);
    expect(await admin.transferLeader({ to: 2, expectedTerm: 0 }, 1000)).toEqual(answer);
    expect(calls).toEqual([2]);
  });

  test('has failed when another one than the named took over', async () => {
    const { admin, join, world } = await setting();
    join();
    asked(world, nodeId(3));
    await expect(admin.transferLeader({ to: 'c2' }, 1000)).rejects.toMatchObject({
      code: 'TRANSFER_FAILED',
    });
  });

  test('is refused in another term, to a stranger, or to one that cannot lead', async () => {
    const { admin, join, world } = await setting();
    join();
    const calls = asked(world, nodeId(2));
    const code = (to: string | number, expectedTerm = 1): Promise<unknown> =>
      admin.transferLeader({ to, expectedTerm }, 1000).catch((error: unknown) => error);
    const peer = {
      next: logIndex(1),
      match: logIndex(0),
      state: 'probe',
      stopping: false,
    } as const;
    world.consensus.peers = [
      { ...peer, node: nodeId(2), recentlyActive: true, recovering: true },
      { ...peer, node: nodeId(3), recentlyActive: true, recovering: false },
    ];
    expect(await code('c2', 9)).toMatchObject({ code: 'TERM_CHANGED' });
    expect(await code('c9')).toMatchObject({ code: 'INVALID_ARGUMENT' });
    expect(await code('c2')).toMatchObject({ code: 'TARGET_BEHIND' });
    expect(calls).toEqual([]);
  });
});

describe('changes', () => {
  test('a zone is replicated before the call is answered; another disk than named is refused', async () => {
    const { admin, join, world } = await setting();
    join();
    const changed = await world.done(admin.setVolume('volume-2', { zone: 'rack-9' }, 1000), 50);
    expect(changed.index).toBe(world.metadata.appliedIndex);
    expect(world.metadata.disks().map(({ zone }) => zone)).toEqual(['', 'rack-9', '']);
    const wrong = admin.setVolume('volume-2', { disk: 1, zone: 'x' }, 1000);
    await expect(wrong).rejects.toMatchObject({ code: 'WRONG_NODE' });
    const unknown = admin.setVolume('volume-9', { zone: 'x' }, 1000);
    await expect(unknown).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  });

  test('a change that nobody applies is not said to be done', async () => {
    const { admin, join, world } = await setting();
    join();
    world.consensus.mode = 'lose';
    const changing = admin.setVolume('volume-2', { zone: 'rack-9' }, 1000);
    expect(await world.code(changing, 1100)).toBe('DEADLINE_EXCEEDED');
  });

  test('an epoch below a greater one that was applied first is stale', async () => {
    const { admin, join, world } = await setting();
    join();
    await world.done(admin.raiseOperatorEpoch(5, 1000), 50);
    expect(admin.operatorEpoch()).toBe(5);
    expect(await world.code(admin.raiseOperatorEpoch(4, 1000), 50)).toBe('STALE_EPOCH');
  });
});
