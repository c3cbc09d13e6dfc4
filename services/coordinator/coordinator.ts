/**
 * A coordinator put together. The listeners open first, so probes and bootstrap need nothing else;
 * then the node learns who it is, opens its log and state, and begins to serve.
 */
import type { Clock } from '../common/clock.ts';
import { sleep } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { clusterId, nodeId } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import { VERSION } from '../common/version.ts';
import type { CoordinatorOptions } from '../config/options.ts';
import { NodeFolder } from '../consensus/node-folder.ts';
import type { Identity } from '../consensus/transport.ts';
import type { Disk } from '../disk/disk.ts';
import type { CoordinatorFrame, VolumeFrame } from '../rpc/generated/registry.ts';
import type { Introduction } from '../rpc/hello.ts';
import type { Network } from '../rpc/network.ts';
import { bidi, startRpcServer } from '../rpc/server.ts';
import { REGISTRY_STREAM } from '../rpc/streams.ts';
import type { Outgoing, RpcServer, StreamEvents } from '../rpc/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { CoordinatorAdmin } from './admin.ts';
import { Bootstrap } from './bootstrap.ts';
import { PeerLinks } from './grpc/peer-links.ts';
import { peerMetrics } from './grpc/peer-metrics.ts';
import { probePeer } from './grpc/probe.ts';
import { RaftService } from './grpc/raft-service.ts';
import type { HttpServer, StartHttp } from './http/server.ts';
import { Member, notReady } from './member.ts';
import type { OpenTable } from './table.ts';

/** Requests under way may end for so long after the listeners have closed. */
const DRAIN_MS = 30 * SECOND_MS;
const RPC_CLOSE_MS = SECOND_MS;

export interface CoordinatorParts {
  readonly disk: Disk;
  readonly openTable: OpenTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly network: Network;
  readonly startHttp: StartHttp;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The process must end before it acknowledges anything more. */
  readonly onFatal: (error: Error) => void;
  /** Entries kept in the log behind the flushed state; a simulation keeps few, so that snapshots are sent. */
  readonly slackEntries?: number;
  /** Bytes after which the log begins another segment; a simulation has small ones, so that some are cut. */
  readonly logSegmentBytes?: number;
}

/** The options that may change while the process runs. */
export type ReloadableOptions = Pick<
  CoordinatorOptions,
  'maxObjectBytes' | 'inlineMaxBytes' | 'blobCacheBytes'
>;

export interface CoordinatorSettings {
  readonly options: CoordinatorOptions;
  readonly pendingRestart: () => readonly string[];
}

/** What stands before the node is a member. */
interface Opened {
  readonly folder: NodeFolder;
  readonly bootstrap: Bootstrap;
  readonly raft: RaftService;
  readonly admin: CoordinatorAdmin;
  readonly http: HttpServer;
  readonly rpc: RpcServer;
}

export class Coordinator {
  readonly #parts: CoordinatorParts;
  readonly #settings: CoordinatorSettings;
  readonly #stopping = new AbortController();
  #stopped: Promise<void> | null = null;
  #reloadable: ReloadableOptions;
  #opened: Opened | null = null;
  #member: Member | null = null;
  #links: PeerLinks | null = null;

  constructor(parts: CoordinatorParts, settings: CoordinatorSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#reloadable = settings.options;
  }

  /** What runs once the node knows who it is, for those who watch it from within; null before. */
  get member(): Member | null {
    return this.#member;
  }

  /** Changed settings, in force from now on. */
  reload(options: ReloadableOptions): void {
    this.#reloadable = options;
    this.#member?.reload(options);
  }

  /** Opens folder and listeners; resolves before the node is a member. */
  async open(): Promise<void> {
    const { disk } = this.#parts;
    const { options } = this.#settings;
    const folder = await NodeFolder.open(disk, {
      path: options.dataPath,
      name: options.name,
      clusterId: options.clusterId === null ? null : clusterId(options.clusterId),
    });
    this.#opened = await this.#listen(folder);
  }

  /** Learns who it is, opens log and state, serves. Resolves once it runs, or at once when stopped. */
  async run(): Promise<void> {
    const opened = this.#require();
    const { signal } = this.#stopping;
    const identity = await opened.bootstrap.run(signal).catch((error: unknown) => {
      if (signal.aborted) return null;
      throw error;
    });
    if (identity === null) return;
    const links = this.#connect(identity);
    const introduce = (): Introduction => this.#introduce();
    const member = await Member.open(
      { ...this.#parts, folder: opened.folder, transport: links, exchange: links, introduce },
      this.#settings.options,
      identity,
    );
    if (signal.aborted) return;
    failpoint('node.confirmed');
    // Durable before the first vote, so that it needs nobody's leave to come back; and behind the first
    // vote file, so that a member without one has lost it.
    await opened.folder.becomeMember();
    member.reload(this.#reloadable);
    this.#member = member;
    opened.raft.attach(links);
    await member.start();
    opened.admin.join(member);
    opened.http.serveData(member.gateway);
    this.#parts.logger.info({ node: identity.node, cluster: identity.clusterId }, 'member runs');
  }

  /** Hands leadership over, drains requests, flushes, closes; asked again it is the same stop. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#stopping.abort();
    const { clock } = this.#parts;
    const { options } = this.#settings;
    const opened = this.#opened;
    // Before there is anything to serve there is nothing to end in good order.
    if (opened === null) return;
    opened.admin.beginStop();
    opened.http.beginDrain();
    await Promise.all([this.#member?.beginStop(), sleep(clock, options.shutdownDelayMs)]);
    await opened.http.close(DRAIN_MS);
    await this.#member?.stop();
    this.#links?.close();
    await opened.rpc.close(RPC_CLOSE_MS);
    await opened.folder.close();
  }

  async #listen(folder: NodeFolder): Promise<Opened> {
    const { clock, random, logger, network } = this.#parts;
    const { options, pendingRestart } = this.#settings;
    const introduce = (): Introduction => this.#introduce();
    const bootstrap = new Bootstrap(
      {
        folder,
        clock,
        random,
        logger,
        probe: (peer) => probePeer({ clock, network, introduce }, peer),
      },
      {
        mode: options.bootstrap,
        clusterId: options.clusterId === null ? null : clusterId(options.clusterId),
        peers: options.peers,
      },
    );
    const raft = new RaftService({
      introduce,
      state: () => this.#member?.directoryState() ?? bootstrap.state(),
      members: () => folder.identity?.members ?? [],
      term: () => this.#member?.consensus.status().term ?? 0,
      clusterView: (timeoutMs) => admin.ownClusterView(timeoutMs),
    });
    const admin: CoordinatorAdmin = new CoordinatorAdmin({
      clock,
      folder,
      options,
      bootstrap: {
        state: () => bootstrap.state(),
        request: (request) =>
          bootstrap.request({
            clusterId: clusterId(request.clusterId),
            members: request.members.map((member) => ({
              node: nodeId(member.nodeId),
              name: member.name,
              address: member.address,
            })),
          }),
      },
      pendingRestart,
      httpAddress: this.#httpAddress(),
      peers: {
        fact: (node) => this.#links?.fact(node),
        clusterView: (node, timeoutMs) => {
          if (this.#links === null) return Promise.reject(notReady());
          return this.#links.clusterView(node, timeoutMs);
        },
      },
    });
    const http = await this.#startHttp();
    http.serveAdmin(admin);
    const registry = bidi(REGISTRY_STREAM, (outgoing) => this.#acceptVolume(outgoing));
    const services = [...raft.services(), registry];
    const rpc = await startRpcServer(
      { clock, logger, network },
      { bind: options.grpcBind, services },
    );
    return { folder, bootstrap, raft, admin, http, rpc };
  }

  #startHttp(): Promise<HttpServer> {
    const { clock, random, logger, metrics, startHttp } = this.#parts;
    const { options } = this.#settings;
    return startHttp(
      { metrics, logger, clock, random },
      {
        httpBind: options.httpBind,
        adminBind: options.adminBind,
        maxObjectBytes: () => this.#reloadable.maxObjectBytes,
        requestTimeoutMs: options.requestTimeoutMs,
        version: VERSION,
      },
    );
  }

  #connect(identity: Identity): PeerLinks {
    const { clock, random, logger, metrics, network } = this.#parts;
    const { peers } = this.#settings.options;
    const introduce = (): Introduction => this.#introduce();
    this.#links = new PeerLinks(
      { clock, random, logger, network, introduce, metrics: peerMetrics(metrics) },
      {
        identity,
        addressOf: (name) => peers.find((peer) => peer.name === name)?.address ?? null,
      },
    );
    return this.#links;
  }

  #acceptVolume(outgoing: Outgoing<CoordinatorFrame>): StreamEvents<VolumeFrame> {
    if (this.#member !== null) return this.#member.registryService.accept(outgoing);
    outgoing.close(notReady());
    return { onMessage: () => undefined, onClosed: () => undefined };
  }

  #introduce(): Introduction {
    const { options } = this.#settings;
    const folder = this.#opened?.folder;
    return {
      clusterId: folder?.identity?.clusterId ?? '',
      role: 'coordinator',
      name: options.name,
      from: folder?.identity?.node ?? 0,
      bootId: folder?.bootId ?? 0,
      address: options.directAddress,
      version: VERSION,
      httpAddress: this.#httpAddress(),
    };
  }

  /** The host that others dial, with the port of the HTTP listener. */
  #httpAddress(): string {
    const { advertise, httpBind } = this.#settings.options;
    const host = advertise.slice(0, advertise.lastIndexOf(':'));
    return `${host}${httpBind.slice(httpBind.lastIndexOf(':'))}`;
  }

  #require(): Opened {
    if (this.#opened === null) throw new KvError('INTERNAL', 'the coordinator is not open');
    return this.#opened;
  }
}
