/**
 * The ground that the other stories stand on: nodes, names, volumes and the image. When one of these
 * fails, no other story says anything about minikv.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { V1PersistentVolumeClaim } from '@kubernetes/client-node';
import { MINIKV_PROGRAMS, MINIKV_VERSION } from './harness/image.ts';
import { Namespace } from './harness/namespace.ts';
import { isReady, workers } from './harness/nodes.ts';
import { probePod, volumeClaim } from './harness/probe-pod.ts';
import { read } from './harness/reader.ts';

const POD_START_MS = 60_000;
const ZONE = 'topology.kubernetes.io/zone';

let namespace: Namespace;

beforeAll(async () => {
  namespace = await Namespace.create('cluster');
  await namespace.apply(probePod('probe'));
  await namespace.condition('pod/probe', 'Ready', POD_START_MS);
});

afterAll(async () => {
  await namespace.close();
});

describe('the cluster', () => {
  test('has three nodes that are Ready, each in a zone of its own', async () => {
    const nodes = await workers();
    expect(nodes).toHaveLength(3);
    expect(nodes.filter(isReady)).toHaveLength(3);
    expect(new Set(nodes.map((node) => node.metadata?.labels?.[ZONE])).size).toBe(3);
  });

  test('resolves the name of a Service in a pod, the way that minikv does', async () => {
    const { spec } = await read<{ spec: { clusterIP: string } }>(
      'service',
      'kubernetes',
      'default',
    );
    const program = `require('node:dns').lookup('kubernetes.default.svc', (error, address) => {
      console.log(error ?? address);
    })`;
    const answer = await namespace.exec('probe', ['node', '-e', program]);
    expect(answer.trim()).toBe(spec.clusterIP);
  });

  test('binds a volume that outlives its pod', async () => {
    await namespace.apply(volumeClaim('data'), probePod('writer', { claim: 'data' }));
    await namespace.condition('pod/writer', 'Ready', POD_START_MS);
    const bound = await namespace.get<V1PersistentVolumeClaim>('persistentvolumeclaim', 'data');
    expect(bound.status?.phase).toBe('Bound');
    await namespace.exec('writer', ['sh', '-c', 'echo kept > /data/file']);
    await namespace.kubectl(['delete', 'pod', 'writer']);
    await namespace.apply(probePod('reader', { claim: 'data' }));
    await namespace.condition('pod/reader', 'Ready', POD_START_MS);
    expect(await namespace.exec('reader', ['cat', '/data/file'])).toBe('kept\n');
  });

  test('leads a port of this machine to a pod', async () => {
    // kubectl gives a forward up when the first connection finds nobody: the server is there before.
    const server = `require('node:http').createServer((_, reply) => reply.end('here')).listen(8080)`;
    const asks = `require('node:net').connect(8080).on('connect', () => process.exit())`;
    const started = `node -e "${server}" > /dev/null 2>&1 & until node -e "${asks}" 2> /dev/null; do :; done`;
    await namespace.exec('probe', ['sh', '-c', started]);
    const url = await namespace.forward('pod/probe', 8_080);
    expect(await (await fetch(url)).text()).toBe('here');
  });
});

describe('the image', () => {
  test.each(MINIKV_PROGRAMS)('has %s, which tells its version and its use', async (program) => {
    expect(await namespace.exec('probe', [program, '--version'])).toBe(`${MINIKV_VERSION}\n`);
    expect(await namespace.exec('probe', [program, '--help'])).toContain(`Usage: ${program}`);
  });

  test('runs as the user 1000 and cannot write to its root', async () => {
    expect(await namespace.exec('probe', ['id', '-u'])).toBe('1000\n');
    await expect(namespace.exec('probe', ['touch', '/minikv/file'])).rejects.toThrow('Read-only');
  });

  test('starts coordinators and volumes with a large heap, under any limit of a pod', async () => {
    for (const program of ['minikv-coord', 'minikv-volume']) {
      const first = await namespace.exec('probe', ['head', '-n', '1', `/usr/local/bin/${program}`]);
      expect(first).toContain('--initial-old-space-size=');
      const limited = ['env', 'NODE_OPTIONS=--max-old-space-size=64', program, '--version'];
      expect(await namespace.exec('probe', limited)).toBe(`${MINIKV_VERSION}\n`);
    }
  });
});
