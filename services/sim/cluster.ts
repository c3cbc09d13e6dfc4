/**
 * A cluster of production coordinators and volumes in one thread. Everything that waits waits on the
 * scheduler, and everything that is drawn comes from the seed.
 */
import type { Timer } from '../common/clock.ts';
import type { Random } from '../common/random.ts';
import { loadCoordinatorOptions } from '../config/coordinator.ts';
import { loadVolumeOptions } from '../config/volume.ts';
import { HostDisk } from './disk.ts';
import { streamOf } from './draws.ts';
import { Host, type Role, type World } from './host.ts';
import { SimulatedNetwork } from './network.ts';
import { EVENT, Scheduler } from './scheduler.ts';
import type { SimCluster, SimOptions } from './types.ts';

const GRPC_PORT = 5001;
const HTTP_PORT = 5000;

/** Builds the machines; their processes start with `start`. */
export async function createCluster(options: SimOptions): Promise<SimCluster> {
  const { seed } = options;
  const scheduler = new Scheduler();
  const network = new SimulatedNetwork(scheduler, streamOf(seed, 'network'));
  let lives = 0;
  const world: World = {
    options,
    scheduler,
    network,
    nextLife: () => {
      lives += 1;
      return lives;
    },
  };
  const hosts: Host[] = [];
  for (const what of await rolesOf(options)) {
    const { name, directAddress } = what.options;
    network.add(name, directAddress.slice(0, directAddress.lastIndexOf(':')));
    const disk = new HostDisk(scheduler, streamOf(seed, `disk of ${name}`));
    hosts.push(new Host(world, disk, what));
  }
  return new Cluster(world, hosts, streamOf(seed, 'plan'));
}

class Cluster implements SimCluster {
  readonly random: Random;
  readonly hosts: readonly Host[];
  readonly coordinators: readonly Host[];
  readonly volumes: readonly Host[];
  readonly network: SimulatedNetwork;
  readonly #scheduler: Scheduler;

  constructor({ scheduler, network }: World, hosts: readonly Host[], random: Random) {
    this.random = random;
    this.hosts = hosts;
    this.coordinators = hosts.filter(({ role }) => role === 'coordinator');
    this.volumes = hosts.filter(({ role }) => role === 'volume');
    this.network = network;
    this.#scheduler = scheduler;
  }

  get nowMs(): number {
    return this.#scheduler.nowMs;
  }

  get current(): Host | null {
    const life = this.#scheduler.current;
    return life === null ? null : (this.hosts.find((host) => host.isLiving(life)) ?? null);
  }

  get eventCount(): number {
    return this.#scheduler.eventCount;
  }

  get traceHash(): string {
    return this.#scheduler.trace.hash;
  }

  onEvent(check: () => void): void {
    this.#scheduler.onEvent(check);
  }

  after(delayMs: number, fn: () => void): Timer {
    return this.#scheduler.schedule(delayMs, null, EVENT.plan, fn);
  }

  async run(ms: number): Promise<void> {
    await this.#scheduler.drive(this.nowMs + ms, () => false);
  }

  runUntil(condition: () => boolean, maxMs: number): Promise<boolean> {
    return this.#scheduler.drive(this.nowMs + maxMs, condition);
  }
}

async function rolesOf(options: SimOptions): Promise<readonly Role[]> {
  const noFile = (): Promise<string> =>
    Promise.reject(new Error('a simulation has no settings file'));
  const names = (role: string, count: number): readonly string[] =>
    Array.from({ length: count }, (_, i) => `${role}-${i}`);
  const coordinators = names('coord', options.coordinators);
  const volumes = names('volume', options.volumes);
  const peers = coordinators.map((name) => `${name}=${name}:${GRPC_PORT}`).join(',');
  const replicas = String(Math.min(3, options.volumes));
  const roles: Role[] = [];
  for (const [i, name] of coordinators.entries()) {
    const argv = [...common(name, `10.0.0.${i + 1}`), '--db', '/data', '--peers', peers];
    const { options: found } = await loadCoordinatorOptions(
      // Values lie on volumes, unless a plan has it otherwise.
      [...argv, '--replicas', replicas, '--inline-max', '0'],
      {},
      noFile,
    );
    roles.push({ role: 'coordinator', options: { ...found, ...options.coordinatorOptions } });
  }
  const dialled = coordinators.map((name) => `${name}:${GRPC_PORT}`).join(',');
  for (const [i, name] of volumes.entries()) {
    const argv = [...common(name, `10.0.1.${i + 1}`), '--data', '/data', '--coordinators', dialled];
    const { options: found } = await loadVolumeOptions(argv, {}, noFile);
    roles.push({ role: 'volume', options: { ...found, ...options.volumeOptions } });
  }
  return roles;
}

const common = (name: string, address: string): readonly string[] => [
  ...['--id', name, '--pod-ip', address, '--advertise', `${name}:${GRPC_PORT}`],
  ...['--bind', `${address}:${HTTP_PORT}`, '--grpc', `${address}:${GRPC_PORT}`],
];
