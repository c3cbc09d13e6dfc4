/**
 * Which values coordinators keep themselves, in the record of their key: one round of consensus stores them,
 * and no volume has to write, vote and be told. Only small ones, since LevelDB writes each several times over;
 * and only while that is as safe as volumes are and the next snapshot still finds room.
 */
import type { Clock } from '../common/clock.ts';
import { GIB, MIB, SECOND_MS } from '../common/units.ts';
import { INLINE_FORMAT } from '../common/version.ts';
import type { Disk } from '../disk/disk.ts';
import type { RaftStatus } from '../raft/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { PeriodicJob } from './jobs/periodic-job.ts';
import type { PeerFormats } from './state-exchange.ts';

const MEASURE_EVERY_MS = 10 * SECOND_MS;
/** Left to what is not the state: the Raft log, and whoever shares the disk. */
const RESERVE_BYTES_MAX = GIB;
const RESERVE_SHARE = 8;
/** A state that the disk does not take down as fast, or a log that waits for followers, must not grow by values. */
const UNFLUSHED_BYTES_MAX = 32 * MIB;
const LOG_BYTES_MAX = 512 * MIB;
/** A snapshot is a file first and then a table, both beside the state that they replace. */
const SNAPSHOT_COPIES = 2;

/** Says where a value goes. */
export interface InlineLimit {
  /** A value of this size is to be kept inline now. */
  takes(sizeBytes: number): boolean;
}

export interface InlineRuleComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly disk: Pick<Disk, 'space'>;
  readonly metadata: { readonly unflushedBytes: number; storedBytes(): Promise<number> };
  readonly consensus: { status(): Pick<RaftStatus, 'logBytes'> };
  readonly peers: PeerFormats;
}

export interface InlineRuleOptions {
  readonly inlineMaxBytes: number;
  /** Copies that a write aims at, and those that it needs. */
  readonly replicas: number;
  readonly minReplicas: number;
  readonly coordinators: number;
  /** A folder on the disk that holds the state. */
  readonly path: string;
}

export class InlineRule implements InlineLimit {
  readonly #components: InlineRuleComponents;
  readonly #options: InlineRuleOptions;
  readonly #measuring: PeriodicJob;
  #maxBytes: number;
  /** null: not measured yet. */
  #hasRoom: boolean | null = null;

  constructor(components: InlineRuleComponents, options: InlineRuleOptions) {
    this.#components = components;
    this.#options = options;
    this.#maxBytes = options.inlineMaxBytes;
    this.#measuring = new PeriodicJob(components, {
      name: 'room for inline values',
      intervalMs: MEASURE_EVERY_MS,
      isDue: () => this.#isWanted,
      run: () => this.#measure(),
    });
  }

  start(): void {
    this.#measuring.start();
    this.#measuring.poke();
  }

  stop(): Promise<void> {
    return this.#measuring.stop();
  }

  /** Changes the largest value, at once; 0: none is kept. */
  limit(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#measuring.poke();
  }

  takes(sizeBytes: number): boolean {
    if (this.#hasRoom !== true || !this.#isWanted || sizeBytes > this.#maxBytes) return false;
    const { metadata, peers } = this.#components;
    return metadata.unflushedBytes <= UNFLUSHED_BYTES_MAX && peers.everyPeerKnows(INLINE_FORMAT);
  }

  /** As many keep a value as copies are wanted; a majority, which an answer waits for, is what a write needs. */
  get #isWanted(): boolean {
    const { coordinators, replicas, minReplicas } = this.#options;
    if (this.#maxBytes === 0) return false;
    return coordinators >= replicas && Math.floor(coordinators / 2) + 1 >= minReplicas;
  }

  async #measure(): Promise<void> {
    const { disk, metadata, consensus, logger } = this.#components;
    const { freeBytes, totalBytes } = await disk.space(this.#options.path);
    const stateBytes = await metadata.storedBytes();
    const reserveBytes = Math.min(RESERVE_BYTES_MAX, totalBytes / RESERVE_SHARE);
    const { logBytes } = consensus.status();
    const isRoomy = freeBytes >= reserveBytes + SNAPSHOT_COPIES * stateBytes;
    const hasRoom = isRoomy && logBytes <= LOG_BYTES_MAX;
    if (this.#hasRoom !== false && !hasRoom) {
      const sizes = { freeBytes, stateBytes, logBytes };
      logger.warn(sizes, 'small values go to volumes: too little room is left for them here');
    }
    this.#hasRoom = hasRoom;
  }
}
