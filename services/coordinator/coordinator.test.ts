/** A whole coordinator, alone in its cluster, over real sockets and a real folder. */
import { afterEach, describe, expect, test } from '@jest/globals';
import { clusterViewSchema, coordinatorStatusSchema } from '../api/admin.ts';
import { systemClock } from '../common/clock.ts';
import { systemRandom } from '../common/random.ts';
import { loadCoordinatorOptions } from '../config/coordinator.ts';
import type { Disk } from '../disk/disk.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { tcpNetwork } from '../rpc/tcp-network.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { freeAddress } from '../testing/free-port.ts';
import { GatedDisk } from '../testing/gated-disk.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { Coordinator } from './coordinator.ts';
import { startHttpServer } from './http/server.ts';
import { openLevelTable } from './level-table.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await removeTempDirs();
});

interface Made {
  readonly coordinator: Coordinator;
  readonly url: string;
}

async function make(path: string, disk: Disk, flags: readonly string[] = []): Promise<Made> {
  const [http, grpc] = [await freeAddress(), await freeAddress()];
  const { options } = await loadCoordinatorOptions(
    ['--id', 'c1', '--db', path, '--bind', http, '--grpc', grpc, ...flags],
    {},
    () => Promise.reject(new Error('no file')),
  );
  const coordinator = new Coordinator(
    {
      disk,
      openTable: openLevelTable,
      clock: systemClock,
      random: systemRandom,
      network: tcpNetwork,
      startHttp: startHttpServer,
      logger: silentLogger,
      metrics: createMetrics(),
      onFatal: (error) => {
        throw error;
      },
    },
    { options, pendingRestart: () => [] },
  );
  cleanups.push(() => coordinator.stop());
  return { coordinator, url: `http://${http}` };
}

interface Seen {
  readonly status: number;
  readonly body: unknown;
}

async function see(url: string): Promise<Seen> {
  const answer = await fetch(url, { headers: { connection: 'close' } });
  return { status: answer.status, body: await answer.json() };
}

async function untilReady(url: string): Promise<void> {
  const endMs = performance.now() + 10_000;
  while ((await see(`${url}/health/ready`)).status !== 200) {
    if (performance.now() > endMs) throw new Error('not ready in time');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('while it recovers', () => {
  test('it lives and tells its status, refuses the rest, and is ready afterwards', async () => {
    const path = await tempDir();
    const first = await make(path, new NodeDisk());
    await first.coordinator.open();
    await first.coordinator.run();
    await untilReady(first.url);
    await first.coordinator.stop();
    const gated = new GatedDisk(new NodeDisk(), 'raft');
    const { coordinator, url } = await make(path, gated);
    await coordinator.open();
    const running = coordinator.run();
    await gated.reached;
    expect((await see(`${url}/health/live`)).status).toBe(200);
    expect(await see(`${url}/health/ready`)).toMatchObject({
      status: 503,
      body: { ready: false, reason: 'opening its log and state' },
    });
    const { status, body } = await see(`${url}/admin/status`);
    expect(status).toBe(200);
    expect(coordinatorStatusSchema.parse(body)).toMatchObject({ name: 'c1', nodeId: 1, bootId: 2 });
    expect((await see(`${url}/kv/k`)).body).toMatchObject({ code: 'NOT_READY' });
    expect((await see(`${url}/admin/cluster`)).body).toMatchObject({ code: 'NOT_READY' });
    gated.openGate();
    await running;
    await untilReady(url);
    const { body: view } = await see(`${url}/admin/cluster`);
    expect(clusterViewSchema.parse(view).members).toMatchObject([{ name: 'c1', state: 'member' }]);
  });

  test('a stop ends it, and what recovery finds then is not served', async () => {
    const path = await tempDir();
    const gated = new GatedDisk(new NodeDisk(), 'raft');
    const { coordinator, url } = await make(path, gated);
    await coordinator.open();
    const running = coordinator.run();
    await gated.reached;
    await coordinator.stop();
    gated.openGate();
    await running;
    await expect(see(`${url}/health/live`)).rejects.toThrow('fetch failed');
  });
});

describe('a stop', () => {
  test('before anything is open is done at once', async () => {
    const { coordinator } = await make(await tempDir(), new NodeDisk());
    await coordinator.stop();
  });

  test('serves on for the shutdown delay, unready and closing each connection', async () => {
    const flags = ['--shutdown-delay', '400ms'];
    const { coordinator, url } = await make(await tempDir(), new NodeDisk(), flags);
    await coordinator.open();
    await coordinator.run();
    await untilReady(url);
    const startedMs = performance.now();
    void coordinator.stop();
    const again = coordinator.stop();
    expect(await see(`${url}/health/ready`)).toMatchObject({
      status: 503,
      body: { reason: 'stopping' },
    });
    expect((await see(`${url}/admin/status`)).body).toMatchObject({ state: 'stopping' });
    const read = await fetch(`${url}/kv/absent`);
    expect([read.status, read.headers.get('connection')]).toEqual([404, 'close']);
    // Whoever waits for the second one must not end the process in the middle of the first.
    await again;
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(399);
    await expect(see(`${url}/health/live`)).rejects.toThrow('fetch failed');
  });
});
