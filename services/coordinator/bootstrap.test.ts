/** Bootstraps on a manual clock that see each other by direct calls; folders survive crashes. */
import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { clusterId, nodeId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import type { DirectoryState } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Bootstrap, type BootstrapOptions } from './bootstrap.ts';
import type { PeerAnswer } from './bootstrap-rules.ts';

const PEERS = ['a', 'b', 'c'].map((name) => ({ name, address: `${name}:5001` }));
const CLUSTER = clusterId('c'.repeat(32));
const MEMBERS = PEERS.map(({ name, address }, i) => ({ node: nodeId(i + 1), name, address }));

class Folder {
  readonly name: string;
  identity: Identity | null = null;
  state: DirectoryState = 'empty';

  constructor(name: string) {
    this.name = name;
  }

  directoryState(): DirectoryState {
    return this.state;
  }

  arm(identity: Identity): Promise<void> {
    this.identity = identity;
    this.state = 'armed';
    return Promise.resolve();
  }
}

function cluster(options: Partial<BootstrapOptions> = {}) {
  const clock = new ManualClock();
  const folders = new Map(PEERS.map(({ name }) => [name, new Folder(name)]));
  const running = new Map<string, Bootstrap>();
  const folderOf = (name: string): Folder => {
    const folder = folders.get(name);
    if (folder === undefined) throw new Error(`no folder of ${name}`);
    return folder;
  };
  const probe = async ({ name }: { readonly name: string }): Promise<PeerAnswer> => {
    const { identity } = folderOf(name);
    return {
      name,
      state: running.get(name)?.state() ?? 'unreachable',
      clusterId: identity?.clusterId ?? '',
      members: identity?.members ?? [],
    };
  };
  let seed = 0;
  const start = (name: string) => {
    seed += 1;
    const components = {
      folder: folderOf(name),
      probe,
      clock,
      random: seededRandom(seed),
      logger: silentLogger,
    };
    const bootstrap = new Bootstrap(components, {
      mode: 'auto',
      clusterId: null,
      peers: PEERS,
      ...options,
    });
    const abort = new AbortController();
    running.set(name, bootstrap);
    let identity: Identity | null = null;
    const ended = bootstrap.run(abort.signal).then(
      (found) => {
        identity = found;
        return null;
      },
      (error: unknown) => error,
    );
    const stop = (): void => {
      running.delete(name);
      abort.abort(new KvError('STOPPING', 'the process stops'));
    };
    return { bootstrap, identity: () => identity, stop, ended };
  };
  return { clock, folderOf, start };
}

describe('bootstrap in auto mode', () => {
  test('three empty nodes end in one cluster, with ids by their place in the list', async () => {
    const { clock, start } = cluster();
    const nodes = PEERS.map(({ name }) => start(name));
    await clock.advance(5000);
    const identities = nodes.map(({ identity }) => identity());
    expect(new Set(identities.map((identity) => identity?.clusterId)).size).toBe(1);
    expect(identities.map((identity) => identity?.node)).toEqual([1, 2, 3]);
    expect(identities[0]?.members).toEqual(MEMBERS);
  });

  test('two nodes wait for a slow third, however long', async () => {
    const { clock, start, folderOf } = cluster();
    const [a, b] = [start('a'), start('b')];
    await clock.advance(60_000);
    expect([folderOf('a').state, folderOf('b').state]).toEqual(['empty', 'empty']);
    const c = start('c');
    await clock.advance(5000);
    for (const node of [a, b, c]) expect(node.identity()).not.toBeNull();
  });

  test('an armed node whose peer dies before it is seen armed does not vote', async () => {
    const { clock, start, folderOf } = cluster();
    await folderOf('a').arm({ clusterId: CLUSTER, node: nodeId(1), name: 'a', members: MEMBERS });
    const a = start('a');
    const b = start('b');
    await clock.advance(10_000);
    expect(a.identity()).toBeNull();
    expect(b.bootstrap.state()).toBe('empty');
    start('c');
    await clock.advance(5000);
    expect(a.identity()?.clusterId).toBe(CLUSTER);
  });

  test('a wiped node is waiting beside members and stays without an identity', async () => {
    const { clock, start, folderOf } = cluster();
    for (const [i, name] of ['a', 'b'].entries()) {
      await folderOf(name).arm({ clusterId: CLUSTER, node: nodeId(i + 1), name, members: MEMBERS });
      folderOf(name).state = 'member';
    }
    const [a, c] = [start('a'), start('c')];
    start('b');
    await clock.advance(60_000);
    expect(a.identity()?.node).toBe(1);
    expect(c.bootstrap.state()).toBe('waiting');
    expect(folderOf('c').identity).toBeNull();
  });

  test('a member starts at once, alone', async () => {
    const { clock, start, folderOf } = cluster();
    await folderOf('b').arm({ clusterId: CLUSTER, node: nodeId(2), name: 'b', members: MEMBERS });
    folderOf('b').state = 'member';
    const b = start('b');
    await clock.flush();
    expect(b.identity()?.node).toBe(2);
  });

  test('ends with the reason of its signal', async () => {
    const { clock, start } = cluster();
    const a = start('a');
    await clock.advance(1000);
    a.stop();
    await clock.advance(2000);
    expect(await a.ended).toMatchObject({ code: 'STOPPING' });
  });

  test('refuses peers that do not name this node', async () => {
    const { clock, start } = cluster({ peers: PEERS.slice(1) });
    const a = start('a');
    await clock.flush();
    expect(await a.ended).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

describe('bootstrap by call', () => {
  const request = { clusterId: CLUSTER, members: MEMBERS };

  test('arms each node that is asked, and all vote once all are armed', async () => {
    const { clock, start } = cluster({ mode: 'manual' });
    const nodes = PEERS.map(({ name }) => start(name));
    await clock.advance(5000);
    for (const { bootstrap } of nodes) expect(bootstrap.state()).toBe('empty');
    for (const { bootstrap, identity } of nodes) {
      expect(identity()).toBeNull();
      expect(await bootstrap.request(request)).toEqual({ state: 'armed' });
      expect(await bootstrap.request(request)).toEqual({ state: 'armed' });
    }
    await clock.advance(5000);
    for (const { identity } of nodes) expect(identity()?.clusterId).toBe(CLUSTER);
  });

  test('names the peer that stands in the way', async () => {
    const { clock, start, folderOf } = cluster({ mode: 'manual' });
    const a = start('a');
    start('b');
    await clock.flush();
    await expect(a.bootstrap.request(request)).rejects.toMatchObject({
      code: 'PEER_UNKNOWN',
      detail: { peer: 'c' },
    });
    folderOf('c').state = 'member';
    start('c');
    await clock.flush();
    await expect(a.bootstrap.request(request)).rejects.toMatchObject({
      code: 'PEER_NOT_EMPTY',
      detail: { peer: 'c' },
    });
    expect(folderOf('a').identity).toBeNull();
  });

  test('for another cluster is refused, and two calls at once take one identity', async () => {
    const { clock, start, folderOf } = cluster({ mode: 'manual' });
    const a = start('a');
    for (const name of ['b', 'c']) start(name);
    await clock.flush();
    const other = { ...request, clusterId: clusterId('d'.repeat(32)) };
    const both = [a.bootstrap.request(request), a.bootstrap.request(other)];
    const settled = await Promise.allSettled(both);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
    const [, second] = settled;
    const reason: unknown = second?.status === 'rejected' ? second.reason : null;
    expect(reason instanceof KvError ? reason.code : reason).toBe('CLUSTER_EXISTS');
    expect(folderOf('a').identity?.clusterId).toBe(CLUSTER);
  });
});
