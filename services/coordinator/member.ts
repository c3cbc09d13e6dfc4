/**
 * Everything that runs once this node knows who it is: log, state machine, Raft driver, volumes,
 * gateway and jobs, started in this order and stopped in reverse.
 */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { hexOf, NOBODY } from '../common/ids.ts';
import { Lifecycle, type Part } from '../common/lifecycle.ts';
import type { Random } from '../common/random.ts';
import { KIB, MIB, SECOND_MS } from '../common/units.ts';
import type { CoordinatorOptions } from '../config/options.ts';
import { reportLogDamage } from '../consensus/damage.ts';
import { Driver, TICK_MS } from '../consensus/driver.ts';
import { LogStore } from '../consensus/log-store.ts';
import { type ConsensusMetrics, consensusMetrics } from '../consensus/metrics.ts';
import type { NodeFolder } from '../consensus/node-folder.ts';
import { SnapshotTransfer } from '../consensus/snapshot-transfer.ts';
import type { Identity, Transport } from '../consensus/transport.ts';
import type { Disk } from '../disk/disk.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { RaftLimits } from '../raft/types.ts';
import type { Introduction } from '../rpc/hello.ts';
import { openLink } from '../rpc/link.ts';
import type { Network } from '../rpc/network.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { BlobCache } from './blob-cache.ts';
import { Committer } from './committer.ts';
import { GatewayCore } from './gateway-core.ts';
import { RegistryService } from './grpc/registry-service.ts';
import { InlineRule } from './inline-rule.ts';
import { AdvanceJob } from './jobs/advance.ts';
import { Reaper } from './jobs/reaper.ts';
import { Reconcile } from './jobs/reconcile.ts';
import { Repair } from './jobs/repair.ts';
import { Wipe } from './jobs/wipe.ts';
import { metadataDamageCounter } from './metadata-damage.ts';
import { ReplicatedMetadata } from './metadata-machine.ts';
import { type CoordinatorMetrics, coordinatorMetrics, sampleCoordinator } from './metrics.ts';
import { ReadPath } from './read-path.ts';
import { Settler } from './settler.ts';
import { StateAudit } from './state-audit.ts';
import type { PeerFormats, StateExchange } from './state-exchange.ts';
import type { OpenTable } from './table.ts';
import { VolumeStreams } from './volume-client.ts';
import { VolumeRegistry } from './volume-registry.ts';
import { WritePath } from './write-path.ts';

const SLACK_ENTRIES = 10_000;
const HANDOVER_MS = 2 * SECOND_MS;
const REDIRECT_KEY_BYTES = 32;

const RAFT_LIMITS: RaftLimits = {
  uncommittedBytesMax: 64 * MIB,
  appendBytesMax: 512 * KIB,
  inflightMessagesMax: 64,
  inflightBytesMax: 8 * MIB,
};

export interface MemberParts {
  readonly disk: Disk;
  readonly openTable: OpenTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly folder: NodeFolder;
  readonly transport: Transport;
  readonly exchange: StateExchange & PeerFormats;
  readonly introduce: () => Introduction;
  readonly onFatal: (error: Error) => void;
  readonly slackEntries?: number;
  readonly logSegmentBytes?: number;
}

/** What the open log and state of a folder give. */
interface Opened {
  readonly identity: Identity;
  readonly metadata: ReplicatedMetadata;
  readonly log: LogStore;
  readonly snapshots: SnapshotTransfer;
  readonly consensusMetrics: ConsensusMetrics;
}

export class Member {
  readonly identity: Identity;
  readonly metadata: ReplicatedMetadata;
  readonly consensus: Driver;
  readonly registry: VolumeRegistry;
  readonly registryService: RegistryService;
  readonly gateway: GatewayCore;
  readonly writes: WritePath;
  readonly cache: BlobCache;
  readonly inline: InlineRule;
  readonly #parts: MemberParts;
  readonly #lifecycle = new Lifecycle();
  readonly #order: readonly Part[];

  private constructor(parts: MemberParts, assembled: Assembled) {
    this.#parts = parts;
    this.identity = assembled.identity;
    this.metadata = assembled.metadata;
    this.consensus = assembled.consensus;
    this.registry = assembled.registry;
    this.registryService = assembled.registryService;
    this.gateway = assembled.gateway;
    this.writes = assembled.writes;
    this.cache = assembled.cache;
    this.inline = assembled.inline;
    this.#order = assembled.order;
  }

  /** Opens log and state; nothing runs before `start`. */
  static async open(
    parts: MemberParts,
    options: CoordinatorOptions,
    identity: Identity,
  ): Promise<Member> {
    const { disk, openTable, logger, clock, random, folder, transport, onFatal } = parts;
    const metrics = consensusMetrics(parts.metrics);
    const log = await LogStore.open(
      { disk, clock, random, logger, metrics },
      {
        path: `${folder.path}/raft`,
        isMember: folder.directoryState() === 'member',
        segmentBytes: parts.logSegmentBytes,
      },
    );
    if (folder.damagedSlots > 0) reportLogDamage({ logger, metrics }, 'identity_slot', {});
    const metadata = await ReplicatedMetadata.open(
      { disk, openTable, clock, logger, onFatal, damage: metadataDamageCounter(parts.metrics) },
      { path: `${folder.path}/state` },
    );
    const snapshots = await SnapshotTransfer.open(
      { disk, transport, machine: metadata, self: identity.node },
      `${folder.path}/snapshots`,
    );
    await log.align(metadata.applied, metadata.installed);
    const opened = { identity, metadata, log, snapshots, consensusMetrics: metrics };
    return new Member(parts, assemble(parts, options, opened));
  }

  async start(): Promise<void> {
    this.consensus.onLeadership(({ role }) => {
      if (role === 'leader') this.#initCluster();
    });
    await this.#lifecycle.start(this.#order);
  }

  /** Changed settings, in force from now on. */
  reload({
    blobCacheBytes,
    inlineMaxBytes,
  }: Pick<CoordinatorOptions, 'blobCacheBytes' | 'inlineMaxBytes'>): void {
    this.cache.resize(blobCacheBytes);
    this.inline.limit(inlineMaxBytes);
  }

  /** What a probe of this node answers. */
  directoryState(): 'armed' | 'member' | 'recovering' {
    const { recovering, term } = this.consensus.status();
    if (recovering) return 'recovering';
    return term > 0 ? 'member' : 'armed';
  }

  /** From now on: no new leadership, and the one held is handed over where somebody can take it. */
  async beginStop(): Promise<void> {
    this.consensus.beginStop();
    if (this.consensus.status().role !== 'leader' || this.identity.members.length === 1) return;
    try {
      await this.consensus.transferLeadership(NOBODY, HANDOVER_MS);
    } catch (error) {
      this.#parts.logger.warn({ error }, 'leadership not handed over');
    }
  }

  async stop(): Promise<void> {
    this.writes.beginStop();
    for (const error of await this.#lifecycle.stop()) {
      this.#parts.logger.warn({ error }, 'a part did not stop cleanly');
    }
    await this.metadata.close();
  }

  /** The first leader writes the cluster's record; a second one changes nothing. */
  #initCluster(): void {
    const { metadata, consensus, identity } = this;
    if (metadata.cluster.clusterId !== '') return;
    failpoint('cluster.initializing');
    const redirectKey = hexOf(this.#parts.random.bytes(REDIRECT_KEY_BYTES));
    const { clusterId, members } = identity;
    consensus.propose(
      encodeCommand({ kind: 'init-cluster', clusterId, members, redirectKey }),
      () =>
        this.#parts.clock.after(SECOND_MS, () => {
          if (consensus.status().role === 'leader') this.#initCluster();
        }),
    );
  }
}

/** What a member shows, and its parts in the order of their start. */
type Assembled = Pick<
  Member,
  | 'identity'
  | 'metadata'
  | 'consensus'
  | 'registry'
  | 'registryService'
  | 'gateway'
  | 'writes'
  | 'cache'
  | 'inline'
> & { readonly order: readonly Part[] };

function assemble(parts: MemberParts, options: CoordinatorOptions, opened: Opened): Assembled {
  const { clock, random, logger, network, introduce } = parts;
  const { identity, metadata } = opened;
  const consensus = buildDriver(parts, options, opened);
  const metrics = coordinatorMetrics(parts.metrics);
  const registry = new VolumeRegistry({ clock, logger, metadata }, options);
  const volumes = new VolumeStreams({
    clock,
    logger,
    directory: registry,
    introduce,
    openLink: (link) => openLink({ clock, random, logger, network }, link),
  });
  const shared: Shared = {
    clock,
    random,
    logger,
    consensus,
    metadata,
    directory: registry,
    registry,
    volumes,
    metrics,
  };
  const cache = new BlobCache({ bytesMax: options.blobCacheBytes });
  const committer = new Committer({ ...shared, settler: new Settler(shared) });
  const inline = buildInlineRule(parts, options, opened, consensus);
  const writes = new WritePath({ ...shared, committer, inline }, options);
  const advance = new AdvanceJob(shared, options);
  const hintAdvance = (): void => advance.hint();
  const gateway = new GatewayCore({
    writes,
    reads: new ReadPath({ ...shared, cache, hintAdvance }),
    metadata,
  });
  const registryService = new RegistryService({ ...shared, introduce, hintAdvance });
  const commitsRunning = (): number => committer.running;
  const audit = new StateAudit(
    { clock, logger, state: metadata, exchange: parts.exchange, metrics: metrics.audit },
    { self: identity.node, voters: identity.members.map(({ node }) => node) },
  );
  sampleCoordinator(parts.metrics, { ...shared, cache, audit, commitsRunning });
  const order = [
    // Before the first entry is applied: no index may go by unseen.
    part('state audit', audit),
    part('consensus', consensus),
    part('registry', registry),
    part('volume streams', volumes),
    part('registry service', registryService),
    part('inline rule', inline),
    part('committer', committer),
    part('advance', advance),
    part('reaper', new Reaper(shared)),
    part('reconcile', new Reconcile(shared)),
    part('repair', new Repair(shared, options)),
    part('wipe', new Wipe(shared)),
  ];
  return {
    identity,
    metadata,
    consensus,
    registry,
    registryService,
    gateway,
    writes,
    cache,
    inline,
    order,
  };
}

interface Shared {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly consensus: Driver;
  readonly metadata: ReplicatedMetadata;
  readonly directory: VolumeRegistry;
  readonly registry: VolumeRegistry;
  readonly volumes: VolumeStreams;
  readonly metrics: CoordinatorMetrics;
}

function buildInlineRule(
  { clock, logger, disk, exchange, folder }: MemberParts,
  options: CoordinatorOptions,
  { identity, metadata }: Opened,
  consensus: Driver,
): InlineRule {
  return new InlineRule(
    { clock, logger, metadata, consensus, disk, peers: exchange },
    { ...options, coordinators: identity.members.length, path: folder.path },
  );
}

function buildDriver(parts: MemberParts, options: CoordinatorOptions, opened: Opened): Driver {
  const { clock, logger, random, transport, onFatal } = parts;
  const { identity, metadata, log, snapshots } = opened;
  return new Driver(
    {
      clock,
      logger,
      metrics: opened.consensusMetrics,
      transport,
      machine: metadata,
      log,
      snapshots,
      onFatal,
    },
    {
      slackEntries: parts.slackEntries ?? SLACK_ENTRIES,
      initial: log.initialState(metadata.applied.index),
      raft: {
        self: identity.node,
        voters: identity.members.map(({ node }) => node),
        bootId: parts.folder.bootId,
        heartbeatTicks: Math.max(1, Math.round(options.heartbeatMs / TICK_MS)),
        electionTicksMin: Math.max(2, Math.round(options.electionMs / TICK_MS)),
        randomBelow: (bound) => random.below(bound),
        limits: RAFT_LIMITS,
      },
    },
  );
}

/** What a part may have: some only start. */
interface Startable {
  start(): void;
  stop?(): void | Promise<void>;
}

const part = (name: string, startable: Startable): Part => ({
  name,
  start: () => {
    startable.start();
    return Promise.resolve();
  },
  stop: async () => {
    await startable.stop?.();
  },
});

/** Refusal while this node is no member yet. */
export const notReady = (): KvError =>
  new KvError('NOT_READY', 'this coordinator is not a member of a cluster yet; try another one');
