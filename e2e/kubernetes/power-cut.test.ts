/**
 * A node loses power with a coordinator and a volume on it, and comes back. Its volumes are bound to
 * it, so its pods wait for it; the others go on, and nothing acknowledged is lost.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Load } from './harness/load.ts';
import { clusterObject, installOperator, MinikvCluster, READY_MS } from './harness/minikv.ts';
import { Namespace } from './harness/namespace.ts';
import { nodeFaults } from './harness/node-faults.ts';
import { nodeIsReady, workers } from './harness/nodes.ts';

const SILENT_MS = 30_000;
const MISSED_MS = 60_000;
const RETURN_MS = 120_000;
/** Acknowledged while the node is away: more than what was on its way when it went. */
const WRITES_AWAY = 50;

const faults = nodeFaults();

(faults === undefined ? describe.skip : describe)('the power of a node', () => {
  let namespace: Namespace;
  let cluster: MinikvCluster;
  let load: Load;
  let node: string;
  let before: unknown;
  let uids: readonly string[];

  /** Every pod by its UID: one that was deleted comes back as another. */
  const pods = async (): Promise<readonly string[]> =>
    [...(await cluster.pods('coordinator')), ...(await cluster.pods('volume'))].map(
      ({ metadata }) => metadata?.uid ?? '',
    );

  beforeAll(async () => {
    namespace = await Namespace.create('power-cut');
    cluster = new MinikvCluster(namespace, 'demo');
    await installOperator(namespace);
    await namespace.apply(clusterObject('demo'));
    await cluster.condition('Ready', READY_MS);
    node = (await cluster.pods('volume'))[0]?.spec?.nodeName ?? '';
    const names = (await workers()).map(({ metadata }) => metadata?.name ?? '');
    load = await Load.start(namespace, 'demo', names.find((name) => name !== node) ?? '');
    before = await cluster.identities();
    uids = await pods();
  });

  afterAll(async () => {
    await faults?.powerOn(node);
    await namespace.close();
  });

  test('is cut: its volume is no longer counted on, and writes go on', async () => {
    await load.mark('off');
    await faults?.powerOff(node);
    await namespace.waitFor('the volume to be missed', SILENT_MS, async () => {
      return (await cluster.view()).volumes.filter(({ live }) => live).length === 2;
    });
    await namespace.waitFor(`${node} to be missed`, MISSED_MS, async () => {
      return !(await nodeIsReady(node));
    });
    await namespace.condition('mkv/demo', 'DataRedundant=False', MISSED_MS);
    const { writes } = load.history;
    await namespace.waitFor(`${WRITES_AWAY} writes without it`, SILENT_MS, async () => {
      await load.mark('away');
      return load.history.writes > writes + WRITES_AWAY;
    });
    expect(await pods()).toEqual(uids);
  });

  test('is back: the same pods with the same disks, and every copy is made up for', async () => {
    await faults?.powerOn(node);
    await cluster.settled(3, 3, RETURN_MS);
    await cluster.condition('DataRedundant', RETURN_MS);
    await cluster.condition('QuorumHealthy', RETURN_MS);
    expect(await cluster.identities()).toEqual(before);
    expect(await pods()).toEqual(uids);
  });

  test('nothing acknowledged is lost, and what was read has an order', async () => {
    await load.stop();
    expect(load.history.violations).toEqual([]);
  });
});
