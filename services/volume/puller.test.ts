/** Copies made from another volume that the test plays, into a real engine on a disk in memory. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { type CopyId, copyId } from '../common/ids.ts';
import type { DataReplies, DataReply, DataRequests } from '../rpc/generated/volume.ts';
import type { StorageEngine } from '../storage/types.ts';
import { FarLink } from '../testing/far-link.ts';
import { outcomeOf, StorageRig, turns, type Value } from '../testing/storage-rig.ts';
import type { PullOrder } from './participant.ts';
import { VolumePuller } from './puller.ts';

const SOURCE_COPY = copyId('5'.repeat(32));
const LARGE_BYTES = 600 * 1024;

/** What the source does with a fetch. */
type Answer = (data: Uint8Array, offset: number) => DataReply['body'] | null;

const truly: Answer = (data) => ({
  $case: 'chunk',
  value: { data: Buffer.from(data), sizeBytes: LARGE_BYTES, crc: crc32(data) },
});
const failing =
  (code: string): Answer =>
  () => ({ $case: 'failure', value: { code, message: 'no' } });

class World {
  readonly rig: StorageRig;
  readonly engine: StorageEngine;
  readonly links: FarLink<DataRequests, DataReplies>[] = [];
  readonly fetched: { readonly copy: string; readonly offset: number; readonly length: number }[] =
    [];
  readonly puller: VolumePuller;
  /** The bytes that the source holds. */
  bytes: Uint8Array = new Uint8Array(0);
  answer: Answer = truly;
  isUp = true;

  private constructor(rig: StorageRig, engine: StorageEngine) {
    this.rig = rig;
    this.engine = engine;
    this.puller = new VolumePuller({
      clock: rig.clock,
      engine,
      hello: () => ({
        protocol: 1,
        clusterId: 'c'.repeat(32),
        role: 'volume',
        name: 'v1',
        from: 1,
        to: 0,
        bootId: 1,
        address: '',
        version: '1',
        httpAddress: '',
        stateFormat: 3,
      }),
      addressOf: (disk) => (disk === 2 ? 'v2:6001' : undefined),
      openLink: (options) => {
        const link = new FarLink(options);
        link.onSent = (message) => this.#answer(link, message);
        this.links.push(link);
        if (this.isUp) setImmediate(() => link.open());
        return link;
      },
    });
  }

  static async start(): Promise<World> {
    // Votes do not wait for a sync here: what is synced is the puller's doing.
    const rig = new StorageRig({ fsync: { kind: 'never' }, segmentBytes: 4 * 1024 * 1024 });
    return new World(rig, await rig.open());
  }

  /** An order for a value that the source holds. */
  order(
    bytes: number,
    change: Partial<PullOrder> = {},
  ): { readonly order: PullOrder; readonly value: Value } {
    const value = this.rig.value(bytes);
    this.bytes = value.data;
    return {
      value,
      order: { end: value.end, sourceDisk: 2, sourceCopyId: SOURCE_COPY, ...change },
    };
  }

  /** The code with which a pull ends; `done` where it does not fail. */
  async end(pull: Promise<void>): Promise<string> {
    return pull.then(
      () => 'done',
      (error: unknown) => (error instanceof KvError ? error.code : String(error)),
    );
  }

  /** Nothing of the copy is staged or open. */
  async isNothing(copy: CopyId): Promise<boolean> {
    const info = await this.engine.info(copy);
    return info === undefined || info.state === 'dropped';
  }

  #answer(link: FarLink<DataRequests, DataReplies>, { requests }: DataRequests): void {
    for (const { requestId, body } of requests) {
      if (body?.$case !== 'fetch') continue;
      const { copyId: id, offset, length } = body.value;
      this.fetched.push({ copy: Buffer.from(id).toString('hex'), offset, length });
      const reply = this.answer(this.bytes.subarray(offset, offset + length), offset);
      if (reply === null) continue;
      setImmediate(() => link.deliver({ hello: undefined, replies: [{ requestId, body: reply }] }));
    }
  }
}

describe('a pull', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.start();
  });

  test.each([0, 1, 256 * 1024, 256 * 1024 + 1, LARGE_BYTES])(
    'of %i bytes makes the same copy, durable whatever the policy',
    async (bytes) => {
      const { order, value } = world.order(bytes);
      expect(await world.end(world.puller.pull(order))).toBe('done');
      expect(await outcomeOf(world.engine, value)).toBe('found');
      expect((await world.engine.info(value.id))?.state).toBe('staged');
      expect(world.fetched.every(({ copy }) => copy === SOURCE_COPY)).toBe(true);
      expect(world.links.map(({ isClosed }) => isClosed)).toEqual([true]);
      world.rig.disk.crash();
      expect(await outcomeOf(await world.rig.open(), value)).toBe('found');
    },
  );

  test('says hello to the disk that it was sent to', async () => {
    const { order } = world.order(1);
    await world.puller.pull(order);
    expect(world.links[0]?.sent[0]).toMatchObject({
      hello: { role: 'volume', to: 2 },
      requests: [],
    });
    expect(world.links[0]?.options.address()).toBe('v2:6001');
  });

  test.each([1000, LARGE_BYTES])(
    'of %i bytes that are not those of the metadata stages nothing',
    async (bytes) => {
      const { order, value } = world.order(bytes);
      // Other bytes than the source once had, each piece with a checksum that fits.
      world.bytes = world.rig.random.bytes(bytes);
      expect(await world.end(world.puller.pull(order))).toBe('CHECKSUM_MISMATCH');
      expect(await world.isNothing(value.id)).toBe(true);
    },
  );

  test('with a piece that is damaged on its way, or short, is of a corrupt source', async () => {
    for (const spoil of [
      (data: Uint8Array) => ({ data: Buffer.from(data), crc: crc32(data) ^ 1 }),
      (data: Uint8Array) => ({ data: Buffer.from(data.subarray(1)), crc: crc32(data.subarray(1)) }),
    ]) {
      const { order, value } = world.order(LARGE_BYTES);
      world.answer = (data, offset) =>
        offset === 0
          ? truly(data, offset)
          : { $case: 'chunk', value: { ...spoil(data), sizeBytes: LARGE_BYTES } };
      expect(await world.end(world.puller.pull(order))).toBe('CORRUPT');
      expect(await world.isNothing(value.id)).toBe(true);
    }
  });

  test.each([
    ['NOT_FOUND', 'NOT_FOUND'],
    ['CORRUPT', 'CORRUPT'],
    ['no code of ours', 'UNAVAILABLE'],
  ])('tells what the source says: %s', async (said, expected) => {
    const { order, value } = world.order(LARGE_BYTES);
    world.answer = (data, offset) =>
      offset === 0 ? truly(data, offset) : failing(said)(data, offset);
    expect(await world.end(world.puller.pull(order))).toBe(expected);
    expect(await world.isNothing(value.id)).toBe(true);
    expect(world.links[0]?.isClosed).toBe(true);
  });

  test('from a disk that nobody knows, or that does not answer the dial, fails in time', async () => {
    expect(await world.end(world.puller.pull(world.order(1, { sourceDisk: 3 }).order))).toBe(
      'UNAVAILABLE',
    );
    world.isUp = false;
    const pull = world.end(world.puller.pull(world.order(1).order));
    await turns(2);
    await world.rig.clock.advance(2100);
    expect(await pull).toBe('UNAVAILABLE');
    expect(world.links[0]?.isClosed).toBe(true);
  });

  test('from a source that stalls, or breaks, drops what it had begun', async () => {
    for (const stop of [
      async (): Promise<void> => {
        await world.rig.clock.advance(5100);
      },
      async (): Promise<void> => {
        world.links.at(-1)?.break();
      },
    ]) {
      const { order, value } = world.order(LARGE_BYTES);
      world.answer = (data, offset) => (offset === 0 ? truly(data, offset) : null);
      const pull = world.end(world.puller.pull(order));
      await turns(20);
      expect((await world.engine.info(value.id))?.state).toBe('open');
      await stop();
      expect(await pull).toBe('UNAVAILABLE');
      expect(await world.isNothing(value.id)).toBe(true);
    }
  });

  test('from a source that is lost between two pieces does not wait for the second', async () => {
    const { order } = world.order(LARGE_BYTES);
    let told = 0;
    world.answer = (data, offset) => {
      told += 1;
      // The link breaks right behind the first piece, while it is being written.
      setImmediate(() => setImmediate(() => world.links[0]?.break()));
      return truly(data, offset);
    };
    const stageChunk = world.engine.stageChunk.bind(world.engine);
    world.engine.stageChunk = async (chunk) => {
      await turns(5);
      await stageChunk(chunk);
    };
    // No time passes: nothing was waited for.
    expect(await world.end(world.puller.pull(order))).toBe('UNAVAILABLE');
    expect(told).toBe(1);
  });

  test('is one of four at once; the others wait their turn', async () => {
    world.answer = () => null;
    const pulls = Array.from({ length: 6 }, () =>
      world.end(world.puller.pull(world.order(10).order)),
    );
    await turns(10);
    expect(world.links).toHaveLength(4);
    world.links[0]?.break();
    await turns(10);
    expect(world.links).toHaveLength(5);
    await world.rig.clock.advance(6000);
    await turns(10);
    await world.rig.clock.advance(6000);
    await Promise.all(pulls);
    expect(world.links).toHaveLength(6);
  });
});
