/** A volume's standing with the coordinators that the test plays: sessions, retries, refusals, loss. */
import { describe, expect, test } from '@jest/globals';
import { clusterId, copyId, diskId } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import type { CoordinatorFrame, VolumeFrame } from '../rpc/generated/registry.ts';
import type { CopyInfo } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { FarLink } from '../testing/far-link.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { TXN } from '../testing/storage-rig.ts';
import { Registration, type VolumeIdentity } from './registration.ts';

const CLUSTER = clusterId('c'.repeat(32));
const OTHER = 'd'.repeat(32);
const COPY = copyId('1'.repeat(32));
/** What each kind of frame says. */
type Said = {
  readonly [Body in NonNullable<VolumeFrame['body']> as Body['$case']]: Body['value'];
};

const NEW: VolumeIdentity = {
  name: 'v1',
  clusterId: null,
  disk: diskId(0),
  boots: 1,
  nonce: 'ab'.repeat(16),
  cleanStop: true,
};
const KNOWN: VolumeIdentity = { ...NEW, clusterId: CLUSTER, disk: diskId(4), boots: 7 };

class World {
  readonly clock = new ManualClock();
  readonly links = new Map<string, FarLink<VolumeFrame, CoordinatorFrame>>();
  readonly remembered: [string, number][] = [];
  readonly fatal: { readonly code?: string; readonly message: string }[] = [];
  readonly answers: [string, string][] = [];
  reconciles = 0;
  losses = 0;
  copies = 0;
  /** How long the folder takes to keep what it is told. */
  saving: Promise<void> = Promise.resolve();
  readonly registration: Registration;

  constructor(identity: VolumeIdentity = KNOWN) {
    let boots = identity.boots;
    this.registration = new Registration(
      {
        clock: this.clock,
        random: seededRandom(3),
        logger: silentLogger,
        remember: async (cluster, disk) => {
          await this.saving;
          this.remembered.push([cluster, disk]);
        },
        vitals: () => ({
          grpcAddress: 'v1:6001',
          httpAddress: 'v1:6000',
          copies: this.copies,
          usedBytes: 0,
          freeBytes: 1,
          capacityBytes: 1,
          acceptsWrites: true,
          version: '1',
          fsyncPolicy: 'always',
          damage: 0,
        }),
        answered: (copy, verdict) => this.answers.push([copy, verdict]),
        reconcile: () => {
          this.reconciles += 1;
        },
        raiseBoots: async (later) => {
          await this.saving;
          boots = Math.max(boots, later) + 1;
          return boots;
        },
        openLink: (options) => {
          const link = new FarLink(options);
          this.links.set(options.address(), link);
          return link;
        },
        linkLost: () => {
          this.losses += 1;
        },
        onFatal: (error) => this.fatal.push(error),
      },
      {
        identity,
        version: '1',
        directAddress: '10.0.0.1:6001',
        httpAddress: 'v1:6000',
        zone: 'east',
        capacityBytes: 10,
        heartbeatMs: 1000,
      },
    );
  }

  /** Follows these coordinators and accepts the streams; each says hello. */
  async connect(...addresses: string[]): Promise<void> {
    this.registration.follow(new Set(addresses));
    for (const address of addresses) this.hello(address);
    await this.clock.flush();
  }

  link(address: string): FarLink<VolumeFrame, CoordinatorFrame> {
    const link = this.links.get(address);
    if (link === undefined) throw new Error(`no link to ${address}`);
    return link;
  }

  hello(address: string, cluster: string = CLUSTER): void {
    const link = this.link(address);
    if (!link.connected) link.open();
    const value = {
      protocol: 1,
      clusterId: cluster,
      role: 'coordinator',
      name: address,
      from: 1,
      to: 0,
      bootId: 1,
      address: '',
      version: '1',
      httpAddress: '',
      stateFormat: 3,
    };
    link.deliver({ body: { $case: 'hello', value } });
  }

  async registered(
    address: string,
    change: { disk?: number; session?: number; clusterId?: string; reconcile?: boolean } = {},
  ): Promise<void> {
    const value = {
      disk: 4,
      session: 20,
      clusterId: CLUSTER as string,
      redirectKey: 'ff',
      reconcile: false,
    };
    this.link(address).deliver({ body: { $case: 'registered', value: { ...value, ...change } } });
    await this.clock.flush();
  }

  async refused(address: string, code: string, laterBoots = 0): Promise<void> {
    const value = { code, message: 'no', laterBoots };
    this.link(address).deliver({ body: { $case: 'refused', value } });
    await this.clock.flush();
  }

  /** Bodies of one kind that the volume has sent on its present stream to a coordinator. */
  sent<Kind extends keyof Said>(address: string, kind: Kind): readonly Said[Kind][] {
    return this.link(address).sent.flatMap(({ body }) =>
      body?.$case === kind ? [body.value as Said[Kind]] : [],
    );
  }

  /** Registers sent on all streams. */
  get registers() {
    return [...this.links.keys()].flatMap((address) => this.sent(address, 'register'));
  }
}

const info = (id: string): CopyInfo => ({
  copyId: copyId(id.repeat(32)),
  state: 'staged',
  txnId: TXN,
  owner: new Uint8Array([107]),
  sizeBytes: 1,
  sound: true,
  refused: false,
  stagedForMs: 0,
});

describe('a registration', () => {
  test('says hello first, then who it is; a session begins with the answer, and heartbeats', async () => {
    const world = new World();
    await world.connect('a:1');
    expect(world.link('a:1').sent.map(({ body }) => body?.$case)).toEqual(['hello', 'register']);
    expect(world.sent('a:1', 'hello')[0]).toMatchObject({ clusterId: CLUSTER, from: 4, bootId: 7 });
    expect(world.registers).toEqual([
      {
        disk: 4,
        name: 'v1',
        boots: 7,
        nonce: KNOWN.nonce,
        clean: true,
        zone: 'east',
        capacityBytes: 10,
      },
    ]);
    expect(world.registration.session).toBe(0);
    await world.registered('a:1');
    expect(world.registration.session).toBe(20);
    expect(world.registration.redirectKey).toBe('ff');
    await world.clock.advance(2500);
    expect(world.sent('a:1', 'heartbeat')).toHaveLength(3);
    expect(world.sent('a:1', 'heartbeat')[0]).toMatchObject({ disk: 4, session: 20 });
    expect(world.fatal).toEqual([]);
  });

  test('asks one coordinator at a time; without an answer another one, with the same nonce', async () => {
    const world = new World();
    await world.connect('a:1', 'b:1');
    expect(world.registers).toHaveLength(1);
    await world.clock.advance(10_000);
    expect(world.registers.length).toBeGreaterThan(3);
    expect(world.registers.length).toBeLessThan(8);
    expect(new Set(world.registers.map(({ nonce }) => nonce)).size).toBe(1);
    expect(world.sent('a:1', 'register').length).toBeGreaterThan(0);
    expect(world.sent('b:1', 'register').length).toBeGreaterThan(0);
  });

  test('a second answer to a retry changes nothing', async () => {
    const world = new World();
    await world.connect('a:1', 'b:1');
    await world.registered('a:1', { session: 20 });
    await world.registered('b:1', { session: 20, reconcile: true });
    expect([world.registration.session, world.reconciles]).toEqual([20, 0]);
    await world.clock.advance(10_000);
    expect(world.registers).toHaveLength(1);
    // One heart beats, not two.
    expect(world.sent('a:1', 'heartbeat')).toHaveLength(11);
  });

  test('a folder keeps its first number before anything rests on it', async () => {
    const world = new World(NEW);
    const saved = Promise.withResolvers<void>();
    world.saving = saved.promise;
    await world.connect('a:1', 'b:1');
    await world.registered('a:1', { disk: 9 });
    await world.registered('b:1', { disk: 9 });
    expect([world.registration.disk, world.registration.session]).toEqual([0, 0]);
    saved.resolve();
    await world.clock.flush();
    expect(world.remembered).toEqual([[CLUSTER, 9]]);
    expect([world.registration.disk, world.registration.session]).toEqual([9, 20]);
  });

  test('a number that cannot be kept ends the process', async () => {
    const world = new World(NEW);
    world.saving = Promise.reject(new Error('disk full'));
    await world.connect('a:1');
    await world.registered('a:1', { disk: 9 });
    expect(world.fatal).toMatchObject([{ message: 'disk full' }]);
    expect(world.registration.session).toBe(0);
  });

  test.each([
    ['another cluster', { clusterId: OTHER }],
    ['another disk', { disk: 5 }],
  ])('an answer for %s ends the process', async (_, change) => {
    const world = new World();
    await world.connect('a:1');
    await world.registered('a:1', change);
    expect(world.fatal).toMatchObject([{ code: 'IDENTITY_MISMATCH' }]);
    expect(world.registration.session).toBe(0);
  });

  test('the cluster may ask for a reconcile', async () => {
    const world = new World({ ...KNOWN, cleanStop: false });
    await world.connect('a:1');
    expect(world.registers[0]?.clean).toBe(false);
    await world.registered('a:1', { reconcile: true });
    expect(world.reconciles).toBe(1);
  });

  test('a coordinator of another cluster gets no word', async () => {
    const world = new World();
    world.registration.follow(new Set(['a:1']));
    world.hello('a:1', OTHER);
    expect(world.link('a:1').connected).toBe(false);
    expect(world.registers).toEqual([]);
    expect(world.fatal).toEqual([]);
  });
});

describe('a refusal', () => {
  test.each(['NO_LEADER', 'NOT_READY'])('%s is tried again after a short while', async (code) => {
    const world = new World();
    await world.connect('a:1');
    await world.refused('a:1', code);
    expect(world.registers).toHaveLength(1);
    await world.clock.advance(1100);
    expect(world.registers.length).toBeGreaterThanOrEqual(2);
    expect(world.fatal).toEqual([]);
  });

  test.each(['IDENTITY_MISMATCH', 'WRONG_CLUSTER', 'STALE_SESSION'])(
    '%s is final',
    async (code) => {
      const world = new World();
      await world.connect('a:1');
      await world.refused('a:1', code);
      expect(world.fatal).toMatchObject([{ code: 'IDENTITY_MISMATCH' }]);
    },
  );

  test('that comes late, when a session has begun, is nothing', async () => {
    const world = new World();
    await world.connect('a:1', 'b:1');
    await world.registered('a:1');
    await world.refused('b:1', 'STALE_SESSION', 30);
    expect(world.fatal).toEqual([]);
    expect(world.registration.session).toBe(20);
  });
});

describe('an older image of the disk', () => {
  test('goes on behind the starts that it does not know, unclean, under the same nonce', async () => {
    const world = new World();
    await world.connect('a:1');
    const saved = Promise.withResolvers<void>();
    world.saving = saved.promise;
    await world.refused('a:1', 'STALE_SESSION', 30);
    await world.clock.advance(1000);
    // Nothing is said before the folder has it.
    expect(world.registers).toHaveLength(1);
    saved.resolve();
    await world.clock.advance(1100);
    expect(world.registers[1]).toEqual({ ...world.registers[0], boots: 31, clean: false });
    expect(world.registration.hello().bootId).toBe(31);
    await world.registered('a:1', { reconcile: true });
    expect([world.registration.session, world.reconciles]).toEqual([20, 1]);
    expect(world.fatal).toEqual([]);
  });

  test('an answer to what it said before changes nothing', async () => {
    const world = new World();
    await world.connect('a:1', 'b:1');
    await world.refused('a:1', 'STALE_SESSION', 30);
    await world.refused('b:1', 'STALE_SESSION', 30);
    await world.clock.advance(1100);
    expect(world.registers.at(-1)?.boots).toBe(31);
  });
});

describe('a session', () => {
  test('that is superseded ends the process; an older one is nothing', async () => {
    const world = new World();
    await world.connect('a:1');
    await world.registered('a:1');
    for (const newer of [19, 20]) {
      world.link('a:1').deliver({ body: { $case: 'superseded', value: { session: newer } } });
    }
    expect(world.fatal).toEqual([]);
    world.link('a:1').deliver({ body: { $case: 'superseded', value: { session: 21 } } });
    expect(world.fatal).toMatchObject([{ code: 'STALE_SESSION' }]);
  });

  test('is told at once to a coordinator that comes later or again', async () => {
    const world = new World();
    await world.connect('a:1');
    await world.registered('a:1');
    await world.connect('a:1', 'b:1');
    expect(world.link('b:1').sent.map(({ body }) => body?.$case)).toEqual(['hello', 'heartbeat']);
    world.link('a:1').break();
    world.hello('a:1');
    expect(world.link('a:1').sent.map(({ body }) => body?.$case)).toEqual(['hello', 'heartbeat']);
  });

  test('leaving is said to all, also to those who come later, while the heart beats on', async () => {
    const world = new World();
    await world.connect('a:1');
    await world.registered('a:1');
    world.registration.leave();
    expect(world.sent('a:1', 'leaving')).toEqual([{ disk: 4 }]);
    await world.connect('a:1', 'b:1');
    expect(world.sent('b:1', 'leaving')).toEqual([{ disk: 4 }]);
    const before = world.sent('a:1', 'heartbeat').length;
    await world.clock.advance(2100);
    expect(world.sent('a:1', 'heartbeat').length).toBe(before + 2);
  });

  test('one that leaves before it has a session asks for none', async () => {
    const world = new World();
    world.registration.leave();
    await world.connect('a:1');
    await world.clock.advance(10_000);
    expect(world.registers).toEqual([]);
  });

  test('stopped, it is silent and takes no answer', async () => {
    const world = new World();
    await world.connect('a:1');
    world.registration.stop();
    expect(world.link('a:1').isClosed).toBe(true);
    expect(world.losses).toBe(0);
    world.registration.follow(new Set(['b:1']));
    expect(world.links.has('b:1')).toBe(false);
    await world.clock.advance(10_000);
    expect(world.registers).toHaveLength(1);
  });
});

describe('links', () => {
  test('follow the addresses, and one that is lost makes the names looked up anew', async () => {
    const world = new World();
    await world.connect('a:1', 'b:1');
    expect(world.registration.isWhole).toBe(true);
    world.link('a:1').break();
    expect(world.losses).toBe(1);
    expect(world.registration.isWhole).toBe(false);
    await world.connect('b:1', 'c:1');
    expect(world.link('a:1').isClosed).toBe(true);
    expect(world.link('b:1').isClosed).toBe(false);
    expect(world.registration.isWhole).toBe(true);
  });

  test('the roster says where other disks are', async () => {
    const world = new World();
    await world.connect('a:1');
    const volumes = [{ disk: 2, name: 'v2', grpcAddress: 'v2:6001' }];
    world.link('a:1').deliver({ body: { $case: 'roster', value: { volumes } } });
    expect(world.registration.addressOf(2)).toBe('v2:6001');
    expect(world.registration.addressOf(3)).toBeUndefined();
  });
});

describe('questions', () => {
  test('wait for a session and a coordinator, and go round', async () => {
    const world = new World();
    expect(world.registration.ask([info('1')])).toBe(false);
    await world.connect('a:1', 'b:1');
    expect(world.registration.ask([info('1')])).toBe(false);
    await world.registered('a:1');
    for (const id of ['1', '2', '3', '4']) expect(world.registration.ask([info(id)])).toBe(true);
    expect(world.sent('a:1', 'questions')).toHaveLength(2);
    expect(world.sent('b:1', 'questions')).toHaveLength(2);
    // One whose stream is gone gets none of them, and without any there is nobody to ask.
    world.link('a:1').break();
    for (const id of ['1', '2', '3']) expect(world.registration.ask([info(id)])).toBe(true);
    expect(world.sent('b:1', 'questions')).toHaveLength(5);
    world.link('b:1').break();
    expect(world.registration.ask([info('1')])).toBe(false);
  });

  test('answers that are no verdict are left out', async () => {
    const world = new World();
    await world.connect('a:1');
    const answers = [0, 1, 2, 3, 4].map((verdict) => ({
      copyId: Buffer.from(COPY, 'hex'),
      verdict,
    }));
    world.link('a:1').deliver({ body: { $case: 'answers', value: { answers } } });
    expect(world.answers).toEqual([
      [COPY, 'KEEP'],
      [COPY, 'DROP'],
      [COPY, 'LATER'],
    ]);
  });

  test('an id of another length closes the stream and stops nothing', async () => {
    const world = new World();
    await world.connect('a:1');
    const answers = [{ copyId: Buffer.alloc(3), verdict: 2 }];
    expect(() =>
      world.link('a:1').deliver({ body: { $case: 'answers', value: { answers } } }),
    ).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(world.answers).toEqual([]);
  });
});
