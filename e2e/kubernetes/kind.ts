/** A cluster of kind, for machines with a Docker engine: the same three zones, the same image. */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { imageManifest } from '../../image/files.ts';
import { run } from './cluster/run.ts';
import { FAILPOINTS, type Log, NEXT } from './cluster/settings.ts';

const ROOT = join(import.meta.dirname, '../..');
const NAME = 'minikv-e2e';
const ZONES = ['z1', 'z2', 'z3'];
const TIMEOUT_MS = 900_000;
const FOLDER = join(tmpdir(), NAME);

/** Creates the cluster, builds the image and loads it; resolves with the path of a kubeconfig. */
export async function startKind(log: Log): Promise<string> {
  mkdirSync(FOLDER, { recursive: true });
  const image = `minikv:${imageManifest().version}`;
  const kubeconfig = join(FOLDER, 'kubeconfig');
  const nodes = [
    { role: 'control-plane' },
    ...ZONES.map((zone) => ({ role: 'worker', labels: { 'topology.kubernetes.io/zone': zone } })),
  ];
  const config = { kind: 'Cluster', apiVersion: 'kind.x-k8s.io/v1alpha4', nodes };
  const options = { cwd: ROOT, timeoutMs: TIMEOUT_MS };
  log('building the image');
  await run('docker', ['build', '--tag', image, '.'], options);
  await run('docker', ['tag', image, `${image}${NEXT}`], options);
  const kept = ['--build-arg', 'BUILD_FLAGS=--failpoints', '--tag', `${image}${FAILPOINTS}`];
  await run('docker', ['build', ...kept, '.'], options);
  log('creating the cluster');
  const create = ['create', 'cluster', '--name', NAME, '--kubeconfig', kubeconfig];
  await run('kind', [...create, '--config', '-', '--wait', '180s'], {
    ...options,
    input: JSON.stringify(config),
  });
  const images = [image, `${image}${NEXT}`, `${image}${FAILPOINTS}`];
  await run('kind', ['load', 'docker-image', ...images, '--name', NAME], options);
  return kubeconfig;
}

/** Deletes the cluster and what was written of it. */
export async function stopKind(): Promise<void> {
  await run('kind', ['delete', 'cluster', '--name', NAME], { timeoutMs: TIMEOUT_MS });
  rmSync(FOLDER, { recursive: true, force: true });
}
