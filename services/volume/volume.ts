/**
 * A volume put together: folder, engine, listeners, registration, and the jobs beside them. The
 * listeners open before recovery, so a probe never has to guess how long that takes.
 */
import type { VolumeStatus } from '../api/admin.ts';
import { type Clock, sleep } from '../common/clock.ts';
import { digestBuild } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { clusterId, diskId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import { VERSION } from '../common/version.ts';
import type { VolumeOptions } from '../config/options.ts';
import type { Disk } from '../disk/disk.ts';
import type { Hello } from '../rpc/generated/common.ts';
import { checkHello } from '../rpc/hello.ts';
import { openLink } from '../rpc/link.ts';
import type { Network } from '../rpc/network.ts';
import { bidi, startRpcServer } from '../rpc/server.ts';
import { DATA_STREAM } from '../rpc/streams.ts';
import type { RpcServer } from '../rpc/types.ts';
import { openEngine, VolumeFolder } from '../storage/engine.ts';
import type { StorageEngine } from '../storage/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { Asker } from './asker.ts';
import { Compactor } from './compactor.ts';
import { CoordinatorFinder } from './coordinator-finder.ts';
import { DataService } from './data-service.ts';
import type { HttpServer, StartVolumeHttp } from './http/server.ts';
import type { VolumeHttpPort } from './http/volume-http-port.ts';
import { VolumePuller } from './puller.ts';
import { Registration } from './registration.ts';
import { Scrubber } from './scrubber.ts';
import { Unnamed } from './unnamed.ts';

/** After a volume began to stop, stagings that are open may end for so long, and reads a little longer. */
const STAGING_DRAIN_MS = 10 * SECOND_MS;
const READ_DRAIN_MS = 15 * SECOND_MS;
const DRAIN_POLL_MS = 20;

export interface VolumeParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly startHttp: StartVolumeHttp;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The process must end: disk failed, superseded, refused for good. */
  readonly onFatal: (error: Error) => void;
}

export interface VolumeSettings {
  readonly options: VolumeOptions;
  readonly pendingRestart: () => readonly string[];
}

/** Everything that runs once the folder has been recovered. */
interface Running {
  readonly engine: StorageEngine;
  readonly registration: Registration;
  readonly finder: CoordinatorFinder;
  readonly asker: Asker;
  readonly compactor: Compactor;
  readonly scrubber: Scrubber;
  readonly data: DataService;
}

/** What is known before the folder is open. */
const UNKNOWN = { clusterId: null, disk: diskId(0) } as const;

export class Volume {
  readonly #parts: VolumeParts;
  readonly #options: VolumeOptions;
  readonly #pendingRestart: () => readonly string[];
  #folder: VolumeFolder | null = null;
  #rpc: RpcServer | null = null;
  #http: HttpServer | null = null;
  #running: Running | null = null;
  #isStopping = false;
  #stopped: Promise<void> | null = null;
  #compactionBytesPerSecond: number;

  constructor(parts: VolumeParts, { options, pendingRestart }: VolumeSettings) {
    this.#parts = parts;
    this.#options = options;
    this.#pendingRestart = pendingRestart;
    this.#compactionBytesPerSecond = options.compactionBytesPerSecond;
  }

  /** What holds the copies, for those who watch it from within; null before it has recovered. */
  get engine(): StorageEngine | null {
    return this.#running?.engine ?? null;
  }

  /** Changed settings, in force from now on. */
  reload({ compactionBytesPerSecond }: Pick<VolumeOptions, 'compactionBytesPerSecond'>): void {
    this.#compactionBytesPerSecond = compactionBytesPerSecond;
    this.#running?.engine.setCompactionRate(compactionBytesPerSecond);
  }

  /** Locks the folder, opens the listeners, recovers, registers. */
  async start(): Promise<void> {
    const { disk, random, logger, clock, metrics, network, startHttp } = this.#parts;
    const { name, dataPath, grpcBind, httpBind, adminBind } = this.#options;
    const cluster = this.#options.clusterId;
    this.#folder = await VolumeFolder.open(
      { disk, random, logger },
      { dataPath, name, clusterId: cluster === null ? null : clusterId(cluster) },
    );
    this.#http = await startHttp(
      { metrics, logger, clock, random, port: this.#httpPort() },
      { httpBind, adminBind },
    );
    const services = [
      bidi(DATA_STREAM, (outgoing) => {
        if (this.#running !== null) return this.#running.data.accept(outgoing);
        outgoing.close(new KvError('NOT_READY', 'this volume is still recovering'));
        return { onMessage: () => undefined, onClosed: () => undefined };
      }),
    ];
    this.#rpc = await startRpcServer({ clock, logger, network }, { bind: grpcBind, services });
    const running = await this.#recover(this.#folder);
    // Asked to stop meanwhile: a volume that is about to go must not begin a session.
    if (this.#isStopping) {
      await running.engine.close();
      return;
    }
    running.engine.setCompactionRate(this.#compactionBytesPerSecond);
    this.#running = running;
    running.finder.start();
    running.asker.start();
    running.compactor.start();
    running.scrubber.start();
  }

  /** Leaves, lets open stagings end, seals, writes the clean mark; asked again it is the same stop. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#isStopping = true;
    const running = this.#running;
    if (running === null) {
      // Recovery has not ended: what it began on is no clean state.
      await this.#closeListeners(0);
      await this.#folder?.abandon();
      return;
    }
    const startedMs = this.#parts.clock.monotonicMs();
    running.registration.leave();
    await sleep(this.#parts.clock, this.#options.shutdownDelayMs);
    await this.#until(() => running.data.openCopies === 0, startedMs + STAGING_DRAIN_MS);
    await this.#until(() => running.data.unanswered === 0, startedMs + READ_DRAIN_MS);
    // The coordinators let go of it first, so that nobody waits for a listener that closes.
    running.asker.stop();
    running.finder.stop();
    running.registration.stop();
    await this.#closeListeners(startedMs + READ_DRAIN_MS - this.#parts.clock.monotonicMs());
    await running.compactor.stop();
    await running.scrubber.stop();
    await running.engine.close();
    // Copies that were not asked about after a crash are asked about in the next life. A life of which the
    // cluster has not heard vouches for nothing: an older image of the disk could so pass for the newest.
    const isHeard = running.registration.session !== 0;
    if (isHeard && running.asker.isReconciled) await this.#folder?.close();
    else await this.#folder?.abandon();
  }

  async #closeListeners(graceMs: number): Promise<void> {
    await this.#http?.close(Math.max(0, graceMs));
    await this.#rpc?.close(0);
  }

  async #until(condition: () => boolean, endMs: number): Promise<void> {
    const { clock } = this.#parts;
    while (!condition() && clock.monotonicMs() < endMs) await sleep(clock, DRAIN_POLL_MS);
  }

  async #recover(folder: VolumeFolder): Promise<Running> {
    const { disk, clock, random, logger, metrics, onFatal } = this.#parts;
    const options = this.#options;
    const engine = await openEngine(
      { disk, clock, random, logger, metrics },
      {
        dataPath: options.dataPath,
        walPath: options.walPath,
        fsync: options.fsync,
        segmentBytes: options.segmentBytes,
        reserveBytes: options.reserveBytes,
        compactionBytesPerSecond: options.compactionBytesPerSecond,
        capacityBytes: options.capacityBytes,
        folder: folder.found,
        onFailure: onFatal,
      },
    );
    logger.info({ ...engine.report, fsync: options.fsync.kind }, 'volume recovered');
    return this.#assemble(folder, engine);
  }

  #assemble(folder: VolumeFolder, engine: StorageEngine): Running {
    const { clock, random, logger, network, onFatal } = this.#parts;
    const options = this.#options;
    // A clean mark vouches for what the last life wrote, not for what the disk has done to it since.
    const cleanStop = folder.identity.cleanStop && engine.report.clean;
    const registration: Registration = new Registration(
      {
        clock,
        random,
        logger,
        remember: (cluster, disk) => folder.setRegistered(cluster, disk),
        vitals: () => this.#vitals(engine),
        answered: (copy, verdict) => void asker.answered(copy, verdict),
        reconcile: () => asker.reconcile(),
        raiseBoots: (later) => folder.raiseBoots(later),
        openLink: (link) => openLink({ clock, random, logger, network }, link),
        linkLost: () => void finder.refresh(),
        onFatal,
      },
      {
        identity: { ...folder.identity, cleanStop },
        version: VERSION,
        directAddress: options.directAddress,
        httpAddress: options.advertiseHttp,
        zone: options.zone,
        capacityBytes: engine.usage().capacityBytes,
        heartbeatMs: options.heartbeatMs,
      },
    );
    const asker = new Asker(
      { clock, logger, engine, ask: (copies) => registration.ask(copies) },
      { reconcile: !cleanStop },
    );
    const finder: CoordinatorFinder = new CoordinatorFinder(
      { clock, resolve: (address) => network.resolve(address) },
      {
        names: options.coordinators,
        changed: (addresses) => registration.follow(addresses),
        isWhole: () => registration.isWhole,
      },
    );
    const data = this.#serveData(engine, registration);
    return { engine, registration, finder, asker, data, ...this.#chores(engine, registration) };
  }

  #serveData(engine: StorageEngine, registration: Registration): DataService {
    const { clock, random, logger, network } = this.#parts;
    const hello = (): Hello => registration.hello();
    const addressOf = (disk: number): string | undefined => registration.addressOf(disk);
    return new DataService({
      clock,
      logger,
      engine,
      puller: new VolumePuller({
        clock,
        engine,
        hello,
        addressOf,
        openLink: (link) => openLink({ clock, random, logger, network }, link),
      }),
      unnamed: new Unnamed(engine),
      session: () => ({
        disk: registration.disk,
        session: registration.session,
        accepting: !this.#isStopping,
      }),
      hello,
      checkHello: (theirs) =>
        checkHello(
          {
            role: theirs.role === 'volume' ? 'volume' : 'coordinator',
            clusterId: registration.clusterId,
            to: registration.disk,
          },
          theirs,
        ),
    });
  }

  /** What is done beside all else, a little at a time. */
  #chores(
    engine: StorageEngine,
    registration: Registration,
  ): Pick<Running, 'compactor' | 'scrubber'> {
    const { clock, logger } = this.#parts;
    const compactor = new Compactor({ engine, clock, logger });
    const scrubber = new Scrubber(
      { engine, clock, logger, found: () => registration.beat() },
      { bytesPerSecond: this.#options.scrubBytesPerSecond },
    );
    return { compactor, scrubber };
  }

  #httpPort(): VolumeHttpPort {
    const running = (): Running => {
      if (this.#running !== null) return this.#running;
      throw new KvError('NOT_READY', 'this volume is still recovering');
    };
    return {
      status: () => this.#status(),
      usage: () => {
        const usage = this.#running?.engine.usage();
        return { copies: usage?.copies ?? 0, bytes: usage?.liveBytes ?? 0 };
      },
      readiness: () => {
        const reason = this.#notReadyReason();
        return { ready: reason === null, reason };
      },
      disk: () => this.#running?.registration.disk ?? diskId(0),
      redirectKey: () => {
        const key = this.#running?.registration.redirectKey ?? '';
        return key === '' ? null : key;
      },
      size: (copy) => running().engine.sizeOf(copy),
      read: (copy, offset, length) => running().engine.read(copy, offset, length),
    };
  }

  #status(): VolumeStatus {
    const boots = this.#folder?.identity.boots ?? 0;
    // The folder speaks until the registration does, which starts from what the folder holds.
    const known = this.#running?.registration ?? this.#folder?.identity ?? UNKNOWN;
    return {
      name: this.#options.name,
      clusterId: known.clusterId,
      disk: known.disk,
      session: this.#running?.registration.session ?? 0,
      boots,
      podUid: this.#options.podUid,
      version: VERSION,
      state: this.#state(),
      pendingRestart: [...this.#pendingRestart()],
      digest: digestBuild,
    };
  }

  #state(): VolumeStatus['state'] {
    if (this.#isStopping) return 'stopping';
    const registration = this.#running?.registration;
    if (registration !== undefined && registration.session > 0) return 'serving';
    const disk = registration?.disk ?? this.#folder?.identity.disk ?? 0;
    return disk === 0 ? 'unformatted' : 'registering';
  }

  #notReadyReason(): string | null {
    const state = this.#state();
    if (state === 'serving') return null;
    if (state === 'stopping') return 'stopping';
    return this.#running === null ? 'recovering' : 'not registered with a coordinator yet';
  }

  #vitals(engine: StorageEngine) {
    const usage = engine.usage();
    const { advertise, advertiseHttp, fsync, reserveBytes } = this.#options;
    const policy = fsync.kind === 'interval' ? `interval=${fsync.intervalMs}` : fsync.kind;
    return {
      grpcAddress: advertise,
      httpAddress: advertiseHttp,
      copies: usage.copies,
      usedBytes: usage.diskBytes,
      freeBytes: Math.max(0, usage.freeBytes - reserveBytes),
      capacityBytes: usage.capacityBytes,
      acceptsWrites: usage.freeBytes > reserveBytes && !this.#isStopping,
      version: VERSION,
      fsyncPolicy: policy,
      damage: usage.corruptRecords,
    };
  }
}
