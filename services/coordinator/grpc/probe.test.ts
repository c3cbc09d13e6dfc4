import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../../common/clock.ts';
import { nodeId } from '../../common/ids.ts';
import type { Introduction } from '../../rpc/hello.ts';
import { startRpcServer } from '../../rpc/server.ts';
import { tcpNetwork } from '../../rpc/tcp-network.ts';
import type { RpcServer } from '../../rpc/types.ts';
import { silentLogger } from '../../telemetry/logger.ts';
import { probePeer } from './probe.ts';
import { RaftService } from './raft-service.ts';

const CLUSTER = 'c'.repeat(32);
const introduce =
  (name: string, from: number, clusterId: string): (() => Introduction) =>
  () => ({
    clusterId,
    role: 'coordinator',
    name,
    from,
    bootId: 1,
    address: '',
    version: '',
    httpAddress: '',
  });
const asker = introduce('coord-0', 0, '');

const parts = { clock: systemClock, network: tcpNetwork };
let server: RpcServer | null = null;
afterEach(async () => {
  await server?.close(0);
  server = null;
});

async function serve(state: string, termNow: number): Promise<string> {
  const service = new RaftService({
    introduce: introduce('coord-1', 2, CLUSTER),
    state: () => state,
    members: () => [{ node: nodeId(2), name: 'coord-1', address: 'coord-1:5001' }],
    term: () => termNow,
    clusterView: async (timeoutMs) => `view within ${timeoutMs}`,
  });
  server = await startRpcServer(
    { ...parts, logger: silentLogger },
    { bind: '127.0.0.1:0', services: service.services() },
  );
  return `127.0.0.1:${server.port}`;
}

describe('a probe', () => {
  test('brings state, cluster and members, across clusters too', async () => {
    const address = await serve('armed', 0);
    expect(await probePeer({ ...parts, introduce: asker }, { name: 'coord-1', address })).toEqual({
      name: 'coord-1',
      state: 'armed',
      clusterId: CLUSTER,
      members: [{ node: 2, name: 'coord-1' }],
    });
  });

  test('takes a peer with a term for a member, whatever it calls itself', async () => {
    const address = await serve('armed', 1);
    expect(
      await probePeer({ ...parts, introduce: asker }, { name: 'coord-1', address }),
    ).toMatchObject({ state: 'member' });
  });

  test.each([
    ['another coordinator than the one meant', 'coord-2', 'empty'],
    ['a state that is not known', 'coord-1', 'asleep'],
  ])('takes %s for no answer', async (_, name, state) => {
    const address = await serve(state, 0);
    expect(await probePeer({ ...parts, introduce: asker }, { name, address })).toMatchObject({
      state: 'unreachable',
    });
  });

  test('takes silence for no answer', async () => {
    const address = await serve('empty', 0);
    await server?.close(0);
    expect(await probePeer({ ...parts, introduce: asker }, { name: 'coord-1', address })).toEqual({
      name: 'coord-1',
      state: 'unreachable',
      clusterId: '',
      members: [],
    });
  });
});
