/** Which processes a local cluster consists of: names, ports, folders and the words that start each. */
import { join } from 'node:path';
import type { LocalRequest } from './program.ts';

/** One process as `processes.json` has it. */
export interface LocalProcess {
  readonly name: string;
  readonly role: 'coordinator' | 'volume';
  /** 0: not running. */
  readonly pid: number;
  /** URL of its HTTP listener. */
  readonly http: string;
  /** host:port of its gRPC listener. */
  readonly grpc: string;
  readonly dataDir: string;
  /** The argv that starts this one process again. */
  readonly command: readonly string[];
}

/** How a program of this project is started on this machine. */
export interface Programs {
  readonly coordinator: readonly string[];
  readonly volume: readonly string[];
}

const HOST = '127.0.0.1';
const VOLUME_PORTS = 1000;
const REPLICAS = 3;

interface Place {
  readonly name: string;
  readonly http: string;
  readonly grpc: string;
}

const places = (letter: string, count: number, firstPort: number): readonly Place[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `${letter}${i + 1}`,
    http: `${HOST}:${firstPort + 2 * i}`,
    grpc: `${HOST}:${firstPort + 2 * i + 1}`,
  }));

/** All processes, coordinators first; `dataDir` of the request is absolute. */
export function planOf(request: LocalRequest, programs: Programs): readonly LocalProcess[] {
  const { dataDir, basePort, logLevel } = request;
  const coordinators = places('c', request.coordinators, basePort);
  const volumes = places('v', request.volumes, basePort + VOLUME_PORTS);
  const peers = coordinators.map(({ name, grpc }) => `${name}=${grpc}`).join(',');
  const addresses = coordinators.map(({ grpc }) => grpc).join(',');
  const replicas = String(Math.min(REPLICAS, request.volumes));
  const make = (
    place: Place,
    role: LocalProcess['role'],
    flags: readonly string[],
  ): LocalProcess => ({
    name: place.name,
    role,
    pid: 0,
    http: `http://${place.http}`,
    grpc: place.grpc,
    dataDir: join(dataDir, place.name),
    command: [
      ...programs[role],
      'serve',
      ...['--id', place.name, '--bind', place.http, '--grpc', place.grpc],
      ...['--log-level', logLevel],
      ...flags,
    ],
  });
  return [
    ...coordinators.map((place) =>
      make(place, 'coordinator', [
        ...['--db', join(dataDir, place.name), '--peers', peers, '--replicas', replicas],
      ]),
    ),
    ...volumes.map((place) =>
      make(place, 'volume', ['--data', join(dataDir, place.name), '--coordinators', addresses]),
    ),
  ];
}

/** What makes two clusters the same one. */
type Known = Pick<LocalProcess, 'name' | 'role' | 'http' | 'grpc'>;

/** The processes that a `processes.json` tells of; none where it is broken. */
export function processesOf(text: string): readonly Known[] {
  try {
    const held: unknown = JSON.parse(text);
    return Array.isArray(held) ? held.filter(isProcess) : [];
  } catch {
    return [];
  }
}

function isProcess(value: unknown): value is Known {
  if (typeof value !== 'object' || value === null) return false;
  const facts = new Map<string, unknown>(Object.entries(value));
  const role = facts.get('role');
  const texts = ['name', 'http', 'grpc'].every((name) => typeof facts.get(name) === 'string');
  return texts && (role === 'coordinator' || role === 'volume');
}

/** The sentence against starting `planned` over a folder that holds `held`; null when they agree. */
export function mismatch(
  held: readonly Known[],
  planned: readonly LocalProcess[],
  dataDir: string,
): string | null {
  const places = (processes: readonly Known[]): string =>
    JSON.stringify(processes.map(({ name, http, grpc }) => [name, http, grpc]));
  if (places(held) === places(planned)) return null;
  const count = (role: LocalProcess['role']): number =>
    held.filter((process) => process.role === role).length;
  const basePort = held[0]?.http.split(':').at(-1) ?? '?';
  return (
    `${dataDir} holds a cluster made with --coordinators ${count('coordinator')} ` +
    `--volumes ${count('volume')} --base-port ${basePort}: start it so, or give another --data-dir`
  );
}
