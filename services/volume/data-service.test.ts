/** Data streams over the real engine on a disk in memory, with the far end played by the test. */
import { describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { bytesOfHex, diskId, session } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import {
  DataReplies,
  type DataReply,
  type DataRequest,
  DataRequests,
} from '../rpc/generated/volume.ts';
import { StreamEnd, type Wire } from '../rpc/stream-end.ts';
import { DATA_STREAM } from '../rpc/streams.ts';
import { type Parts, RPC_LIMITS, type StreamEvents } from '../rpc/types.ts';
import type { StorageEngine } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { StorageRig, turns, type Value } from '../testing/storage-rig.ts';
import { DataService } from './data-service.ts';
import { Unnamed } from './unnamed.ts';

type RequestBody = NonNullable<DataRequest['body']>;

const hello = (to: number) => ({
  protocol: 1,
  clusterId: 'c'.repeat(32),
  role: 'coordinator',
  name: 'c1',
  from: 1,
  to,
  bootId: 1,
  address: '',
  version: '1',
  httpAddress: '',
  stateFormat: 3,
});
const hex = (text: string): Buffer => Buffer.from(bytesOfHex(text));

/** The far end of one stream. */
class Peer {
  readonly sent: DataReplies[] = [];
  readonly closed: (KvError | undefined)[] = [];
  readonly events: StreamEvents<{
    hello: ReturnType<typeof hello> | undefined;
    requests: DataRequest[];
  }>;
  #nextId = 1;

  constructor(service: DataService) {
    this.events = service.accept({
      send: (message) => this.sent.push(message) > 0,
      close: (reason) => {
        this.closed.push(reason);
      },
      remote: 'far:1',
    });
  }

  greet(to = 4): void {
    this.events.onMessage({ hello: hello(to), requests: [] });
  }

  /** Sends requests in one message; answers their ids. */
  ask(...bodies: readonly RequestBody[]): readonly number[] {
    const requests = bodies.map((body) => {
      this.#nextId += 1;
      return { requestId: this.#nextId, body };
    });
    this.events.onMessage({ hello: undefined, requests });
    return requests.map(({ requestId }) => requestId);
  }

  get replies(): readonly DataReply[] {
    return this.sent.flatMap(({ replies }) => replies);
  }
}

/** A connection whose far end reads nothing until the test lets it. */
class StuckWire implements Wire {
  readonly remote = 'far:1';
  readonly replies: DataReply[] = [];
  queuedBytes = 0;
  isCut = false;
  #held: (() => void)[] = [];

  write(parts: Parts, byteCount: number, written: () => void): void {
    this.replies.push(...DataReplies.decode(Buffer.concat(parts)).replies);
    this.queuedBytes += byteCount;
    this.#held.push(() => {
      this.queuedBytes -= byteCount;
      written();
    });
  }

  finish(): void {
    this.isCut = true;
  }

  cut(): void {
    this.isCut = true;
  }

  /** The far end reads all that is queued now. */
  drain(): void {
    for (const written of this.#held.splice(0)) written();
  }
}

/** A stream over the wire's real bounds. */
function openStuck(rig: StorageRig, service: DataService) {
  const wire = new StuckWire();
  const end = new StreamEnd<DataReplies, DataRequests>(rig.clock, wire, {
    encode: DATA_STREAM.responseSerialize,
    decode: (bytes) => DataRequests.decode(bytes),
  });
  end.open(service.accept);
  const say = (message: DataRequests): void =>
    end.received(Buffer.from(DataRequests.encode(message).finish()));
  say({ hello: hello(4), requests: [] });
  let lastId = 0;
  const ask = (...bodies: readonly RequestBody[]): readonly number[] => {
    const requests = bodies.map((body, i) => ({ requestId: lastId + i + 1, body }));
    lastId += bodies.length;
    say({ hello: undefined, requests });
    return requests.map(({ requestId }) => requestId);
  };
  return { wire, end, ask };
}

/** How often the engine is asked to read from now on. */
function countReads(engine: StorageEngine): { readonly count: number } {
  const read = engine.read.bind(engine);
  const reads = { count: 0 };
  engine.read = (...args) => {
    reads.count += 1;
    return read(...args);
  };
  return reads;
}

async function serve() {
  const rig = new StorageRig();
  const engine = await rig.open();
  const service = new DataService({
    clock: rig.clock,
    logger: silentLogger,
    engine,
    puller: { pull: () => Promise.resolve() },
    unnamed: new Unnamed(engine),
    session: () => ({ disk: diskId(4), session: session(9), accepting: true }),
    hello: () => ({ ...hello(0), role: 'volume', name: 'v1', from: 4 }),
    checkHello: ({ to }) => (to === 4 ? null : new KvError('WRONG_NODE', 'meant for another disk')),
  });
  return { rig, engine, service };
}

const wholeValueOf = ({ end, data }: Value) => ({
  copyId: hex(end.copyId),
  txnId: hex(end.txnId),
  owner: end.owner,
  digest: hex(end.digest),
  data: Buffer.from(data),
});
const wholeOf = (value: Value): RequestBody => ({
  $case: 'stageWhole',
  value: wholeValueOf(value),
});
const failureOf = (code: string): unknown =>
  expect.objectContaining({ $case: 'failure', value: expect.objectContaining({ code }) });
const chunkOf = ({ id, data }: Value): RequestBody => ({
  $case: 'stageChunk',
  value: {
    copyId: hex(id),
    chunkNo: 0,
    offset: 0,
    data: Buffer.from(data),
    crc: crc32(data),
    declaredBytes: data.length,
  },
});
const endOf = ({ end }: Value): RequestBody => ({
  $case: 'stageEnd',
  value: {
    copyId: hex(end.copyId),
    txnId: hex(end.txnId),
    owner: end.owner,
    sizeBytes: end.sizeBytes,
    digest: hex(end.digest),
  },
});
const fetchOf = ({ id }: Value, length: number): RequestBody => ({
  $case: 'fetch',
  value: { copyId: hex(id), offset: 0, length },
});
const stateOf = async (engine: StorageEngine, { id }: Value): Promise<string | undefined> =>
  (await engine.info(id))?.state;

describe('a data stream', () => {
  test('begins with hello, both ways', async () => {
    const { rig, service, engine } = await serve();
    const rude = new Peer(service);
    const value = rig.value(10);
    rude.ask(wholeOf(value));
    await turns(5);
    expect(rude.closed).toMatchObject([{ code: 'INVALID_ARGUMENT' }]);
    expect(rude.sent).toEqual([]);
    expect(await engine.info(value.id)).toBeUndefined();
    const polite = new Peer(service);
    polite.greet();
    expect(polite.sent).toMatchObject([{ hello: { role: 'volume', from: 4 }, replies: [] }]);
  });

  test('for another disk is refused with its reason, and nothing behind it is carried out', async () => {
    const { rig, service, engine } = await serve();
    const peer = new Peer(service);
    peer.greet(5);
    const value = rig.value(10);
    peer.ask(wholeOf(value));
    await turns(5);
    expect(peer.closed).toMatchObject([{ code: 'WRONG_NODE' }]);
    expect(peer.sent).toEqual([]);
    expect(await engine.info(value.id)).toBeUndefined();
  });

  test('answers each request once, and those of one turn together', async () => {
    const { rig, service } = await serve();
    const peer = new Peer(service);
    peer.greet();
    const values = [rig.value(10), rig.value(20), rig.value(30)];
    const ids = peer.ask(...values.map(wholeOf));
    expect(service.unanswered).toBe(3);
    await turns(20);
    expect(peer.replies.map(({ requestId }) => requestId).sort()).toEqual([...ids].sort());
    expect(peer.replies.map(({ body }) => body?.$case)).toEqual(['vote', 'vote', 'vote']);
    // The hello, and one message for the group that one sync made durable.
    expect(peer.sent).toHaveLength(2);
    expect(service.unanswered).toBe(0);
  });

  test('answers values of one message each for itself, and what else is in it', async () => {
    const { rig, service, engine } = await serve();
    const peer = new Peer(service);
    peer.greet();
    const [good, bad, known] = [rig.value(10), rig.value(20), await rig.whole(engine, 30)];
    const settle = { action: 1, copyIds: [hex(known.id)] };
    const ids = peer.ask(
      wholeOf(good),
      { $case: 'settle', value: settle },
      wholeOf({ ...bad, data: good.data }),
      { $case: 'stageWhole', value: { ...wholeValueOf(good), copyId: Buffer.alloc(3) } },
    );
    await turns(20);
    const said = new Map(peer.replies.map(({ requestId, body }) => [requestId, body]));
    expect(ids.map((id) => said.get(id))).toEqual([
      { $case: 'vote', value: { disk: 4, session: 9 } },
      { $case: 'settled', value: { results: [0] } },
      failureOf('CHECKSUM_MISMATCH'),
      failureOf('INVALID_ARGUMENT'),
    ]);
    expect(await stateOf(engine, known)).toBe('committed');
    expect(service.unanswered).toBe(0);
  });

  test('splits what it reads into messages that the wire takes', async () => {
    const { rig, service, engine } = await serve();
    const peer = new Peer(service);
    peer.greet();
    const large = await rig.whole(engine, 1000 * 1024);
    peer.ask(...Array.from({ length: 8 }, () => fetchOf(large, 1000 * 1024)));
    await turns(40);
    expect(peer.replies).toHaveLength(8);
    for (const { replies } of peer.sent) {
      const bytes = replies.reduce(
        (sum, { body }) => sum + (body?.$case === 'chunk' ? body.value.data.length : 0),
        0,
      );
      expect(bytes).toBeLessThan(RPC_LIMITS.messageBytesMax);
    }
  });

  test('that breaks drops the copies that it had begun, and keeps those that had ended', async () => {
    const { rig, service, engine } = await serve();
    const [begun, ended, other] = [rig.value(100), rig.value(100), rig.value(100)];
    const peer = new Peer(service);
    const neighbour = new Peer(service);
    peer.greet();
    neighbour.greet();
    peer.ask(chunkOf(begun), chunkOf(ended));
    neighbour.ask(chunkOf(other));
    await turns(10);
    peer.ask(endOf(ended));
    await turns(10);
    expect(service.openCopies).toBe(2);
    peer.events.onClosed(new Error('reset'));
    await turns(10);
    expect(await stateOf(engine, begun)).toBe('dropped');
    expect(await stateOf(engine, ended)).toBe('staged');
    expect(await stateOf(engine, other)).toBe('open');
    expect(service.openCopies).toBe(1);
  });

  test('that breaks while a chunk is being written drops that copy too', async () => {
    const { rig, service, engine } = await serve();
    const peer = new Peer(service);
    peer.greet();
    const value = rig.value(100);
    peer.ask(chunkOf(value));
    peer.events.onClosed(new Error('reset'));
    await turns(20);
    expect(await stateOf(engine, value)).toBe('dropped');
    expect(peer.replies).toEqual([]);
    expect([service.openCopies, service.unanswered]).toEqual([0, 0]);
  });

  test('is ended when its peer sends more than it could ever wait for', async () => {
    const { rig, service, engine } = await serve();
    const peer = new Peer(service);
    peer.greet();
    const value = await rig.whole(engine, 10);
    peer.ask(...Array.from({ length: 16_384 }, () => fetchOf(value, 10)));
    expect(peer.closed).toEqual([]);
    peer.ask(fetchOf(value, 10));
    expect(peer.closed).toMatchObject([{ code: 'OVERLOADED' }]);
    peer.events.onClosed(new Error('ended'));
    await turns(50);
    expect(service.unanswered).toBe(0);
  });
});

describe('a data stream whose peer does not read', () => {
  const CHUNK_BYTES = RPC_LIMITS.chunkBytesMax;
  /** More than the wire would hold before it cuts the peer off. */
  const FETCHES = 300;
  /** What the wire takes before it asks for a pause, and what is under way by then. */
  const QUEUED_MAX = 20 * MIB;

  async function stuck(turnCount = 100) {
    const { rig, engine, service } = await serve();
    const value = await rig.whole(engine, CHUNK_BYTES);
    const reads = countReads(engine);
    const stream = openStuck(rig, service);
    const ids = stream.ask(...Array.from({ length: FETCHES }, () => fetchOf(value, CHUNK_BYTES)));
    await turns(turnCount);
    return { rig, service, ids, reads, ...stream };
  }

  test('is sent a bounded part of what it asked for, and all once it reads, in order', async () => {
    const { service, wire, ids } = await stuck();
    let queuedMax = 0;
    for (let i = 0; i < FETCHES && wire.replies.length < FETCHES; i += 1) {
      queuedMax = Math.max(queuedMax, wire.queuedBytes);
      wire.drain();
      await turns(20);
    }
    expect(wire.isCut).toBe(false);
    expect(queuedMax).toBeGreaterThan(RPC_LIMITS.queuedBytesHigh);
    expect(queuedMax).toBeLessThan(QUEUED_MAX);
    expect(wire.replies.map(({ requestId }) => requestId)).toEqual(ids);
    expect(wire.replies.every(({ body }) => body?.$case === 'chunk')).toBe(true);
    expect(service.unanswered).toBe(0);
  });

  test('is answered meanwhile what it stages and settles', async () => {
    const { rig, service, wire, ask } = await stuck();
    const [first] = ask(wholeOf(rig.value(10)));
    await turns(20);
    const chunked = rig.value(100);
    const [written] = ask(chunkOf(chunked));
    await turns(20);
    const [voted] = ask(endOf(chunked));
    await turns(20);
    const [settled] = ask({ $case: 'settle', value: { action: 1, copyIds: [hex(chunked.id)] } });
    await turns(20);
    const said = new Map(wire.replies.map(({ requestId, body }) => [requestId, body?.$case]));
    expect([first, written, voted, settled].map((id) => said.get(id ?? 0))).toEqual([
      'vote',
      'written',
      'vote',
      'settled',
    ]);
    expect(wire.isCut).toBe(false);
    expect(service.unanswered).toBeGreaterThan(FETCHES / 2);
  });

  test('that breaks reads nothing more for it', async () => {
    const { service, end, reads } = await stuck(0);
    const before = reads.count;
    expect(before).toBeGreaterThan(0);
    expect(before * CHUNK_BYTES).toBeLessThan(QUEUED_MAX);
    end.closed(new KvError('UNAVAILABLE', 'reset'));
    await turns(50);
    expect(reads.count).toBe(before);
    expect(service.unanswered).toBe(0);
  });

  test('a fetch of more than is ever admitted is refused, and holds nothing up', async () => {
    const { rig, engine, service } = await serve();
    const value = await rig.whole(engine, 10);
    const { wire, ask } = openStuck(rig, service);
    const ids = ask(fetchOf(value, 2 ** 32 - 1), fetchOf(value, 10));
    await turns(20);
    const said = new Map(wire.replies.map(({ requestId, body }) => [requestId, body]));
    expect(ids.map((id) => said.get(id))).toMatchObject([
      failureOf('INVALID_ARGUMENT'),
      { $case: 'chunk' },
    ]);
  });
});
