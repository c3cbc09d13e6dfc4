/**
 * Tells a torn tail from decay. A record says how far the segment was durable when it was written: bad
 * bytes above the highest such mark were never synced, so a crash tore them, and they are cut; bad
 * bytes below it have decayed, and are left for quarantine. What is kept above the mark is written
 * again, because after a failed sync the page cache may show what the disk does not hold.
 */
import { KvError } from '../../common/errors.ts';
import type { Disk, DiskFile } from '../../disk/disk.ts';
import { ASIDE_SUFFIX, publishFile } from '../../disk/publish.ts';
import type { DamageLog } from '../damage.ts';
import { BROKEN_FILES_MAX, SCAN_WINDOW_BYTES } from '../limits.ts';
import { segmentName } from './names.ts';
import { type Scanned, type ScanSource, scanSegment } from './scan.ts';

export interface TailComponents {
  readonly disk: Disk;
  readonly file: DiskFile;
  readonly damage: DamageLog;
}

export interface TailOptions {
  /** From the last byte known to be durable to the end of the file. */
  readonly source: ScanSource;
  readonly brokenFolder: string;
  /** Called for everything that stays, in order; decayed bytes below the mark are among it. */
  readonly visit: (found: Scanned) => void;
}

/**
 * Cuts a torn tail and syncs the rest; answers where the segment now ends. One pass where nothing is
 * bad: what comes before the first bad bytes stays in any case, and is visited on the way.
 */
export async function mendTail(parts: TailComponents, options: TailOptions): Promise<number> {
  const { source, visit } = options;
  if (source.start === source.end) return source.end;
  let durable = source.start;
  const bad: number[] = [];
  await scanSegment(source, (scanned) => {
    if (scanned.kind !== 'bad-bytes') durable = Math.max(durable, scanned.head.syncedTo);
    if (scanned.kind === 'bad-data') bad.push(scanned.head.offset);
    if (scanned.kind === 'bad-bytes') bad.push(scanned.offset);
    if (bad.length === 0) visit(scanned);
  });
  const end = bad.find((offset) => offset >= durable) ?? source.end;
  if (end < source.end) {
    const keptAside = await keepIfRoom(parts, options, end);
    await parts.file.truncate(end);
    const { segment, end: fileEnd } = source;
    parts.damage.torn({ segment, offset: end, bytes: fileEnd - end, keptAside });
  }
  await rewrite(parts.file, durable, end);
  await parts.file.sync();
  const [firstBad = end] = bad;
  if (firstBad < end) await scanSegment({ ...source, start: firstBad, end }, visit);
  return end;
}

/** A full disk still opens: what is torn was never acknowledged, what else is here is to be read. */
async function keepIfRoom(
  parts: TailComponents,
  options: TailOptions,
  start: number,
): Promise<boolean> {
  try {
    return await keepAside(parts, options, start);
  } catch (error) {
    if (!(error instanceof KvError && error.code === 'NO_SPACE')) throw error;
    parts.damage.notKeptAside(options.source.segment, error);
    await parts.disk.remove(keptPath(options, start) + ASIDE_SUFFIX);
    return false;
  }
}

/** False where enough such files are kept. */
async function keepAside(
  { disk, file }: TailComponents,
  options: TailOptions,
  start: number,
): Promise<boolean> {
  const { source, brokenFolder } = options;
  await disk.makeFolder(brokenFolder);
  const kept = (await disk.list(brokenFolder)).filter((name) => name.endsWith(SUFFIX));
  if (kept.length >= BROKEN_FILES_MAX) return false;
  const pieces: Uint8Array[] = [];
  for (let at = start; at < source.end; ) {
    const piece = await file.read(at, Math.min(SCAN_WINDOW_BYTES, source.end - at));
    if (piece.length === 0) break;
    pieces.push(piece);
    at += piece.length;
  }
  await publishFile(disk, keptPath(options, start), pieces);
  return true;
}

const keptPath = ({ source, brokenFolder }: TailOptions, start: number): string =>
  `${brokenFolder}/${segmentName(source.segment)}-${start}${SUFFIX}`;

const SUFFIX = '.broken';

async function rewrite(file: DiskFile, start: number, end: number): Promise<void> {
  for (let at = start; at < end; ) {
    const bytes = await file.read(at, Math.min(SCAN_WINDOW_BYTES, end - at));
    if (bytes.length === 0) return;
    await file.write(at, [bytes]);
    at += bytes.length;
  }
}
