import { describe, expect, test } from '@jest/globals';
import { diskId, logIndex, NOBODY, nodeId, session } from '../common/ids.ts';
import type { CoordinatorFrame, Heartbeat, VolumeFrame } from '../rpc/generated/registry.ts';
import { helloTo } from '../rpc/hello.ts';
import type { StreamEvents } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { noMetrics } from '../testing/coordinator-world.ts';
import { FakeConsensus } from '../testing/fake-consensus.ts';
import { introductionOf } from '../testing/introductions.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryMetadata } from '../testing/memory-metadata.ts';
import { RegistryService } from './grpc/registry-service.ts';
import { VolumeRegistry } from './volume-registry.ts';

const self = introductionOf('coordinator', 1);

/** A volume at the far end of a registry stream. */
class Volume {
  readonly name: string;
  readonly frames: CoordinatorFrame[] = [];
  events: StreamEvents<VolumeFrame>;
  disk = 0;
  session = 0;

  constructor(service: RegistryService, name: string) {
    this.name = name;
    this.events = service.accept({
      send: (frame) => this.frames.push(frame) > 0,
      close: () => undefined,
      remote: 'far',
    });
  }

  send(body: VolumeFrame['body']): void {
    this.events.onMessage({ body });
  }

  hello(more: Record<string, unknown> = {}): void {
    const value = { ...helloTo(self, 0), role: 'volume', name: this.name, from: this.disk };
    this.send({ $case: 'hello', value: { ...value, ...more } });
  }

  register(boots: number, nonce = `${this.name}-${boots}`, clean = true): void {
    const value = {
      disk: this.disk,
      name: this.name,
      boots,
      nonce,
      clean,
      capacityBytes: 10,
    };
    this.send({ $case: 'register', value });
  }

  beat(more: Partial<Heartbeat> = {}): void {
    const value = {
      disk: this.disk,
      session: this.session,
      grpcAddress: `${this.name}:1`,
      httpAddress: `${this.name}:2`,
      copies: 0,
      usedBytes: 0,
      freeBytes: 10,
      capacityBytes: 10,
      acceptsWrites: true,
      version: '1',
      fsyncPolicy: 'always',
      damage: 0,
    };
    this.send({ $case: 'heartbeat', value: { ...value, ...more } });
  }

  last(kind: string): CoordinatorFrame['body'] {
    return this.frames.findLast(({ body }) => body?.$case === kind)?.body;
  }
}

function setUp() {
  const clock = new ManualClock();
  const metadata = new MemoryMetadata();
  const consensus = new FakeConsensus(clock, metadata);
  const logger = silentLogger;
  const registry = new VolumeRegistry({ clock, logger, metadata }, { leaveWaitMs: 600_000 });
  let hints = 0;
  const service = new RegistryService({
    clock,
    logger,
    consensus,
    metadata,
    registry,
    metrics: noMetrics,
    introduce: () => self,
    hintAdvance: () => {
      hints += 1;
    },
  });
  registry.start();
  service.start();
  /** A volume that is registered and heard. */
  const join = async (name: string, disk = 0, boots = 1): Promise<Volume> => {
    const volume = new Volume(service, name);
    volume.disk = disk;
    volume.hello();
    volume.register(boots);
    await clock.flush();
    const body = volume.last('registered');
    if (body?.$case !== 'registered') throw new Error('not registered');
    volume.disk = body.value.disk;
    volume.session = body.value.session;
    volume.beat();
    return volume;
  };
  return { clock, metadata, consensus, registry, service, join, hints: () => hints };
}

describe('registration', () => {
  test('is answered when applied here, with number, session and redirect key', async () => {
    const { consensus, metadata, service, clock } = setUp();
    const volume = new Volume(service, 'v1');
    volume.hello();
    consensus.mode = 'hold';
    volume.register(1);
    await clock.flush();
    expect(volume.last('registered')).toBeUndefined();
    consensus.release();
    expect(volume.last('registered')).toMatchObject({
      value: { disk: 1, session: metadata.appliedIndex, redirectKey: metadata.cluster.redirectKey },
    });
  });

  test('a number that no disk has is refused, and is not taken for another disk', async () => {
    const { clock, join, metadata, service } = setUp();
    const owner = await join('v1');
    const liar = new Volume(service, 'v1');
    liar.disk = owner.disk + 2 ** 32;
    liar.hello();
    expect(() => liar.register(2)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    await clock.flush();
    expect(metadata.disk(diskId(owner.disk))?.session).toBe(owner.session);
  });

  test('a retry with the same nonce gets the same session', async () => {
    const { clock, join } = setUp();
    const volume = await join('v1');
    volume.register(1);
    await clock.flush();
    expect(volume.last('registered')).toMatchObject({ value: { session: volume.session } });
  });

  test('where the leader has just gone it is refused for now', async () => {
    const { clock, consensus, service } = setUp();
    const volume = new Volume(service, 'v1');
    volume.hello();
    consensus.mode = 'refuse';
    volume.register(1);
    await clock.flush();
    expect(volume.last('refused')).toMatchObject({ value: { code: 'NO_LEADER' } });
  });

  test('without a leader it waits a second for one, and is refused for now', async () => {
    const { clock, consensus, service } = setUp();
    const volume = new Volume(service, 'v1');
    volume.hello();
    consensus.changeLeader(NOBODY);
    volume.register(1);
    await clock.advance(900);
    expect(volume.last('refused')).toBeUndefined();
    await clock.advance(200);
    expect(volume.last('refused')).toMatchObject({ value: { code: 'NO_LEADER' } });
    volume.register(1);
    await clock.advance(500);
    consensus.changeLeader(nodeId(1));
    await clock.flush();
    expect(volume.last('registered')).toMatchObject({ value: { disk: 1 } });
  });

  test('an unknown or gone disk, another name, or an older start is refused for good', async () => {
    const { clock, consensus, service, join } = setUp();
    await join('v1', 0, 3);
    await join('v2');
    consensus.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
    const refusals: unknown[] = [];
    for (const [disk, name, boots] of [
      [9, 'v9', 1],
      [2, 'v2', 2],
      [1, 'v2', 4],
      [1, 'v1', 2],
    ] as const) {
      const volume = new Volume(service, name);
      volume.disk = disk;
      volume.hello();
      volume.register(boots, 'another');
      await clock.flush();
      const body = volume.last('refused');
      refusals.push(body?.$case === 'refused' ? body.value.code : null);
    }
    expect(refusals).toEqual([
      'IDENTITY_MISMATCH',
      'IDENTITY_MISMATCH',
      'IDENTITY_MISMATCH',
      'STALE_SESSION',
    ]);
  });

  test('an older image learns which starts it does not know, unless one of them runs', async () => {
    const { clock, service, join } = setUp();
    const running = await join('v1', 0, 7);
    const image = new Volume(service, 'v1');
    image.disk = running.disk;
    image.hello();
    image.register(3, 'image');
    await clock.flush();
    const refused = { code: 'STALE_SESSION', laterBoots: 0 };
    expect(image.last('refused')).toMatchObject({ value: refused });
    running.events.onClosed(new Error('gone'));
    image.register(3, 'image');
    await clock.flush();
    expect(image.last('refused')).toMatchObject({ value: { ...refused, laterBoots: 7 } });
    image.register(8, 'image', false);
    await clock.flush();
    expect(image.last('registered')).toMatchObject({ value: { disk: 1, reconcile: true } });
  });

  test('an unclean start is told to ask about its copies, until the disk is reconciled', async () => {
    const { clock, consensus, join } = setUp();
    const volume = await join('v1');
    expect(volume.last('registered')).toMatchObject({ value: { reconcile: false } });
    volume.register(2, 'crashed', false);
    await clock.flush();
    const body = volume.last('registered');
    expect(body).toMatchObject({ value: { reconcile: true } });
    const now = session(body?.$case === 'registered' ? body.value.session : 0);
    consensus.apply({ kind: 'reconciled', disk: diskId(1), session: now });
    volume.register(2, 'crashed', false);
    await clock.flush();
    expect(volume.last('registered')).toMatchObject({ value: { session: now, reconcile: false } });
  });

  test('a stream of another cluster, or one without hello, is closed', () => {
    const { service } = setUp();
    const volume = new Volume(service, 'v1');
    expect(() => volume.beat()).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(() => volume.hello({ clusterId: 'd'.repeat(32) })).toThrow(
      expect.objectContaining({ code: 'WRONG_CLUSTER' }),
    );
    expect(() => volume.hello({ to: 2 })).toThrow(expect.objectContaining({ code: 'WRONG_NODE' }));
  });

  test('a wiped folder under an old name gets a new number, and the old disk stays listed', async () => {
    const { clock, metadata, registry, service, join } = setUp();
    const old = await join('v1');
    old.events.onClosed(new Error('gone'));
    const wiped = new Volume(service, 'v1');
    wiped.hello();
    wiped.register(1, 'a fresh nonce');
    await clock.flush();
    expect(wiped.last('registered')).toMatchObject({ value: { disk: 2 } });
    expect(metadata.disks().map(({ disk }) => disk)).toEqual([1, 2]);
    expect(registry.find(diskId(1))).toBeUndefined();
  });
});

describe('who is live', () => {
  test('a volume is, until five seconds of silence', async () => {
    const { clock, registry, join } = setUp();
    const volume = await join('v1');
    expect(registry.live().map(({ name }) => name)).toEqual(['v1']);
    await clock.advance(4000);
    volume.beat();
    await clock.advance(4000);
    expect(registry.live()).toHaveLength(1);
    expect(registry.live()[0]?.heardAtMs).toBe(clock.monotonicMs() - 4000);
    await clock.advance(1600);
    expect(registry.live()).toHaveLength(0);
  });

  test('a closed stream ends that at once; a later stream of the same disk is not harmed', async () => {
    const { registry, service, join } = setUp();
    const first = await join('v1');
    const second = new Volume(service, 'v1');
    second.disk = first.disk;
    second.session = first.session;
    second.hello();
    second.beat();
    first.events.onClosed(new Error('gone'));
    expect(registry.live()).toHaveLength(1);
    second.events.onClosed(new Error('gone'));
    expect(registry.live()).toHaveLength(0);
  });

  test('a suspected one is marked until it is heard again', async () => {
    const { registry, join } = setUp();
    const volume = await join('v1');
    registry.suspect(diskId(1));
    expect(registry.find(diskId(1))?.suspected).toBe(true);
    volume.beat();
    expect(registry.find(diskId(1))?.suspected).toBe(false);
  });

  test('a leaving one is awaited as long as the settings say, or until a new session of it comes', async () => {
    const { clock, registry, join } = setUp();
    const volume = await join('v1');
    volume.send({ $case: 'leaving', value: { disk: 1 } });
    expect(registry.find(diskId(1))?.leaving).toBe(true);
    volume.beat();
    expect(registry.find(diskId(1))?.leaving).toBe(true);
    volume.events.onClosed(new Error('gone'));
    await clock.advance(9 * 60_000);
    expect(registry.isAwaited(diskId(1))).toBe(true);
    await clock.advance(2 * 60_000);
    expect(registry.isAwaited(diskId(1))).toBe(false);
    const back = await join('v1', 1, 2);
    expect(registry.find(diskId(1))?.leaving).toBe(false);
    back.send({ $case: 'leaving', value: { disk: 1 } });
    expect(registry.isAwaited(diskId(1))).toBe(true);
    await join('v1', 1, 3);
    expect(registry.isAwaited(diskId(1))).toBe(false);
  });

  test('a new process of it brings its own address and boot with its hello', async () => {
    const { registry, service, join } = setUp();
    const before = await join('v1');
    let changes = 0;
    registry.onChange(() => {
      changes += 1;
    });
    // The old process has closed nothing: its machine lost the power.
    const back = new Volume(service, 'v1');
    back.disk = before.disk;
    back.hello({ address: '10.0.0.9:6001', bootId: 2 });
    back.register(2);
    await Promise.resolve();
    back.session = before.session;
    back.beat();
    expect(registry.find(diskId(before.disk))).toMatchObject({
      grpcAddress: 'v1:1',
      directAddress: '10.0.0.9:6001',
      bootId: 2,
    });
    expect(changes).toBe(1);
  });

  test('zones come from the replicated record', async () => {
    const { consensus, registry, join } = setUp();
    await join('v1');
    consensus.apply({ kind: 'set-disk', disk: diskId(1), state: null, zone: 'north' });
    expect(registry.find(diskId(1))?.zone).toBe('north');
  });

  test('everyone learns who is where, once a turn', async () => {
    const { clock, join } = setUp();
    const first = await join('v1');
    await clock.flush();
    const before = first.frames.length;
    const second = await join('v2');
    second.beat({ grpcAddress: 'elsewhere:1' });
    await clock.flush();
    expect(first.frames.length).toBe(before + 1);
    expect(first.last('roster')).toMatchObject({
      value: { volumes: [{ disk: 1 }, { disk: 2, grpcAddress: 'elsewhere:1' }] },
    });
  });
});

describe('an older session', () => {
  test('is told to stop when a newer one is applied, and is not live any more', async () => {
    const { registry, join } = setUp();
    const old = await join('v1');
    const fresh = await join('v1', 1, 2);
    expect(old.last('superseded')).toMatchObject({ value: { session: fresh.session } });
    old.beat();
    expect(registry.find(diskId(1))?.session).toBe(fresh.session);
  });

  test('is refused by a coordinator that has applied the newer one without hearing it', async () => {
    const { consensus, registry, join } = setUp();
    const old = await join('v1');
    registry.closed(old);
    const again = {
      kind: 'register',
      disk: diskId(1),
      volume: 'v1',
      boots: 2,
      nonce: 'n',
    } as const;
    const index = consensus.apply({ ...again, clean: true, zone: null, capacityBytes: 10 });
    const before = old.frames.length;
    old.beat();
    expect(old.frames.length).toBe(before + 1);
    expect(old.last('superseded')).toMatchObject({ value: { session: index } });
    expect(registry.live()).toHaveLength(0);
  });
});

describe('questions', () => {
  const COPY = Buffer.alloc(16, 1);
  const ask = (volume: Volume, birth: number): void => {
    const txnId = Buffer.alloc(16);
    txnId.writeUIntBE(birth, 0, 6);
    volume.send({
      $case: 'questions',
      value: { questions: [{ copyId: COPY, txnId, owner: Buffer.from('k') }] },
    });
  };

  test('are answered from the applied state; LATER asks for an advance', async () => {
    const { consensus, metadata, join, hints } = setUp();
    const volume = await join('v1');
    ask(volume, metadata.appliedIndex);
    expect(volume.last('answers')).toMatchObject({ value: { answers: [{ verdict: 3 }] } });
    expect(hints()).toBe(1);
    const fence = logIndex(metadata.appliedIndex + 1);
    consensus.apply({ kind: 'advance', fence, reclaim: fence, forget: logIndex(0), timeMs: 0 });
    ask(volume, fence - 1);
    expect(volume.last('answers')).toMatchObject({ value: { answers: [{ verdict: 2 }] } });
    expect(hints()).toBe(1);
  });

  test('about a copy whose owner cannot be read nothing is permitted', async () => {
    const { consensus, metadata, join } = setUp();
    const volume = await join('v1');
    const fence = metadata.appliedIndex;
    consensus.apply({ kind: 'advance', fence, reclaim: fence, forget: logIndex(0), timeMs: 0 });
    const unread = { copyId: COPY, txnId: Buffer.alloc(16), owner: Buffer.alloc(0) };
    volume.send({ $case: 'questions', value: { questions: [unread] } });
    expect(volume.last('answers')).toMatchObject({ value: { answers: [{ verdict: 3 }] } });
  });

  test('are not answered by a state that may be wrong: a DROP is for ever', async () => {
    const { metadata, join } = setUp();
    const volume = await join('v1');
    metadata.isTrusted = false;
    ask(volume, 0);
    expect(volume.last('answers')).toBeUndefined();
    metadata.isTrusted = true;
    ask(volume, 0);
    expect(volume.last('answers')).toBeDefined();
  });

  test('are not answered by a state older than the session', async () => {
    const { metadata, service } = setUp();
    const volume = new Volume(service, 'v1');
    volume.disk = 1;
    volume.session = metadata.appliedIndex + 1;
    volume.hello();
    ask(volume, 0);
    volume.beat();
    ask(volume, 0);
    expect(volume.last('answers')).toBeUndefined();
    expect(session(volume.session)).toBeGreaterThan(metadata.appliedIndex);
  });

  test('ids of another length close the stream', async () => {
    const { join } = setUp();
    const volume = await join('v1');
    const odd = { copyId: Buffer.alloc(3), txnId: Buffer.alloc(16), owner: Buffer.alloc(0) };
    expect(() => volume.send({ $case: 'questions', value: { questions: [odd] } })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});
