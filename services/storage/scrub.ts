/**
 * Reads every record once, at a given rate, and quarantines what has decayed, so that damage is found
 * while other replicas are still whole. Of the active segment what was written when its turn came.
 */
import { type Clock, sleep } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import type { DamageLog } from './damage.ts';
import type { Catalog } from './index/catalog.ts';
import type { SegmentInfo } from './index/segments.ts';
import type { SegmentFiles } from './segment/files.ts';
import { SEGMENT_HEADER_BYTES } from './segment/header.ts';
import { type Scanned, scanSegment } from './segment/scan.ts';

export interface ScrubComponents {
  readonly files: SegmentFiles;
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly damage: DamageLog;
}

export interface ScrubResult {
  readonly checked: number;
  readonly bad: number;
}

/** Rejects with the signal's reason when aborted. */
export async function scrub(
  components: ScrubComponents,
  bytesPerSecond: number,
  signal: AbortSignal,
): Promise<ScrubResult> {
  let checked = 0;
  let bad = 0;
  for (const info of components.catalog.segments.all()) {
    const visit = (found: Scanned): void => {
      checked += 1;
      if (found.kind === 'record') return;
      bad += 1;
      quarantine(components, info, found);
    };
    const pace = (bytes: number): Promise<void> =>
      sleep(components.clock, (bytes / bytesPerSecond) * 1000, signal);
    await scan(components, info, { visit, pace });
  }
  return { checked, bad };
}

async function scan(
  { files }: ScrubComponents,
  info: SegmentInfo,
  calls: { visit: (found: Scanned) => void; pace: (bytes: number) => Promise<void> },
): Promise<void> {
  const { segment, salt, bytes: end } = info;
  const read = (offset: number, length: number): Promise<Buffer> =>
    files.read(segment, offset, length);
  const { pace } = calls;
  try {
    await scanSegment({ segment, salt, start: SEGMENT_HEADER_BYTES, end, read, pace }, calls.visit);
  } catch (error) {
    /* Compaction has removed the file meanwhile, and checked what it moved. */
    if (!(error instanceof KvError && error.code === 'NOT_FOUND')) throw error;
  }
}

function quarantine(
  { catalog, damage }: ScrubComponents,
  { segment }: SegmentInfo,
  found: Exclude<Scanned, { kind: 'record' }>,
): void {
  if (found.kind === 'bad-data') {
    damage.corrupt({ segment, offset: found.head.offset, why: 'wrong checksum, met by scrub' });
    if (catalog.isLive(found.head)) catalog.markUnsound(found.head.copyId);
    return;
  }
  damage.corrupt({ segment, offset: found.offset, why: 'no record verifies here, met by scrub' });
  for (const id of catalog.copiesWithin(segment, found.offset, found.end)) catalog.markUnsound(id);
}
