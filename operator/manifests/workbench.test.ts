/**
 * What minikv is run with outside of a cluster of one's own: compose, kind, Tilt. None of the tools
 * that read these files runs in a unit test, so each is held against what it speaks of.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { loadCoordinatorOptions } from '../../services/config/coordinator.ts';
import { loadVolumeOptions } from '../../services/config/volume.ts';

const ROOT = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const { version } = JSON.parse(read('package.json')) as { version: string };
const IMAGE = `minikv:${version}`;

describe('docker-compose.yaml', () => {
  interface Service {
    image: string;
    command: string[];
    environment: Record<string, string>;
    ports?: string[];
    volumes: string[];
  }
  const { services, volumes } = parse(read('docker-compose.yaml'), { merge: true }) as {
    services: Record<string, Service>;
    volumes: Record<string, null>;
  };
  const noFile = (path: string) => Promise.reject(new Error(`no file ${path}`));
  const all = Object.entries(services);

  test.each(all)('%s starts with settings that its process takes', async (name, service) => {
    const [program, ...argv] = service.command;
    const load = program === 'minikv-coord' ? loadCoordinatorOptions : loadVolumeOptions;
    const { options } = await load(argv, service.environment, noFile);
    const known = all.map(([other]) => `${other}:${other.startsWith('c') ? 5001 : 6001}`);
    expect(options.name).toBe(name);
    expect(known).toContain(options.advertise);
    const others = 'peers' in options ? options.peers.map((p) => p.address) : options.coordinators;
    expect(others).toEqual(['c1:5001', 'c2:5001', 'c3:5001']);
  });

  test('the image gives the folder of the data to the user that it runs as', () => {
    const [, user] = /^USER (\S+)$/m.exec(read('Dockerfile')) ?? [];
    expect(read('Dockerfile')).toContain(`chown ${user} /data`);
  });

  test('three of each, each with its own volume, on ports of their own', () => {
    const programs = all.map(([, { command }]) => command[0]);
    expect(programs.filter((program) => program === 'minikv-coord')).toHaveLength(3);
    expect(programs.filter((program) => program === 'minikv-volume')).toHaveLength(3);
    expect(all.map(([, service]) => service.volumes)).toEqual(
      all.map(([name]) => [`${name}:/data`]),
    );
    expect(Object.keys(volumes)).toEqual(Object.keys(services));
    const ports = all.flatMap(([, service]) => service.ports ?? []);
    expect(new Set(ports.map((port) => port.split(':')[1])).size).toBe(ports.length);
    expect(new Set(all.map(([, { image }]) => image))).toEqual(new Set([IMAGE]));
  });
});

test('kind-config.yaml: three workers in three zones', () => {
  const { nodes } = parse(read('kind-config.yaml')) as {
    nodes: { role: string; labels?: Record<string, string> }[];
  };
  const zones = nodes
    .filter(({ role }) => role === 'worker')
    .map(({ labels }) => labels?.['topology.kubernetes.io/zone']);
  expect(new Set(zones).size).toBe(3);
  expect(zones).toHaveLength(3);
});

test('Tiltfile: its files are there, its names are those of the manifests', () => {
  const words = [...read('Tiltfile').matchAll(/'([^'\n]*)'/g)].map(([, word]) => word ?? '');
  const paths = words.filter((word) => /^(Dockerfile|charts\/|operator\/)|\.yaml$/.test(word));
  expect(paths.length).toBeGreaterThan(3);
  expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  const { name } = parse(read('kind-config.yaml')) as { name: string };
  const cluster = parse(read('minikv-cluster.yaml')) as {
    apiVersion: string;
    kind: string;
    metadata: { name: string };
  };
  for (const word of [`kind-${name}`, cluster.apiVersion, cluster.kind, cluster.metadata.name]) {
    expect(words).toContain(word);
  }
  const scripts = [...read('Tiltfile').matchAll(/npm run ([\w:-]+)/g)].map(
    (match) => match[1] ?? '',
  );
  const known = (JSON.parse(read('package.json')) as { scripts: object }).scripts;
  expect(scripts.filter((script) => !Object.hasOwn(known, script))).toEqual([]);
});
