/**
 * Brings thin keys back to their replication factor: a volume pulls a copy under a fresh id, checked
 * against the size and digest of the metadata, and a Move makes it count. Whatever changes meanwhile
 * makes apply refuse the Move, and the new copy is dropped when its volume asks.
 */
import { type Clock, withDeadline } from '../../common/clock.ts';
import { asError, KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import { type CopyId, type DiskId, logIndex, mintTxnId } from '../../common/ids.ts';
import { mintCopyId, type Random } from '../../common/random.ts';
import { Semaphore } from '../../common/semaphore.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Move } from '../../metadata/commands.ts';
import type { Copy, ThinRow, ValueRecord } from '../../metadata/records.ts';
import {
  type KnownCopy,
  planRepair,
  type RepairDisk,
  type RepairStep,
} from '../../placement/repair.ts';
import { shardOf } from '../../placement/shard.ts';
import type { Logger } from '../../telemetry/logger.ts';
import { LIMITS } from '../limits.ts';
import type { Decision, Metadata } from '../metadata-port.ts';
import type { JobMetrics } from '../metrics.ts';
import type { VolumeClient } from '../volume-port.ts';
import type { VolumeRegistry } from '../volume-registry.ts';
import { orAborted } from './or-aborted.ts';
import { PeriodicJob } from './periodic-job.ts';

export interface RepairComponents {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly registry: Pick<VolumeRegistry, 'find' | 'isAwaited' | 'suspect' | 'onChange'>;
  readonly volumes: VolumeClient;
  readonly metrics: JobMetrics;
}

export interface RepairOptions {
  /** Replication factor. */
  readonly replicas: number;
}

const ROWS_MAX = 256;
const REPAIRS_AT_ONCE = 4;
const MOVE_TIMEOUT_MS = 10 * SECOND_MS;
/** What says that the source, and not the target, is at fault. */
const SOURCE_FAULTS = new Set<string>(['NOT_FOUND', 'CORRUPT', 'CHECKSUM_MISMATCH']);

type Outcome = 'moved' | 'nothing' | 'failed';

/** A key's value and its next step towards the wanted copies. */
interface Patient {
  readonly key: Uint8Array;
  readonly record: ValueRecord;
}

export class Repair {
  readonly #components: RepairComponents;
  readonly #options: RepairOptions;
  readonly #job: PeriodicJob;
  readonly #permits = new Semaphore(REPAIRS_AT_ONCE);

  constructor(components: RepairComponents, options: RepairOptions) {
    this.#components = components;
    this.#options = options;
    const { metadata } = components;
    this.#job = new PeriodicJob(components, {
      name: 'repair',
      intervalMs: SECOND_MS,
      isDue: () => metadata.counters.underReplicated > 0 && this.#isTrustedLeader(),
      run: (signal) => this.#run(signal),
    });
  }

  start(): void {
    // A volume that is back is filled at once.
    this.#components.registry.onChange(() => this.#job.poke());
    this.#job.start();
  }

  stop(): Promise<void> {
    return this.#job.stop();
  }

  #isTrustedLeader(): boolean {
    const { consensus, metadata } = this.#components;
    return metadata.isTrusted && consensus.status().role === 'leader';
  }

  /** Whoever leads next walks as well: two at the same keys would only copy for nothing. */
  #goesOn(signal: AbortSignal): boolean {
    return !signal.aborted && this.#isTrustedLeader();
  }

  /** One walk over all thin keys. */
  async #run(signal: AbortSignal): Promise<void> {
    let after: Uint8Array | null = null;
    while (this.#goesOn(signal)) {
      const rows: readonly ThinRow[] = await this.#components.metadata.thin(after, ROWS_MAX);
      const work = rows.map((row) =>
        this.#permits.run(async () => {
          if (this.#goesOn(signal)) await this.#repair(row, signal);
        }),
      );
      await Promise.all(work);
      after = rows.at(-1)?.key ?? null;
      if (rows.length < ROWS_MAX) return;
    }
  }

  async #repair(row: ThinRow, signal: AbortSignal): Promise<void> {
    const record = this.#components.metadata.record(row.key);
    if (record?.blobId !== row.blobId) return;
    const step = this.#plan(row, record);
    const outcome = await this.#carryOut(step, { key: row.key, record }, signal);
    if (outcome === 'moved' && step.kind === 'copy') {
      this.#components.metrics.copiesRepaired.add();
      this.#components.metrics.bytesRepaired.add(record.size);
    }
  }

  #plan(row: ThinRow, record: ValueRecord): RepairStep {
    const { metadata, registry } = this.#components;
    const disks = metadata
      .disks()
      .filter(({ state }) => state === 'active')
      .map(({ disk, zone, capacityBytes, session }): RepairDisk => {
        const volume = registry.find(disk);
        const isWell = volume?.suspected !== true && volume?.leaving === false;
        const isLive = isWell && volume.acceptsWrites && volume.session === session;
        return {
          disk,
          zone,
          capacityBytes,
          isLive,
          isAwaited: !isLive && registry.isAwaited(disk),
        };
      });
    const copies = record.copies.map((copy) => this.#condition(row, copy));
    return planRepair({ shard: shardOf(row.key), copies, disks, want: this.#options.replicas });
  }

  #condition({ suspects }: ThinRow, copy: Copy): KnownCopy {
    const { metadata, registry } = this.#components;
    const { disk, copyId } = copy;
    const isBad = suspects.some((suspect) => suspect.disk === disk && suspect.copyId === copyId);
    if (isBad) return { disk, condition: 'bad' };
    const state = metadata.disk(disk)?.state;
    if (state === undefined || state === 'gone') return { disk, condition: 'lost' };
    return { disk, condition: registry.find(disk) === undefined ? 'away' : 'good' };
  }

  async #carryOut(step: RepairStep, patient: Patient, signal: AbortSignal): Promise<Outcome> {
    switch (step.kind) {
      case 'copy':
        return this.#copy(step, patient, signal);
      case 'release':
        return this.#release(step.disk, patient, signal);
      case 'wait':
      case 'whole':
        return 'nothing';
    }
  }

  async #copy(
    step: Extract<RepairStep, { kind: 'copy' }>,
    { key, record }: Patient,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { random, volumes } = this.#components;
    const copyOn = (disk: DiskId | null): Copy | undefined =>
      record.copies.find((copy) => copy.disk === disk);
    for (const sourceDisk of step.sources) {
      if (!this.#goesOn(signal)) return 'failed';
      const source = copyOn(sourceDisk);
      if (source === undefined) continue;
      // Fresh ids for each attempt: what an earlier one began is dropped by its volume.
      const copyId = mintCopyId(random);
      const txnId = this.#mint();
      try {
        const pulled = volumes.pull(step.target, {
          copyId,
          txnId,
          owner: key,
          sizeBytes: record.size,
          digest: record.digest,
          sourceDisk,
          sourceCopyId: source.copyId,
        });
        const { session } = await orAborted(pulled, signal);
        failpoint('repair.pulled', key);
        const from = copyOn(step.replaces) ?? null;
        const to = { disk: step.target, session, copyId };
        return await this.#move({ txnId, key, blobId: record.blobId, from, to }, signal);
      } catch (error) {
        if (signal.aborted) return 'failed';
        this.#pullFailed(asError(error), { key, record }, source);
      }
    }
    return 'failed';
  }

  #pullFailed(error: Error, { key, record }: Patient, source: Copy): void {
    const { consensus, logger } = this.#components;
    logger.info({ source: source.disk, error }, 'copy for repair failed');
    if (!(error instanceof KvError) || !SOURCE_FAULTS.has(error.code)) return;
    const { blobId } = record;
    const { disk, copyId } = source;
    const command = encodeCommand({ kind: 'suspect', key, blobId, disk, copyId });
    consensus.propose(command, () => undefined);
  }

  /** Gives a copy up only after every other one has shown its first bytes. */
  async #release(disk: DiskId, { key, record }: Patient, signal: AbortSignal): Promise<Outcome> {
    const from = record.copies.find((copy) => copy.disk === disk) ?? null;
    const rest = record.copies.filter((copy) => copy !== from);
    const areThere = Promise.all(rest.map((copy) => this.#isThere(copy, record.size)));
    // Told to stop, it has not seen them.
    const isSafe = await orAborted(areThere, signal).then(
      (seen) => !seen.includes(false),
      () => false,
    );
    if (from === null || !isSafe) return 'failed';
    const { blobId } = record;
    return this.#move({ txnId: this.#mint(), key, blobId, from, to: null }, signal);
  }

  async #isThere(
    { disk, copyId }: { disk: DiskId; copyId: CopyId },
    size: number,
  ): Promise<boolean> {
    const range = {
      offset: 0,
      length: Math.min(size, LIMITS.pieceBytes),
      timeoutMs: LIMITS.stallMs,
    };
    try {
      const { sizeBytes } = await this.#components.volumes.fetch(disk, copyId, range);
      return sizeBytes === size;
    } catch {
      return false;
    }
  }

  async #move(move: Omit<Move, 'kind' | 'want'>, signal: AbortSignal): Promise<Outcome> {
    const { clock, consensus, metadata } = this.#components;
    const { promise, resolve } = Promise.withResolvers<Decision>();
    const stopAwaiting = metadata.awaitOutcome(move.txnId, resolve);
    try {
      const command = encodeCommand({ kind: 'move', ...move, want: this.#options.replicas });
      consensus.propose(command, () => undefined);
      const onTimeout = (): Error => new KvError('DEADLINE_EXCEEDED', 'no outcome of a move');
      const inTime = withDeadline(clock, promise, MOVE_TIMEOUT_MS, onTimeout);
      const decision = await orAborted(inTime, signal);
      failpoint('repair.moved', move.key);
      return decision.kind === 'applied' ? 'moved' : 'failed';
    } catch {
      // The thin row, if it is still there, brings the key up again.
      return 'failed';
    } finally {
      stopAwaiting();
    }
  }

  #mint(): ReturnType<typeof mintTxnId> {
    const { consensus, random } = this.#components;
    return mintTxnId(logIndex(consensus.status().commit), random.bytes(10));
  }
}
