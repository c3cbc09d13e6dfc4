/** Coordinators that talk over real loopback sockets, without a Raft core behind them. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../common/clock.ts';
import { KvError } from '../../common/errors.ts';
import { clusterId, logIndex, type NodeId, nodeId, term } from '../../common/ids.ts';
import { seededRandom } from '../../common/random.ts';
import { STATE_FORMAT } from '../../common/version.ts';
import type { Identity, Member, SnapshotChunk } from '../../consensus/transport.ts';
import type { Message } from '../../raft/messages.ts';
import { type RaftFrame, RaftService as RaftMethods } from '../../rpc/generated/raft.ts';
import { helloTo, type Introduction } from '../../rpc/hello.ts';
import { openLink } from '../../rpc/link.ts';
import { startRpcServer } from '../../rpc/server.ts';
import { RAFT_STREAM } from '../../rpc/streams.ts';
import { tcpNetwork } from '../../rpc/tcp-network.ts';
import type { Outgoing } from '../../rpc/types.ts';
import { callUnary } from '../../rpc/unary.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { Inbox } from '../../testing/inbox.ts';
import type { StateDigest } from '../state-exchange.ts';
import { PeerLinks } from './peer-links.ts';
import { encodeMessage } from './raft-codec.ts';
import { RaftService } from './raft-service.ts';

const wire = { clock: systemClock, network: tcpNetwork };
const CLUSTER = clusterId('c'.repeat(32));
const NAMES = ['coord-0', 'coord-1', 'coord-2'];

type Event =
  | { readonly kind: 'message'; readonly message: Message }
  | { readonly kind: 'opened' }
  | { readonly kind: 'closed'; readonly peer: NodeId }
  | { readonly kind: 'chunk'; readonly chunk: SnapshotChunk };

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Where each name listens right now; the cluster's DNS. */
type Names = Map<string, string>;

interface StartOptions {
  readonly ordinal: number;
  readonly bootId?: number;
  /** Says in its hello where it listens. */
  readonly isDirect?: boolean;
  readonly isInDns?: boolean;
}

/** One coordinator's network side; `refusals` and `drops` are its metrics. */
async function start(names: Names, { ordinal, bootId = 1, isDirect, isInDns }: StartOptions) {
  const members: Member[] = NAMES.map((name, i) => ({
    node: nodeId(i + 1),
    name,
    address: '127.0.0.1:1',
  }));
  const name = NAMES[ordinal] ?? '';
  const identity: Identity = { clusterId: CLUSTER, node: nodeId(ordinal + 1), name, members };
  let address = '';
  const introduce = (): Introduction => ({
    clusterId: CLUSTER,
    role: 'coordinator',
    name,
    from: identity.node,
    bootId,
    address,
    version: '',
    httpAddress: '',
  });
  const refusals = new Inbox<string>();
  let drops = 0;
  const metrics = {
    refused: {
      add: (_count?: number, labels: Readonly<Record<string, string>> = {}) =>
        refusals.push(labels['code'] ?? ''),
    },
    dropped: {
      add: (count = 1) => {
        drops += count;
      },
    },
  };
  const random = seededRandom(ordinal + 1);
  const links = new PeerLinks(
    { ...wire, random, logger: silentLogger, metrics, introduce },
    { identity, addressOf: (peer) => names.get(peer) ?? null },
  );
  const service = new RaftService({
    introduce,
    state: () => 'member',
    members: () => members,
    term: () => 7,
    clusterView: async (timeoutMs) => `view within ${timeoutMs}`,
  });
  const server = await startRpcServer(
    { ...wire, logger: silentLogger },
    { bind: '127.0.0.1:0', services: service.services() },
  );
  if (isDirect === true) address = `127.0.0.1:${server.port}`;
  if (isInDns !== false) names.set(name, `127.0.0.1:${server.port}`);
  const inbox = new Inbox<Event>();
  const stop = async (): Promise<void> => {
    links.close();
    await server.close(0);
  };
  cleanups.push(stop);
  return {
    node: identity.node,
    port: server.port,
    links,
    service,
    inbox,
    introduce,
    stop,
    refusals,
    dropCount: () => drops,
    run: (): void => {
      service.attach(links);
      links.listen({
        onMessages: (messages) => {
          for (const message of messages) inbox.push({ kind: 'message', message });
        },
        onOpened: () => inbox.push({ kind: 'opened' }),
        onClosed: (peer) => inbox.push({ kind: 'closed', peer }),
        onSnapshotChunk: (chunk) => {
          inbox.push({ kind: 'chunk', chunk });
          return Promise.resolve({ heldBytes: chunk.offset + chunk.data.length, staged: false });
        },
      });
    },
  };
}

type Node = Awaited<ReturnType<typeof start>>;

const reads = (from: Node, to: Node, requestId: number): Message => ({
  kind: 'read-request',
  from: from.node,
  to: to.node,
  term: term(3),
  fromBoot: 1,
  toBoot: 1,
  requestId,
});

/** Repeats a message until it arrives, as Raft does: before the streams are up it is dropped. */
async function untilHeard(from: Node, to: Node): Promise<void> {
  let isHeard = false;
  const repeat = async (): Promise<void> => {
    while (!isHeard) {
      from.links.send([reads(from, to, 0)]);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  const heard = to.inbox.until(
    (event) => event.kind === 'message' && event.message.from === from.node,
  );
  const repeating = repeat();
  await heard;
  isHeard = true;
  await repeating;
}

async function pair(): Promise<[Node, Node]> {
  const names: Names = new Map();
  const a = await start(names, { ordinal: 0 });
  const b = await start(names, { ordinal: 1 });
  a.run();
  b.run();
  await untilHeard(a, b);
  await untilHeard(b, a);
  return [a, b];
}

/** A hand-made peer that speaks on an Exchange stream of its own. */
async function impostor(port: number, hello: object, self: Introduction) {
  const closed = new Inbox<KvError>();
  const frames = new Inbox<RaftFrame>();
  const opened = new Promise<Outgoing<RaftFrame>>((resolve) => {
    const link = openLink(
      { ...wire, random: seededRandom(9), logger: silentLogger },
      {
        method: RAFT_STREAM,
        address: () => `127.0.0.1:${port}`,
        onOpen: (outgoing) => {
          resolve(outgoing);
          return {
            onMessage: (frame) => frames.push(frame),
            onClosed: (reason) => {
              if (reason instanceof KvError) closed.push(reason);
            },
          };
        },
      },
    );
    cleanups.push(() => link.close());
  });
  const outgoing = await opened;
  outgoing.send({ hello: { ...helloTo(self, 1), ...hello }, messages: [], digests: [] });
  return { outgoing, closed, frames };
}

describe('peer links', () => {
  test('three nodes exchange messages in order, each on its own streams', async () => {
    const names: Names = new Map();
    const nodes = await Promise.all([0, 1, 2].map((ordinal) => start(names, { ordinal })));
    for (const node of nodes) node.run();
    for (const from of nodes) {
      for (const to of nodes) {
        if (from === to) continue;
        await untilHeard(from, to);
        from.links.send([1, 2, 3].map((id) => reads(from, to, id)));
        for (const id of [1, 2, 3]) {
          const event = await to.inbox.until(
            ({ kind, ...rest }) =>
              kind === 'message' &&
              'message' in rest &&
              rest.message.kind === 'read-request' &&
              rest.message.requestId > 0,
          );
          expect(event).toMatchObject({ message: { from: from.node, requestId: id } });
        }
      }
    }
  });

  test('a process that comes is told of once its hello was heard', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    a.run();
    const b = await start(names, { ordinal: 1 });
    expect(a.inbox.waiting).toEqual([]);
    b.run();
    expect(await a.inbox.next()).toEqual({ kind: 'opened' });
    expect(await b.inbox.next()).toEqual({ kind: 'opened' });
  });

  test('a process that goes is hinted at, by its own stream and by ours', async () => {
    const [a, b] = await pair();
    await b.stop();
    const isClosed = (event: Event): boolean => event.kind === 'closed';
    expect(await a.inbox.until(isClosed)).toEqual({ kind: 'closed', peer: b.node });
    expect(await a.inbox.until(isClosed)).toEqual({ kind: 'closed', peer: b.node });
    expect(b.inbox.waiting.filter(isClosed)).toEqual([]);
  });

  test('messages to a peer that is away are dropped, and later ones arrive', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    a.run();
    a.links.send([reads(a, b, 1)]);
    expect(a.dropCount()).toBe(1);
    b.run();
    await untilHeard(a, b);
  });

  test('a peer that restarts elsewhere is found by its hello though the name still points away', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const before = await start(names, { ordinal: 1 });
    a.run();
    before.run();
    await untilHeard(a, before);
    await before.stop();
    const after = await start(names, { ordinal: 1, bootId: 2, isDirect: true, isInDns: false });
    after.run();
    await untilHeard(after, a);
    await untilHeard(a, after);
  });

  test('a direct address that leads nowhere does not keep the name from being tried', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    names.set('coord-1', '127.0.0.1:1');
    a.run();
    a.service.attach(a.links);
    await impostor(a.port, { address: '127.0.0.1:2', bootId: 1 }, b.introduce());
    names.set('coord-1', `127.0.0.1:${b.port}`);
    b.run();
    await untilHeard(a, b);
  });

  test('what a state was is told to peers of the same format, and whose stream closed is told too', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    const heard = new Inbox<readonly [NodeId, StateDigest | null]>();
    a.links.listenForDigests({
      onDigest: (from, digest) => heard.push([from, digest]),
      onPeerClosed: (peer) => heard.push([peer, null]),
    });
    a.run();
    b.run();
    await untilHeard(b, a);
    const told = { index: logIndex(1024), digest: '00ff'.repeat(4) };
    b.links.tellDigest(told);
    expect(await heard.next()).toEqual([b.node, told]);
    await b.stop();
    expect(await heard.next()).toEqual([b.node, null]);
    const peer = await impostor(a.port, { bootId: 2 }, b.introduce());
    await peer.frames.next();
    const wire = { index: 2048, digest: Buffer.alloc(8, 1), format: STATE_FORMAT };
    const odd = [{ ...wire, format: STATE_FORMAT + 1 }, { ...wire, digest: Buffer.alloc(4) }, wire];
    peer.outgoing.send({ hello: undefined, messages: [], digests: odd });
    const said = await heard.until(([, digest]) => digest !== null);
    expect(said).toEqual([b.node, { index: logIndex(2048), digest: '01'.repeat(8) }]);
    expect(heard.waiting.filter(([, digest]) => digest !== null)).toEqual([]);
  });

  test('what all peers know is what the oldest build among them knows', async () => {
    const [a, b] = await pair();
    // The third member has said nothing yet.
    expect(a.links.everyPeerKnows(STATE_FORMAT)).toBe(false);
    const third = { ...b.introduce(), from: nodeId(3), name: NAMES[2] ?? '' };
    const older = await impostor(a.port, { stateFormat: STATE_FORMAT - 1 }, third);
    await older.frames.next();
    expect(a.links.everyPeerKnows(STATE_FORMAT)).toBe(false);
    expect(a.links.everyPeerKnows(STATE_FORMAT - 1)).toBe(true);
    const newer = await impostor(a.port, { bootId: 2 }, third);
    await newer.frames.next();
    expect(a.links.everyPeerKnows(STATE_FORMAT)).toBe(true);
  });

  test('an older process of a node is refused once a newer one has spoken', async () => {
    const [a, b] = await pair();
    const newer = await impostor(a.port, { bootId: 5 }, b.introduce());
    await newer.frames.next();
    const older = await impostor(a.port, { bootId: 4 }, b.introduce());
    expect(await older.closed.next()).toMatchObject({ code: 'STALE_SESSION' });
  });

  test.each([
    ['of another cluster', { clusterId: 'd'.repeat(32) }, 'WRONG_CLUSTER'],
    ['without a cluster', { clusterId: '' }, 'WRONG_CLUSTER'],
    ['for another node', { to: 3 }, 'WRONG_NODE'],
    ['from no member', { from: 9 }, 'WRONG_NODE'],
    ['from this very node', { from: 1, name: 'coord-0' }, 'WRONG_NODE'],
    ['under another name', { name: 'coord-7' }, 'WRONG_NODE'],
    ['of a volume', { role: 'volume' }, 'WRONG_NODE'],
    ['of another protocol', { protocol: 2 }, 'PRECONDITION_FAILED'],
  ])('R28: a hello %s is refused and counted', async (_, change, code) => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    names.delete('coord-1');
    a.run();
    const peer = await impostor(a.port, change, b.introduce());
    expect(await peer.closed.next()).toMatchObject({ code });
    expect(await a.refusals.next()).toBe(code);
    expect(a.inbox.waiting).toEqual([]);
  });

  test('R28: a bad message closes its stream and never reaches the core', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    names.delete('coord-1');
    a.run();
    const peer = await impostor(a.port, {}, b.introduce());
    await peer.frames.next();
    const good = encodeMessage(reads(b, a, 1));
    for (const messages of [[good], [{ ...good, from: 3 }], [good]]) {
      peer.outgoing.send({ hello: undefined, messages, digests: [] });
    }
    expect(await peer.closed.next()).toMatchObject({ code: 'WRONG_NODE' });
    expect(await a.inbox.next()).toMatchObject({ message: { requestId: 1 } });
    expect(await a.inbox.next()).toEqual({ kind: 'closed', peer: b.node });
    expect(a.inbox.waiting).toEqual([]);
  });

  test('before this node runs, streams and pieces are refused and probes are answered', async () => {
    const names: Names = new Map();
    const a = await start(names, { ordinal: 0 });
    const b = await start(names, { ordinal: 1 });
    const peer = await impostor(a.port, {}, b.introduce());
    expect(await peer.closed.next()).toMatchObject({ code: 'NOT_READY' });
    const request = { hello: helloTo({ ...b.introduce(), clusterId: '' }, 0) };
    const reply = await callUnary(
      wire,
      RaftMethods.probe,
      { address: `127.0.0.1:${a.port}`, timeoutMs: 5000 },
      request,
    );
    expect(reply).toMatchObject({ state: 'member', term: 7, hello: { name: 'coord-0', from: 1 } });
    expect(reply.members).toHaveLength(3);
  });
});

describe('the view of the cluster', () => {
  test('comes from the member that is asked, and not from one that is away', async () => {
    const [a, b] = await pair();
    expect(await a.links.clusterView(b.node, 1000)).toBe('view within 750');
    await expect(a.links.clusterView(nodeId(3), 1000)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  test('is for members only', async () => {
    const [a] = await pair();
    const hello = { ...helloTo(a.introduce(), 1), clusterId: 'f'.repeat(32) };
    const asked = callUnary(
      wire,
      RaftMethods.clusterView,
      { address: `127.0.0.1:${a.port}`, timeoutMs: 1000 },
      { hello, timeoutMs: 100 },
    );
    await expect(asked).rejects.toMatchObject({ code: 'WRONG_CLUSTER' });
  });
});

describe('a snapshot piece', () => {
  const piece = (from: Node, to: Node, change: object = {}): SnapshotChunk => ({
    from: from.node,
    to: to.node,
    term: 3,
    point: { index: logIndex(9), term: term(2) },
    totalBytes: 10,
    fileCrc: 0xfedcba98,
    offset: 4,
    data: new Uint8Array([1, 2, 3]),
    ...change,
  });

  test('arrives whole and is answered with what the follower holds', async () => {
    const [a, b] = await pair();
    expect(await a.links.sendSnapshotChunk(piece(a, b))).toEqual({ heldBytes: 7, staged: false });
    const event = await b.inbox.until(({ kind }) => kind === 'chunk');
    expect(event).toMatchObject({ chunk: { from: a.node, to: b.node, fileCrc: 0xfedcba98 } });
  });

  test('to a peer that is away, or that refuses it, is UNAVAILABLE', async () => {
    const [a, b] = await pair();
    const unavailable = { code: 'UNAVAILABLE' };
    const beyond = a.links.sendSnapshotChunk(piece(a, b, { offset: 8 }));
    await expect(beyond).rejects.toMatchObject(unavailable);
    await b.stop();
    await a.inbox.until(({ kind }) => kind === 'closed');
    await a.inbox.until(({ kind }) => kind === 'closed');
    await expect(a.links.sendSnapshotChunk(piece(a, b))).rejects.toMatchObject(unavailable);
  });
});
