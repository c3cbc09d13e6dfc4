/**
 * After a disk began a session from an unclean or unexpected start, or has met damage in its files,
 * looks for every copy that records name on it: a walk over all records in pages, each asked of the
 * disk itself. What it lacks or has bad becomes Suspect, so that repair makes it anew. Invariant: a page is behind the walk only when
 * all that is missing of it is suspect in the applied state, and `reconciled` is proposed only behind
 * the last page; so whoever leads next may begin again, and nothing is ever skipped.
 */
import { type Clock, sleep } from '../../common/clock.ts';
import { asError, KvError } from '../../common/errors.ts';
import { failpoint } from '../../common/failpoint.ts';
import { type BlobId, type DiskId, logIndex, type Session } from '../../common/ids.ts';
import { SECOND_MS } from '../../common/units.ts';
import type { Consensus } from '../../consensus/types.ts';
import { encodeCommand } from '../../metadata/command-codec.ts';
import type { Copy } from '../../metadata/records.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { Metadata, ScannedRecord } from '../metadata-port.ts';
import type { JobMetrics } from '../metrics.ts';
import type { LiveVolume, VolumeClient, VolumeDirectory } from '../volume-port.ts';
import { orAborted } from './or-aborted.ts';
import { PeriodicJob } from './periodic-job.ts';

export interface ReconcileComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly consensus: Consensus;
  readonly metadata: Metadata;
  readonly directory: VolumeDirectory;
  readonly volumes: Pick<VolumeClient, 'check'>;
  readonly metrics: JobMetrics;
}

/** Records of one page, and the time between two pages: at most 6,400 records a second. */
const RECORDS_A_PAGE = 256;
const PAUSE_MS = 40;
/** A disk that did not answer is asked again after this. */
const RETRY_MS = 5 * SECOND_MS;
/** How long the missing copies of a page may take to be seen suspect, and how often that is looked for. */
const REPORT_MS = 10 * SECOND_MS;
const POLL_MS = 20;
/** What was proposed and is not seen for so long is proposed again. */
const PROPOSAL_MS = 2 * SECOND_MS;

/** Where the walk for one session of a disk stands. */
interface Walk {
  readonly session: Session;
  /** Damage that the disk had told of when this began: what is found later may be behind it. */
  readonly damage: number;
  after: Uint8Array | null;
  isAtEnd: boolean;
  notBeforeMs: number;
  checked: number;
  missing: number;
}

/** A copy that a record names on the disk. */
interface Named extends Copy {
  readonly key: Uint8Array;
  readonly blobId: BlobId;
}

export class Reconcile {
  readonly #components: ReconcileComponents;
  readonly #job: PeriodicJob;
  readonly #walks = new Map<DiskId, Walk>();

  constructor(components: ReconcileComponents) {
    this.#components = components;
    this.#job = new PeriodicJob(components, {
      name: 'reconcile',
      intervalMs: SECOND_MS,
      isDue: () => this.#due().length > 0,
      run: (signal) => this.#run(signal),
    });
  }

  start(): void {
    this.#job.start();
  }

  stop(): Promise<void> {
    return this.#job.stop();
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let due = this.#due(); due.length > 0; due = this.#due()) {
      for (const [disk, walk] of due) {
        if (signal.aborted || !this.#isTrustedLeader()) return;
        await this.#step(disk, walk, signal);
      }
      await sleep(this.#components.clock, PAUSE_MS, signal);
    }
  }

  #isTrustedLeader(): boolean {
    const { consensus, metadata } = this.#components;
    return metadata.isTrusted && consensus.status().role === 'leader';
  }

  /** Disks that are heard in their current session, are not reconciled and may be asked now. */
  #due(): readonly (readonly [DiskId, Walk])[] {
    if (!this.#isTrustedLeader()) return [];
    const { clock, directory, metadata } = this.#components;
    const nowMs = clock.monotonicMs();
    const due: (readonly [DiskId, Walk])[] = [];
    for (const { disk, reconciled, session, state } of metadata.disks()) {
      const live = directory.find(disk);
      if (state === 'gone' || live?.session !== session) continue;
      const walk = this.#walkOf(live, reconciled);
      if (walk !== null && walk.notBeforeMs <= nowMs) due.push([disk, walk]);
    }
    return due;
  }

  /** The walk under way, or a new one where there is a reason; null where nothing is to be done. */
  #walkOf({ disk, session, damage }: LiveVolume, reconciled: boolean): Walk | null {
    const known = this.#walks.get(disk);
    const seen = known?.session === session ? known : null;
    if (seen !== null && !(reconciled && seen.isAtEnd)) return seen;
    if (reconciled && damage <= (seen?.damage ?? 0)) return null;
    const fresh = { after: null, isAtEnd: false, notBeforeMs: 0, checked: 0, missing: 0 };
    const walk: Walk = { session, damage, ...fresh };
    this.#walks.set(disk, walk);
    return walk;
  }

  /** One page, or behind the last one the word that there are no more. */
  async #step(disk: DiskId, walk: Walk, signal: AbortSignal): Promise<void> {
    try {
      if (walk.isAtEnd) this.#propose(disk, walk);
      else await this.#page(disk, walk, signal);
    } catch (thrown) {
      if (signal.aborted) return;
      this.#putOff(walk, RETRY_MS);
      const { session } = walk;
      this.#components.logger.info({ disk, session, error: asError(thrown) }, 'reconcile put off');
    }
  }

  async #page(disk: DiskId, walk: Walk, signal: AbortSignal): Promise<void> {
    const { metadata, metrics } = this.#components;
    // The state at the session names all that was voted before it; what came later was voted in it.
    const minIndex = logIndex(walk.session);
    const page = await metadata.records({ after: walk.after, limit: RECORDS_A_PAGE, minIndex });
    const named = page.flatMap((record) => namedOn(disk, record));
    const isAtEnd = page.length < RECORDS_A_PAGE;
    const asked = this.#missing(disk, walk.session, { named, isAtEnd });
    const missing = await orAborted(asked, signal);
    failpoint('reconcile.checked');
    await this.#report(missing, signal);
    failpoint('reconcile.reported');
    metrics.copiesChecked.add(named.length);
    metrics.copiesMissing.add(missing.length);
    walk.checked += named.length;
    walk.missing += missing.length;
    walk.after = page.at(-1)?.rowKey ?? walk.after;
    walk.isAtEnd = isAtEnd;
    if (!isAtEnd) return;
    const { session, checked, missing: lacking } = walk;
    this.#components.logger.info({ disk, session, checked, missing: lacking }, 'disk is checked');
  }

  /**
   * What the disk says that it lacks or has bad. Only its word in this very session counts. It learns
   * where the walk ends, too: what an earlier session left there and no record named by then, none will.
   */
  async #missing(
    disk: DiskId,
    session: Session,
    { named, isAtEnd }: { readonly named: readonly Named[]; readonly isAtEnd: boolean },
  ): Promise<readonly Named[]> {
    if (named.length === 0 && !isAtEnd) return [];
    const ids = named.map(({ copyId }) => copyId);
    const said = await this.#components.volumes.check(disk, ids, isAtEnd ? session : null);
    if (said.session !== session) {
      throw new KvError('STALE_SESSION', `disk ${disk} answers in session ${said.session}`);
    }
    return named.filter((_, i) => said.conditions[i] !== 'sound');
  }

  /** Resolves once each is suspect in the applied state, or not named by its record any more. */
  async #report(missing: readonly Named[], signal: AbortSignal): Promise<void> {
    const { clock, consensus } = this.#components;
    const endMs = clock.monotonicMs() + REPORT_MS;
    let proposeAtMs = 0;
    let open = missing.filter((copy) => this.#isUnreported(copy));
    while (open.length > 0) {
      const nowMs = clock.monotonicMs();
      if (nowMs >= endMs) throw new KvError('DEADLINE_EXCEEDED', 'missing copies not reported');
      if (nowMs >= proposeAtMs) {
        for (const { key, blobId, disk, copyId } of open) {
          const command = encodeCommand({ kind: 'suspect', key, blobId, disk, copyId });
          consensus.propose(command, () => undefined);
        }
        proposeAtMs = nowMs + PROPOSAL_MS;
      }
      await sleep(clock, POLL_MS, signal);
      open = open.filter((copy) => this.#isUnreported(copy));
    }
  }

  #isUnreported(copy: Named): boolean {
    const { metadata } = this.#components;
    const record = metadata.record(copy.key);
    if (record?.blobId !== copy.blobId) return false;
    const isNamed = record.copies.some((other) => isSame(other, copy));
    return isNamed && !metadata.suspects(copy.key).some((other) => isSame(other, copy));
  }

  #propose(disk: DiskId, walk: Walk): void {
    failpoint('reconcile.ended');
    const command = encodeCommand({ kind: 'reconciled', disk, session: walk.session });
    this.#components.consensus.propose(command, () => undefined);
    this.#putOff(walk, PROPOSAL_MS);
  }

  #putOff(walk: Walk, delayMs: number): void {
    walk.notBeforeMs = this.#components.clock.monotonicMs() + delayMs;
  }
}

function namedOn(disk: DiskId, { key, value }: ScannedRecord): readonly Named[] {
  const { blobId, copies } = value;
  return copies.filter((copy) => copy.disk === disk).map((copy) => ({ ...copy, key, blobId }));
}

const isSame = (a: Copy, b: Copy): boolean => a.disk === b.disk && a.copyId === b.copyId;
