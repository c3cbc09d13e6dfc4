/**
 * One simulated machine: a disk that stays, and the lives of a process on it, one after the other. What
 * a life gets of clock, disk, network and randomness is its own and is dead when it is.
 */
import type { Clock } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import type { Random } from '../common/random.ts';
import type { CoordinatorOptions, VolumeOptions } from '../config/options.ts';
import type { AdminPort } from '../coordinator/admin-port.ts';
import { Coordinator } from '../coordinator/coordinator.ts';
import type { Gateway } from '../coordinator/gateway.ts';
import type { OpenTable } from '../coordinator/table.ts';
import type { Disk } from '../disk/disk.ts';
import type { Network } from '../rpc/network.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { VolumeHttpPort } from '../volume/http/volume-http-port.ts';
import { Volume } from '../volume/volume.ts';
import { MachineClock } from './clock.ts';
import type { HostDisk } from './disk.ts';
import { streamOf } from './draws.ts';
import { Front } from './front.ts';
import { Life } from './life.ts';
import type { SimulatedNetwork } from './network.ts';
import { EVENT, type Scheduler } from './scheduler.ts';
import { loggerOf, metricsOf } from './signals.ts';
import { tablesOn } from './table.ts';
import type { SimHost, SimOptions } from './types.ts';

/** What every host is part of. */
export interface World {
  readonly scheduler: Scheduler;
  readonly network: SimulatedNetwork;
  readonly options: SimOptions;
  /** The next life, of all hosts. */
  nextLife(): number;
}

/** What a host runs. */
export type Role =
  | { readonly role: 'coordinator'; readonly options: CoordinatorOptions }
  | { readonly role: 'volume'; readonly options: VolumeOptions };

interface ProcessParts {
  readonly disk: Disk;
  readonly openTable: OpenTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly onFatal: (error: Error) => void;
}

interface Running {
  readonly life: Life;
  readonly front: Front;
  readonly process: Coordinator | Volume;
}

export class Host implements SimHost {
  readonly name: string;
  readonly role: Role['role'];
  readonly disk: HostDisk;
  readonly clock: MachineClock;
  fatal: Error | null = null;
  readonly #world: World;
  readonly #what: Role;
  #running: Running | null = null;

  constructor(world: World, disk: HostDisk, what: Role) {
    this.name = what.options.name;
    this.role = what.role;
    this.disk = disk;
    this.clock = new MachineClock(world.scheduler);
    this.#world = world;
    this.#what = what;
  }

  get isUp(): boolean {
    return this.#running !== null;
  }

  get isPaused(): boolean {
    return this.#running?.life.isPaused ?? false;
  }

  get coordinator(): Coordinator | null {
    return this.#running?.process instanceof Coordinator ? this.#running.process : null;
  }

  get volume(): Volume | null {
    return this.#running?.process instanceof Volume ? this.#running.process : null;
  }

  get gateway(): Gateway | null {
    return this.#running?.front.gateway ?? null;
  }

  get admin(): AdminPort | null {
    return this.#running?.front.admin ?? null;
  }

  get volumePort(): VolumeHttpPort | null {
    return this.#running?.front.volumePort ?? null;
  }

  start(): void {
    if (this.#running !== null) return;
    const { scheduler } = this.#world;
    this.fatal = null;
    const life: Life = new Life(this.#world.nextLife(), (error) => this.#fail(life, error));
    const front = new Front(scheduler, life);
    const process = this.#newProcess(this.#partsOf(life), front);
    this.#running = { life, front, process };
    scheduler.schedule(0, life, EVENT.process, () => {
      run(process).catch((error: unknown) => life.fail(asError(error)));
    });
  }

  kill(): void {
    if (this.#running === null) return;
    this.#world.network.endProcess(this.name);
    this.#end(true);
    this.disk.endProcess();
  }

  cutPower(): void {
    this.#world.network.losePower(this.name);
    this.#end(false);
    this.disk.losePower();
  }

  stop(): Promise<void> {
    const running = this.#running;
    if (running === null) return Promise.resolve();
    const { life, process } = running;
    const { scheduler } = this.#world;
    return new Promise((resolve) => {
      life.onEnd(() => void scheduler.schedule(0, null, EVENT.process, resolve));
      scheduler.schedule(0, life, EVENT.process, () => {
        process.stop().then(
          () => this.#exit(life),
          (error: unknown) => life.fail(asError(error)),
        );
      });
    });
  }

  pause(): void {
    if (this.#running !== null) this.#running.life.isPaused = true;
  }

  resume(): void {
    const life = this.#running?.life;
    if (life?.isPaused !== true) return;
    life.isPaused = false;
    const { parked } = life;
    life.parked = [];
    for (const fn of parked) this.#world.scheduler.schedule(0, life, EVENT.process, fn);
  }

  /** Whether this is the present life. */
  isLiving(life: Life): boolean {
    return this.#running?.life === life;
  }

  #partsOf(life: Life): ProcessParts {
    const { network, options } = this.#world;
    const disk = this.disk.viewOf(life);
    return {
      disk,
      openTable: tablesOn(disk),
      clock: this.clock.viewOf(life),
      random: streamOf(options.seed, `${this.name} in life ${life.number}`),
      network: network.viewOf(this.name, life),
      logger: loggerOf(this.name, life, options.onLog),
      metrics: metricsOf(this.name, life, options.onCount),
      onFatal: (error) => life.fail(error),
    };
  }

  #newProcess(parts: ProcessParts, front: Front): Coordinator | Volume {
    const pendingRestart = (): readonly string[] => [];
    const what = this.#what;
    if (what.role === 'coordinator') {
      const { options } = what;
      const { slackEntries, logSegmentBytes } = this.#world.options;
      return new Coordinator(
        {
          ...parts,
          startHttp: front.startHttp,
          ...(slackEntries === undefined ? {} : { slackEntries }),
          ...(logSegmentBytes === undefined ? {} : { logSegmentBytes }),
        },
        { options, pendingRestart },
      );
    }
    const { options } = what;
    return new Volume({ ...parts, startHttp: front.startVolumeHttp }, { options, pendingRestart });
  }

  /** It ends by itself, with a reason. */
  #fail(life: Life, error: Error): void {
    if (this.#running?.life !== life) return;
    this.fatal = error;
    this.#world.options.onLog?.(this.name, `${this.role} stops`, { error });
    this.#exit(life);
  }

  #exit(life: Life): void {
    if (this.#running?.life === life) this.kill();
  }

  /** Nothing of the process runs from here on. */
  #end(hasPower: boolean): void {
    const running = this.#running;
    if (running === null) return;
    this.#running = null;
    running.life.end();
    running.front.end(hasPower);
  }
}

async function run(process: Coordinator | Volume): Promise<void> {
  if (process instanceof Volume) {
    await process.start();
    return;
  }
  await process.open();
  await process.run();
}
