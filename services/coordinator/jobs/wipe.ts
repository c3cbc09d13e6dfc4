/**
 * After a disk was declared gone, reports every copy that records still name on it, so that the keys
 * become thin and repair finds them. Walks the whole key space, a page at a time, until no record
 * refers to the disk any more.
 */
import type { Clock } from '../../common/clock.ts';
import type { DiskId } from '../../common/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../../common/units.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metadata } from '../metadata-port.ts';
import { orAborted } from './or-aborted.ts';
import { PeriodicJob } from './periodic-job.ts';

export interface WipeComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
}

const KEYS_A_PAGE = 1000;
const BARRIER_MS = 5 * SECOND_MS;
/** A walk has reported everything; the next one only finds what was lost on the way. */
const PAUSE_MS = MINUTE_MS;
const NONE = new Uint8Array(0);

export class Wipe {
  readonly #components: WipeComponents;
  readonly #job: PeriodicJob;
  /** When each disk was last walked for. */
  readonly #walkedMs = new Map<DiskId, number>();

  constructor(components: WipeComponents) {
    this.#components = components;
    this.#job = new PeriodicJob(components, {
      name: 'wipe',
      intervalMs: SECOND_MS,
      isDue: () => this.#isTrustedLeader() && this.#due().size > 0,
      run: (signal) => this.#walk(signal),
    });
  }

  start(): void {
    this.#job.start();
  }

  stop(): Promise<void> {
    return this.#job.stop();
  }

  #isTrustedLeader(): boolean {
    const { consensus, metadata } = this.#components;
    return metadata.isTrusted && consensus.status().role === 'leader';
  }

  #due(): ReadonlySet<DiskId> {
    const nowMs = this.#components.clock.monotonicMs();
    const due = new Set<DiskId>();
    for (const { disk, state, refs } of this.#components.metadata.disks()) {
      const walkedMs = this.#walkedMs.get(disk) ?? Number.NEGATIVE_INFINITY;
      if (state === 'gone' && refs > 0 && nowMs - walkedMs >= PAUSE_MS) due.add(disk);
    }
    return due;
  }

  async #walk(signal: AbortSignal): Promise<void> {
    const { clock, consensus, metadata } = this.#components;
    const gone = this.#due();
    let after: Uint8Array | null = null;
    for (let more = true; more; ) {
      // Whoever leads next walks from the beginning.
      if (signal.aborted || !this.#isTrustedLeader()) return;
      const page = await metadata.list({
        prefix: NONE,
        start: NONE,
        end: NONE,
        after,
        limit: KEYS_A_PAGE,
      });
      for (const { key } of page.entries) this.#report(key, gone);
      // A page's reports are applied before the next page: the log is not flooded.
      await orAborted(consensus.readBarrier(BARRIER_MS), signal);
      after = page.entries.at(-1)?.key ?? null;
      more = page.more && after !== null;
    }
    for (const disk of gone) this.#walkedMs.set(disk, clock.monotonicMs());
  }

  #report(key: Uint8Array, gone: ReadonlySet<DiskId>): void {
    const { consensus, metadata } = this.#components;
    const record = metadata.record(key);
    if (record === undefined) return;
    for (const { disk, copyId } of record.copies) {
      if (!gone.has(disk)) continue;
      const { blobId } = record;
      const command = encodeCommand({ kind: 'suspect', key, blobId, disk, copyId });
      consensus.propose(command, () => undefined);
    }
  }
}
