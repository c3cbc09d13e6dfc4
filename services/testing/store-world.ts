/**
 * One coordinator and its volumes in one process: gateway, settler, jobs, data streams, participants,
 * askers and engines are the real ones; only sockets, disks, clock and log are stand-ins. A volume can
 * lose its power at any moment and come back, in its new session only once the test registers it.
 */
import { utf8 } from '../common/bytes.ts';
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { type DiskId, diskId, logIndex, type Session, session } from '../common/ids.ts';
import { seededRandom } from '../common/random.ts';
import { MINUTE_MS } from '../common/units.ts';
import { BlobCache } from '../coordinator/blob-cache.ts';
import { Committer } from '../coordinator/committer.ts';
import type { MutationContext, MutationResult } from '../coordinator/gateway.ts';
import { GatewayCore } from '../coordinator/gateway-core.ts';
import { AdvanceJob } from '../coordinator/jobs/advance.ts';
import { Reaper } from '../coordinator/jobs/reaper.ts';
import { Repair } from '../coordinator/jobs/repair.ts';
import { ReadPath } from '../coordinator/read-path.ts';
import { Settler } from '../coordinator/settler.ts';
import { VolumeStreams } from '../coordinator/volume-client.ts';
import type { LiveVolume, VolumeDirectory } from '../coordinator/volume-port.ts';
import type { OpenLink } from '../coordinator/volume-stream.ts';
import { WritePath } from '../coordinator/write-path.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import type { DataReplies, DataRequests } from '../rpc/generated/volume.ts';
import { helloTo, type Introduction } from '../rpc/hello.ts';
import type { OnOpen, Outgoing, StreamEvents } from '../rpc/types.ts';
import { openEngine } from '../storage/engine.ts';
import type { CopyInfo, FsyncPolicy, StorageEngine } from '../storage/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { Asker } from '../volume/asker.ts';
import { DataService } from '../volume/data-service.ts';
import { Unnamed } from '../volume/unnamed.ts';
import { drain, noMetrics, pieces } from './coordinator-world.ts';
import { FakeConsensus } from './fake-consensus.ts';
import { introductionOf } from './introductions.ts';
import { ManualClock } from './manual-clock.ts';
import { MemoryMetadata } from './memory-metadata.ts';
import { CountingMetrics } from './storage-rig.ts';

export const FENCE_MS = MINUTE_MS;
export const GRACE_MS = 1.5 * MINUTE_MS;

const READING = { consistency: 'linearizable', minIndex: logIndex(0), timeoutMs: 2000 } as const;

/** One life of a volume, between its start and the loss of its power. */
interface Life {
  readonly engine: StorageEngine;
  readonly data: DataService;
  readonly asker: Asker;
}

export class StoreVolume {
  readonly disk: DiskId;
  readonly files = new MemoryDisk();
  session: Session = session(0);
  boots = 1;
  /** Null while it has no power. */
  life: Life | null = null;
  /** Breaks the streams to it. */
  readonly breaks = new Set<() => void>();

  constructor(disk: DiskId) {
    this.disk = disk;
  }

  get engine(): StorageEngine {
    if (this.life === null) throw new Error(`disk ${this.disk} has no power`);
    return this.life.engine;
  }
}

export class StoreWorld implements VolumeDirectory {
  readonly clock = new ManualClock();
  readonly random = seededRandom(7);
  readonly logger = silentLogger;
  readonly metrics = noMetrics;
  readonly metadata = new MemoryMetadata();
  readonly consensus = new FakeConsensus(this.clock, this.metadata);
  readonly directory = this;
  readonly registry = this;
  /** No value is answered from memory: reads show what volumes hold. */
  readonly cache = new BlobCache({ bytesMax: 0 });
  /** All values lie on volumes. */
  readonly inline = { takes: (): boolean => false };
  readonly introduce = (): Introduction => introductionOf('coordinator', 1);
  readonly openLink: OpenLink = (options) => this.#connect(options);
  readonly volumes = new VolumeStreams(this);
  readonly settler = new Settler(this);
  readonly committer = new Committer(this);
  readonly advance = new AdvanceJob(this, {
    fenceMs: FENCE_MS,
    graceMs: GRACE_MS,
    outcomesMax: 1000,
  });
  readonly hintAdvance = (): void => this.advance.hint();
  readonly gateway: GatewayCore;
  readonly #fsync: FsyncPolicy;
  readonly #stores = new Map<DiskId, StoreVolume>();
  readonly #listeners: (() => void)[] = [];

  private constructor(fsync: FsyncPolicy) {
    this.#fsync = fsync;
    const writes = new WritePath(this, { replicas: 3, minReplicas: 2 });
    const { metadata } = this;
    this.gateway = new GatewayCore({ writes, reads: new ReadPath(this), metadata });
  }

  static async start(
    options: { readonly volumes?: number; readonly fsync?: FsyncPolicy } = {},
  ): Promise<StoreWorld> {
    const world = new StoreWorld(options.fsync ?? { kind: 'always' });
    world.volumes.start();
    world.committer.start();
    for (let n = 1; n <= (options.volumes ?? 3); n += 1) {
      world.#stores.set(diskId(n), new StoreVolume(diskId(n)));
      await world.powerOn(n);
      world.register(n);
    }
    world.advance.start();
    new Reaper(world).start();
    new Repair(world, { replicas: 3 }).start();
    await world.settle();
    return world;
  }

  store(disk: number): StoreVolume {
    const store = this.#stores.get(diskId(disk));
    if (store === undefined) throw new Error(`no disk ${disk}`);
    return store;
  }

  stores(): readonly StoreVolume[] {
    return [...this.#stores.values()];
  }

  /** Ends the volume at once; its disk keeps what was synced and nothing else. */
  powerOff(disk: number): void {
    const store = this.store(disk);
    store.life?.asker.stop();
    store.life = null;
    store.session = session(0);
    store.files.crash();
    for (const cut of [...store.breaks]) cut();
    this.#changed();
  }

  /** Opens what its disk holds. It has no session yet. */
  async powerOn(disk: number): Promise<void> {
    const store = this.store(disk);
    const { clock, logger, random } = this;
    const opening = openEngine(
      { disk: store.files, clock, random, logger, metrics: new CountingMetrics() },
      {
        dataPath: '/data',
        walPath: '/data/wal',
        fsync: this.#fsync,
        reserveBytes: 0,
        compactionBytesPerSecond: 0,
        capacityBytes: 0,
        // What an engine without power still tries on its old files fails, and nobody is there to mind.
        onFailure: (error) => {
          if (store.life?.engine === engine) throw error;
        },
      },
    );
    const engine: StorageEngine = await this.run(opening);
    const asker: Asker = new Asker(
      { clock, logger, engine, ask: (copies) => this.#ask(store, asker, copies) },
      { reconcile: store.boots > 1 },
    );
    const data = new DataService({
      clock,
      logger,
      engine,
      session: () => ({ disk: store.disk, session: store.session, accepting: true }),
      puller: {
        pull: async ({ end, sourceDisk, sourceCopyId }) => {
          const source = await this.store(sourceDisk).engine.read(sourceCopyId, 0, end.sizeBytes);
          if (source.kind !== 'found') throw new KvError('NOT_FOUND', 'no such copy');
          await engine.stageWhole(end, source.data, true);
        },
      },
      unnamed: new Unnamed(engine),
      hello: () => helloTo(introductionOf('volume', store.disk), 0),
      checkHello: () => null,
    });
    asker.start();
    store.life = { engine, data, asker };
  }

  /** Begins a session of a volume that has power, and lets the coordinator hear of it. */
  register(disk: number): void {
    const store = this.store(disk);
    const isNew = this.metadata.disk(store.disk) === undefined;
    this.consensus.apply({
      kind: 'register',
      disk: isNew ? diskId(0) : store.disk,
      volume: `volume-${disk}`,
      boots: store.boots,
      nonce: `nonce-${disk}-${store.boots}`,
      clean: false,
      zone: null,
      capacityBytes: 2 ** 40,
    });
    store.boots += 1;
    store.session = this.metadata.disk(store.disk)?.session ?? session(0);
    this.#changed();
  }

  put(key: string, value: string, context: Partial<MutationContext> = {}): Promise<MutationResult> {
    const request = { key: utf8(key), condition: null, headers: [], declaredBytes: null };
    const more = { body: pieces(utf8(value)), expectedDigest: null, maxBytes: 2 ** 30 };
    return this.gateway.put({ ...request, ...more }, this.mutation(context));
  }

  remove(key: string): Promise<MutationResult> {
    return this.gateway.delete(utf8(key), null, this.mutation());
  }

  async get(key: string): Promise<string> {
    const read = async (): Promise<string> => {
      const context = { ...READING, signal: new AbortController().signal };
      const found = await this.gateway.find(utf8(key), context);
      const opened = await this.gateway.open(found, null, utf8(key), context);
      return Buffer.from(await drain(opened)).toString();
    };
    return this.run(read());
  }

  mutation(more: Partial<MutationContext> = {}): MutationContext {
    const signal = new AbortController().signal;
    const fixed = { requestId: 'r', principal: 'p', idempotencyKey: null, timeoutMs: 5000 };
    return { ...fixed, signal, ...more };
  }

  /** States of all copies on a disk that has power, besides dropped ones. */
  async states(disk: number): Promise<readonly string[]> {
    const copies = await this.run(
      this.store(disk).engine.list(null, 1000, ['open', 'staged', 'committed']),
    );
    return copies.map(({ state }) => state).sort();
  }

  /** Copies that a disk holds and no record names there, or the other way round. */
  async differences(): Promise<readonly string[]> {
    const named = new Set<string>();
    const scan = { after: null, limit: 1000, minIndex: logIndex(0) };
    for (const { value } of await this.metadata.records(scan)) {
      for (const { disk, copyId } of value.copies) named.add(`${disk} ${copyId}`);
    }
    const held = new Set<string>();
    for (const { disk, engine } of this.stores()) {
      const copies = await this.run(engine.list(null, 1000, ['open', 'staged', 'committed']));
      for (const { copyId } of copies) held.add(`${disk} ${copyId}`);
    }
    return [
      ...[...held].filter((name) => !named.has(name)).map((name) => `extra ${name}`),
      ...[...named].filter((name) => !held.has(name)).map((name) => `missing ${name}`),
    ];
  }

  /** Lets everything that time alone can end come to its end: fence, grace, questions, drops. */
  async quiesce(): Promise<void> {
    for (let i = 0; i < 40; i += 1) {
      await this.clock.advance(GRACE_MS / 10);
      await this.settle();
    }
  }

  /** Lets everything come to rest that needs no time. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 24; turns += 1) {
      await new Promise<void>((resolve) => {
        setImmediate(resolve);
      });
      await this.clock.flush();
    }
  }

  /** The end of what needs no time. */
  async run<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    work.then(over, over);
    for (let i = 0; i < 100 && !isOver; i += 1) await this.settle();
    if (!isOver) throw new Error('it waits for something else');
    return work;
  }

  live(): readonly LiveVolume[] {
    return this.stores()
      .filter((store) => store.session !== 0)
      .map(({ disk, session: own }) => ({
        disk,
        session: own,
        name: `volume-${disk}`,
        grpcAddress: String(disk),
        directAddress: '',
        bootId: 1,
        httpAddress: '',
        zone: '',
        capacityBytes: 2 ** 40,
        freeBytes: 2 ** 39,
        usedBytes: 0,
        copies: 0,
        acceptsWrites: true,
        leaving: false,
        version: '1',
        fsyncPolicy: this.#fsync.kind,
        damage: 0,
        heardAtMs: 0,
        suspected: false,
      }));
  }

  find(disk: DiskId): LiveVolume | undefined {
    return this.live().find((volume) => volume.disk === disk);
  }

  suspect(): void {}

  isAwaited(): boolean {
    return false;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A coordinator that holds the disk's session answers from its applied state. */
  #ask(store: StoreVolume, asker: Asker, copies: readonly CopyInfo[]): boolean {
    if (store.session === 0) return false;
    for (const { copyId, txnId, owner } of copies) {
      const verdict = this.metadata.ask({ disk: store.disk, copyId, txnId, owner });
      if (verdict === 'LATER') this.hintAdvance();
      this.clock.soon(() => void asker.answered(copyId, verdict));
    }
    return true;
  }

  /** A stream between the two real ends; each message takes a turn of the clock. */
  #connect({ address, onOpen }: Parameters<OpenLink>[0]): ReturnType<OpenLink> {
    const store = this.store(Number(address()));
    const data = store.life?.data;
    if (data === undefined) throw new Error('no volume without power is live');
    return pipe(this.clock, store, { onOpen, accept: data.accept });
  }
}

function pipe(
  clock: Clock,
  store: StoreVolume,
  ends: {
    readonly onOpen: OnOpen<DataRequests, DataReplies>;
    readonly accept: OnOpen<DataReplies, DataRequests>;
  },
): ReturnType<OpenLink> {
  let isOpen = true;
  let near: StreamEvents<DataReplies> | null = null;
  let far: StreamEvents<DataRequests> | null = null;
  const cut = (): void => {
    if (!isOpen) return;
    isOpen = false;
    store.breaks.delete(cut);
    const reason = new KvError('UNAVAILABLE', 'the stream broke');
    near?.onClosed(reason);
    far?.onClosed(reason);
  };
  const wire = <M>(other: () => StreamEvents<M> | null): Outgoing<M> => ({
    remote: 'pipe',
    close: cut,
    send: (message) => {
      clock.soon(() => {
        if (isOpen) other()?.onMessage(message);
      });
      return isOpen;
    },
  });
  store.breaks.add(cut);
  far = ends.accept(wire(() => near));
  near = ends.onOpen(wire(() => far));
  return { connected: true, redial: () => undefined, close: cut };
}
