/**
 * Nodes that fail and come back: what a story may do to one, and what is then to be seen. Skipped on
 * clusters that have no switch for it.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1Pod } from '@kubernetes/client-node';
import { Namespace } from './harness/namespace.ts';
import { nodeFaults } from './harness/node-faults.ts';
import { nodeIsReady, workers } from './harness/nodes.ts';
import { probePod, volumeClaim } from './harness/probe-pod.ts';

const POD_START_MS = 60_000;
const MISSED_MS = 60_000;

const faults = nodeFaults();

(faults === undefined ? describe.skip : describe)('a node', () => {
  let namespace: Namespace;
  let node: string;

  beforeAll(async () => {
    namespace = await Namespace.create('node-faults');
    await namespace.apply(probePod('probe'));
    await namespace.condition('pod/probe', 'Ready', POD_START_MS);
    node = (await namespace.get<V1Pod>('pod', 'probe')).spec?.nodeName ?? '';
  });

  afterAll(async () => {
    await faults?.join(node);
    await namespace.close();
  });

  test('is missed when its cable is pulled, and its pod runs on', async () => {
    const first = (await namespace.get<V1Pod>('pod', 'probe')).status;
    await faults?.cut(node);
    await namespace.waitFor(`${node} to be missed`, MISSED_MS, async () => {
      return !(await nodeIsReady(node));
    });
    await faults?.join(node);
    await namespace.condition(`node/${node}`, 'Ready', MISSED_MS);
    await namespace.condition('pod/probe', 'Ready', POD_START_MS);
    const { status } = await namespace.get<V1Pod>('pod', 'probe');
    expect(status?.containerStatuses?.[0]?.containerID).toBe(
      first?.containerStatuses?.[0]?.containerID,
    );
  });

  test('sees the same volumes of the shared class as another one', async () => {
    const writer = probePod('writer', { claim: 'shared', node });
    await namespace.apply(volumeClaim('shared', 'shared-path'), writer);
    await namespace.condition('pod/writer', 'Ready', POD_START_MS);
    await namespace.exec('writer', ['sh', '-c', 'echo kept > /data/file']);
    await namespace.kubectl(['delete', 'pod', 'writer']);
    const names = (await workers()).map(({ metadata }) => metadata?.name);
    const other = names.find((name) => name !== node) ?? '';
    await namespace.apply(probePod('reader', { claim: 'shared', node: other }));
    await namespace.condition('pod/reader', 'Ready', POD_START_MS);
    expect(await namespace.exec('reader', ['cat', '/data/file'])).toBe('kept\n');
  });
});
