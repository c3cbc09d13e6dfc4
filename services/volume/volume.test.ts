/** A whole volume over real sockets and a disk in memory, with a coordinator that the test plays. */
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { volumeStatusSchema } from '../api/admin.ts';
import { crc32 } from '../common/checksum.ts';
import { systemClock } from '../common/clock.ts';
import { digestOf } from '../common/digest.ts';
import { seededRandom } from '../common/random.ts';
import type { VolumeOptions } from '../config/options.ts';
import { loadVolumeOptions } from '../config/volume.ts';
import type { Disk } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import {
  type DataReplies,
  type DataReply,
  type DataRequest,
  type DataRequests,
} from '../rpc/generated/volume.ts';
import { helloTo } from '../rpc/hello.ts';
import { openLink } from '../rpc/link.ts';
import { DATA_STREAM } from '../rpc/streams.ts';
import { tcpNetwork } from '../rpc/tcp-network.ts';
import type { Outgoing } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { FakeCoordinator } from '../testing/fake-coordinator.ts';
import { freeAddress } from '../testing/free-port.ts';
import { GatedDisk } from '../testing/gated-disk.ts';
import { Inbox } from '../testing/inbox.ts';
import { startVolumeHttp } from './http/server.ts';
import { Volume } from './volume.ts';

const cleanups: (() => unknown)[] = [];
let coordinator: FakeCoordinator;

beforeEach(async () => {
  coordinator = await FakeCoordinator.start();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await coordinator.stop();
});

interface Made {
  readonly volume: Volume;
  readonly options: VolumeOptions;
  readonly url: string;
}

async function make(
  disk: Disk,
  flags: readonly string[] = [],
  coordinators = `127.0.0.1:${coordinator.port}`,
): Promise<Made> {
  const [http, grpc] = [await freeAddress(), await freeAddress()];
  const argv = ['--id', 'v1', '--data', '/data', '--bind', http, '--grpc', grpc, '--reserve', '0'];
  const { options } = await loadVolumeOptions(
    [...argv, '--coordinators', coordinators, '--heartbeat-ms', '50', ...flags],
    {},
    () => Promise.reject(new Error('no file')),
  );
  const volume = new Volume(
    {
      disk,
      clock: systemClock,
      random: seededRandom(5),
      network: tcpNetwork,
      startHttp: startVolumeHttp,
      logger: silentLogger,
      metrics: createMetrics(),
      onFatal: (error) => {
        throw error;
      },
    },
    { options, pendingRestart: () => ['zone'] },
  );
  // After a power cut it cannot end in good order.
  cleanups.push(() => volume.stop().catch(() => undefined));
  return { volume, options, url: `http://${http}` };
}

interface Seen {
  readonly status: number;
  readonly body: unknown;
}

async function see(url: string): Promise<Seen> {
  const answer = await fetch(url);
  return { status: answer.status, body: await answer.json() };
}

/** A data stream to the volume, as a coordinator opens one. */
async function dataStream({ options }: Made) {
  const replies = new Inbox<DataReply>();
  const { promise, resolve } = Promise.withResolvers<Outgoing<DataRequests>>();
  const link = openLink<DataRequests, DataReplies>(
    { clock: systemClock, random: seededRandom(2), logger: silentLogger, network: tcpNetwork },
    {
      method: DATA_STREAM,
      address: () => options.grpcBind,
      onOpen: (outgoing) => {
        outgoing.send({ hello: helloTo(coordinator.introduction, 0), requests: [] });
        resolve(outgoing);
        return {
          onMessage: (message) => {
            for (const reply of message.replies) replies.push(reply);
          },
          onClosed: () => undefined,
        };
      },
    },
  );
  cleanups.push(() => link.close());
  const outgoing = await promise;
  let requestId = 0;
  return async (body: NonNullable<DataRequest['body']>): Promise<DataReply['body']> => {
    requestId += 1;
    outgoing.send({ hello: undefined, requests: [{ requestId, body }] });
    return (await replies.next()).body;
  };
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 10_000;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const DATA = Buffer.from('sixteen bytes ok');
const id = (digit: number): Buffer => Buffer.alloc(16, digit);
const chunk = (copy: number) =>
  ({
    $case: 'stageChunk',
    value: {
      copyId: id(copy),
      chunkNo: 0,
      offset: 0,
      data: DATA,
      crc: crc32(DATA),
      declaredBytes: DATA.length,
    },
  }) as const;
const end = (copy: number) =>
  ({
    $case: 'stageEnd',
    value: {
      copyId: id(copy),
      txnId: id(9),
      owner: Buffer.from('k'),
      sizeBytes: DATA.length,
      digest: Buffer.from(digestOf(DATA), 'hex'),
    },
  }) as const;

const LARGE = Buffer.alloc(25 * 1024, 'x');
const whole = (copy: number) =>
  ({
    $case: 'stageWhole',
    value: {
      copyId: id(copy),
      txnId: id(9),
      owner: Buffer.from('k'),
      digest: Buffer.from(digestOf(LARGE), 'hex'),
      data: LARGE,
    },
  }) as const;

describe('changed settings', () => {
  test('another compaction rate holds for the run under way', async () => {
    const memory = new MemoryDisk();
    const flags = ['--segment-bytes', '64KiB'];
    const first = await make(memory, flags);
    await first.volume.start();
    await coordinator.next('heartbeat');
    const ask = await dataStream(first);
    for (const copy of [1, 2, 3]) expect((await ask(whole(copy)))?.$case).toBe('vote');
    const drop = { $case: 'settle' as const, value: { action: 3, copyIds: [id(1)] } };
    expect((await ask(drop))?.$case).toBe('settled');
    await first.volume.stop();
    const segments = (): Promise<readonly string[]> => memory.list('/data/segments');
    const [sealed = ''] = await segments();
    const second = await make(memory, [...flags, '--compaction-rate', '1KiB']);
    coordinator.session = 6;
    await second.volume.start();
    const isUnderWay = async (): Promise<boolean> =>
      (await segments()).some((name) => name.endsWith('.new'));
    await until('compaction is under way', isUnderWay);
    expect(await segments()).toContain(sealed);
    second.volume.reload({ compactionBytesPerSecond: 2 ** 30 });
    await until('the old segment has gone', async () => !(await segments()).includes(sealed));
  });
});

describe('while it recovers', () => {
  test('it lives, tells its status, and is not ready; then it registers and serves', async () => {
    const disk = new GatedDisk(new MemoryDisk(), 'wal');
    const made = await make(disk);
    const starting = made.volume.start();
    await disk.reached;
    expect((await see(`${made.url}/health/live`)).status).toBe(200);
    expect(await see(`${made.url}/health/ready`)).toEqual({
      status: 503,
      body: { ready: false, reason: 'recovering' },
    });
    const { body } = await see(`${made.url}/admin/status`);
    expect(volumeStatusSchema.parse(body)).toMatchObject({
      state: 'unformatted',
      disk: 0,
      pendingRestart: ['zone'],
    });
    disk.openGate();
    await starting;
    await coordinator.next('heartbeat');
    expect((await see(`${made.url}/health/ready`)).status).toBe(200);
    expect((await see(`${made.url}/admin/status`)).body).toMatchObject({
      state: 'serving',
      session: 5,
    });
  });

  test('a stop ends it at once, without a session and without the mark of a clean stop', async () => {
    const memory = new MemoryDisk();
    const first = await make(memory);
    await first.volume.start();
    await coordinator.next('heartbeat');
    memory.crash();
    const gated = new GatedDisk(memory, 'wal');
    const second = await make(gated);
    const starting = second.volume.start();
    await gated.reached;
    await second.volume.stop();
    gated.openGate();
    await starting;
    const third = await make(memory);
    coordinator.session = 6;
    await third.volume.start();
    const { value } = await coordinator.next('register');
    expect(value).toMatchObject({ boots: 3, clean: false });
  });
});

describe('a stop', () => {
  test('lets open stagings end, begins none, and is heard until the end', async () => {
    const memory = new MemoryDisk();
    const made = await make(memory);
    await made.volume.start();
    await coordinator.next('heartbeat');
    const ask = await dataStream(made);
    expect((await ask(chunk(1)))?.$case).toBe('written');
    const stopping = made.volume.stop();
    await coordinator.next('leaving');
    // A volume that falls silent is taken for dead, and its streams are cut.
    expect((await coordinator.next('heartbeat')).value.acceptsWrites).toBe(false);
    expect((await see(`${made.url}/health/ready`)).body).toMatchObject({ reason: 'stopping' });
    expect((await see(`${made.url}/admin/status`)).body).toMatchObject({ state: 'stopping' });
    expect(await ask(chunk(2))).toMatchObject({ $case: 'failure', value: { code: 'STOPPING' } });
    expect((await ask(end(1)))?.$case).toBe('vote');
    await stopping;
    await coordinator.ended.next();
    const again = await make(memory);
    coordinator.session = 6;
    await again.volume.start();
    expect((await coordinator.next('register')).value).toMatchObject({ boots: 2, clean: true });
  });

  test('before all copies of a crash were asked about leaves the rest to the next life', async () => {
    const memory = new MemoryDisk();
    const first = await make(memory);
    await first.volume.start();
    await coordinator.next('heartbeat');
    memory.crash();
    const second = await make(memory);
    coordinator.session = 6;
    await second.volume.start();
    expect((await coordinator.next('register')).value).toMatchObject({ boots: 2, clean: false });
    await second.volume.stop();
    const third = await make(memory);
    coordinator.session = 7;
    await third.volume.start();
    expect((await coordinator.next('register')).value).toMatchObject({ boots: 3, clean: false });
  });

  test('of a life of which the cluster has not heard leaves no mark of a clean stop', async () => {
    const memory = new MemoryDisk();
    const first = await make(memory);
    await first.volume.start();
    await coordinator.next('heartbeat');
    await first.volume.stop();
    const unheard = await make(memory, [], await freeAddress());
    await unheard.volume.start();
    await unheard.volume.stop();
    const third = await make(memory);
    coordinator.session = 6;
    await third.volume.start();
    const { value } = await coordinator.next('register');
    expect(value).toMatchObject({ boots: 3, clean: false });
  });

  test('waits for the shutdown delay, and a second signal changes nothing', async () => {
    const made = await make(new MemoryDisk(), ['--shutdown-delay', '300ms']);
    await made.volume.start();
    await coordinator.next('heartbeat');
    const startedMs = performance.now();
    void made.volume.stop();
    const again = made.volume.stop();
    expect((await see(`${made.url}/health/live`)).status).toBe(200);
    await again;
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(299);
    await expect(fetch(`${made.url}/health/live`)).rejects.toThrow('fetch failed');
  });
});
