/** One coordinator's view of the cluster, with log, volumes and the other members in the test's hands. */
import { describe, expect, test } from '@jest/globals';
import { type ClusterView, clusterViewSchema } from '../api/admin.ts';
import { utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { clusterId, diskId, logIndex, NOBODY, type NodeId, nodeId } from '../common/ids.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Identity } from '../consensus/transport.ts';
import type { PeerStatus } from '../raft/types.ts';
import { CoordinatorWorld } from '../testing/coordinator-world.ts';
import { ClusterViews, type PeerPort } from './cluster-view.ts';
import { FirstContact } from './first-contact.ts';

const names = ['c1', 'c2', 'c3'];
const members = names.map((name, i) => ({ node: nodeId(i + 1), name, address: `${name}:5001` }));
const identityOf = (node: number): Identity => ({
  clusterId: clusterId('c'.repeat(32)),
  node: nodeId(node),
  name: `c${node}`,
  members,
});

/** The other members: who was asked, and what they answer. */
class Peers implements PeerPort {
  readonly asked: NodeId[] = [];
  readonly facts = new Map<NodeId, ReturnType<PeerPort['fact']>>();
  answer: () => string = () => '';

  fact(node: NodeId): ReturnType<PeerPort['fact']> {
    return this.facts.get(node);
  }

  async clusterView(node: NodeId): Promise<string> {
    this.asked.push(node);
    return this.answer();
  }
}

const follower = (node: number, more: Partial<PeerStatus> = {}): PeerStatus => ({
  node: nodeId(node),
  match: logIndex(2),
  next: logIndex(3),
  state: 'replicate',
  recentlyActive: true,
  recovering: false,
  stopping: false,
  ...more,
});

function viewsOf(world: CoordinatorWorld, node: number): { views: ClusterViews; peers: Peers } {
  const peers = new Peers();
  const { clock, metadata, volumes: directory } = world;
  const views = new ClusterViews({
    ...{ clock, consensus: world.consensus, metadata, directory },
    contact: new FirstContact({ clock, metadata, directory }),
    identity: identityOf(node),
    peers,
    self: () => ({ state: 'member', bootId: 7 }),
  });
  return { views, peers };
}

describe('the leader', () => {
  test('tells of each member its state and version, and how far behind it is', async () => {
    const world = new CoordinatorWorld();
    const { views, peers } = viewsOf(world, 1);
    world.consensus.peers = [follower(2), follower(3, { recovering: true, match: logIndex(1) })];
    const hello = { httpAddress: 'c2:5000', bootId: 4, version: '0.9.0', heardMs: 12 };
    peers.facts.set(nodeId(2), hello);
    const view = await world.done(views.view(SECOND_MS));
    expect(() => clusterViewSchema.parse(view)).not.toThrow();
    const last = world.metadata.appliedIndex;
    expect(view).toMatchObject({ leader: { nodeId: 1, name: 'c1' }, index: last });
    expect(view.members).toMatchObject([
      { name: 'c1', state: 'member', bootId: 7, lag: 0, contactMs: 0 },
      { name: 'c2', state: 'member', bootId: 4, version: '0.9.0', lag: last - 2, contactMs: 12 },
      { name: 'c3', state: 'recovering', matchIndex: 1, contactMs: null },
    ]);
    expect(view.members[0]?.version).not.toBe('');
  });

  test('knows nothing of a member that does not answer it', async () => {
    const world = new CoordinatorWorld();
    world.consensus.peers = [follower(2, { recentlyActive: false })];
    const view = await world.done(viewsOf(world, 1).views.view(SECOND_MS));
    expect(view.members.map(({ state }) => state)).toEqual(['member', 'unknown', 'unknown']);
  });

  test('counts thin keys and all references to disks that are away, and lists both kinds', async () => {
    const world = new CoordinatorWorld();
    const { views } = viewsOf(world, 1);
    await world.done(world.put('a', utf8('1')));
    await world.done(world.put('b', utf8('2')));
    await world.done(views.view(SECOND_MS));
    world.volumes.at(3).isHeard = false;
    await world.done(world.put('thin', utf8('3')));
    const view = await world.done(views.view(SECOND_MS));
    expect(view.volumes.map(({ disk, live, refs }) => [disk, live, refs])).toEqual([
      [1, true, 3],
      [2, true, 3],
      [3, false, 2],
    ]);
    expect(view.data).toEqual({ underReplicated: 3, lost: 0 });
    world.consensus.apply({ kind: 'set-disk', disk: diskId(3), state: 'gone', zone: null });
    const gone = await world.done(views.view(SECOND_MS));
    // Gone for good, but its references have not been mended yet: nothing may look whole.
    expect(gone.volumes.map(({ state }) => state)).toEqual(['active', 'active', 'gone']);
    expect(gone.data.underReplicated).toBe(3);
  });

  test('that has just started says of no volume that it is away', async () => {
    const world = new CoordinatorWorld();
    const { views } = viewsOf(world, 1);
    world.volumes.at(1).isHeard = false;
    world.volumes.at(2).isHeard = false;
    expect(await world.code(views.own(SECOND_MS))).toBe('NOT_READY');
    const asking = views.view(4 * SECOND_MS);
    await world.clock.advance(2 * SECOND_MS);
    world.volumes.at(1).isHeard = true;
    world.volumes.at(2).isHeard = true;
    const { volumes } = await world.done(asking, 100);
    expect(volumes.map(({ live }) => live)).toEqual([true, true, true]);
  });

  test('tells of a volume that is away once there was time to hear it', async () => {
    const world = new CoordinatorWorld();
    const { views } = viewsOf(world, 1);
    world.volumes.at(3).isHeard = false;
    await world.clock.advance(6 * SECOND_MS);
    const { volumes } = await world.done(views.view(SECOND_MS));
    expect(volumes.map(({ live }) => live)).toEqual([true, true, false]);
  });

  test('that is deposed while it asks for an index tells nothing of its own', async () => {
    const world = new CoordinatorWorld();
    const { views, peers } = viewsOf(world, 1);
    world.consensus.onBarrier = () => {
      world.consensus.role = 'follower';
      world.consensus.leader = nodeId(2);
    };
    const theirs = await told();
    peers.answer = () => theirs;
    const view = await world.done(views.view(SECOND_MS), 100);
    expect(view.leader).toEqual({ nodeId: 2, name: 'c2' });
    await expect(views.own(SECOND_MS)).rejects.toMatchObject({ code: 'NOT_LEADER' });
  });
});

/** What the leader c2 of another world tells. */
async function told(): Promise<string> {
  const world = new CoordinatorWorld();
  world.consensus.leader = nodeId(2);
  return JSON.stringify(await viewsOf(world, 2).views.own(SECOND_MS));
}

describe('a follower', () => {
  const followerWorld = (): CoordinatorWorld => {
    const world = new CoordinatorWorld();
    world.consensus.role = 'follower';
    world.consensus.leader = nodeId(2);
    return world;
  };

  test('passes the answer of the leader on', async () => {
    const world = followerWorld();
    const { views, peers } = viewsOf(world, 1);
    const theirs = await told();
    peers.answer = () => theirs;
    const view: ClusterView = await world.done(views.view(SECOND_MS));
    expect(view).toEqual(JSON.parse(theirs));
    expect(peers.asked).toEqual([2]);
  });

  test('asks again when leadership moves, and the new leader then', async () => {
    const world = followerWorld();
    const { views, peers } = viewsOf(world, 1);
    const theirs = await told();
    peers.answer = () => {
      if (peers.asked.at(-1) === 3) return theirs;
      world.consensus.leader = peers.asked.length === 1 ? NOBODY : nodeId(3);
      throw new KvError('NOT_LEADER', 'no more');
    };
    const asking = views.view(SECOND_MS);
    await world.clock.advance(200);
    world.consensus.leader = nodeId(3);
    await world.done(asking, 200);
    expect(peers.asked).toEqual([2, 3]);
  });

  test('without a leader says so in time', async () => {
    const world = followerWorld();
    world.consensus.leader = NOBODY;
    const { views } = viewsOf(world, 1);
    const asking = views.view(SECOND_MS);
    expect((await world.end(asking, 900)).kind).toBe('pending');
    expect(await world.code(asking, 200)).toBe('NO_LEADER');
  });

  test('does not repeat a question that was refused', async () => {
    const world = followerWorld();
    const { views, peers } = viewsOf(world, 1);
    peers.answer = () => {
      throw new KvError('WRONG_CLUSTER', 'another one');
    };
    expect(await world.code(views.view(SECOND_MS), 100)).toBe('WRONG_CLUSTER');
    expect(peers.asked).toHaveLength(1);
  });
});
