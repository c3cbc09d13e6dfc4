/**
 * Opens a volume's files: which segments there are, what the index snapshot knows of them, and what
 * has to be read. Damage below a durable mark is quarantined in place; the tail above it, which a
 * crash may have torn, is cut before anything is appended.
 */
import type { Clock } from '../common/clock.ts';
import type { Disk } from '../disk/disk.ts';
import { ASIDE_SUFFIX } from '../disk/publish.ts';
import type { DamageLog } from './damage.ts';
import { Catalog } from './index/catalog.ts';
import type { SegmentInfo } from './index/segments.ts';
import { KIND } from './record.ts';
import type { SegmentFiles } from './segment/files.ts';
import { decodeSegmentHeader, SEGMENT_HEADER_BYTES } from './segment/header.ts';
import type { ActiveSegment } from './segment/journal.ts';
import { type Paths, segmentOf } from './segment/names.ts';
import { type Scanned, scanSegment } from './segment/scan.ts';
import { mendTail } from './segment/tail.ts';
import type { loadSnapshot } from './snapshot/file.ts';

export interface RecoverComponents {
  readonly disk: Disk;
  readonly files: SegmentFiles;
  readonly clock: Clock;
  readonly damage: DamageLog;
  readonly paths: Paths;
  /** Begun before the folder is locked: a snapshot is right however old it is. */
  readonly loading: ReturnType<typeof loadSnapshot>;
  /** The life before this one ended by `close`: its snapshot must be there and hold. */
  readonly endedCleanly: boolean;
}

export interface Recovered {
  readonly catalog: Catalog;
  readonly active: ActiveSegment | null;
  readonly fromSnapshot: boolean;
  readonly replayedRecords: number;
  readonly clean: boolean;
}

/** Which segment files stand where. */
interface Found {
  readonly sealed: Set<number>;
  /** The active one, or one whose sealing a crash has interrupted. */
  readonly wal: readonly number[];
}

export async function recover(parts: RecoverComponents): Promise<Recovered> {
  const found = await findSegments(parts);
  const loaded = await parts.loading;
  const { damage, endedCleanly } = parts;
  if (loaded === 'damaged') damage.badSnapshot('it does not verify');
  if (loaded === 'absent' && endedCleanly) damage.badSnapshot('a clean stop left none');
  if (typeof loaded === 'object') {
    // Only the snapshot of the very stop before this start knows all that must be there.
    const isLast = endedCleanly && loaded.description.clean;
    const recovery = new Recovery(parts, loaded.catalog, { ...found, isComplete: isLast });
    const short = await recovery.shortSegment();
    if (short === null) {
      const recovered = await recovery.run();
      const clean = loaded.description.clean && recovered.replayedRecords === 0;
      return { ...recovered, fromSnapshot: true, clean: clean && damage.corruptCount === 0 };
    }
    if (isLast) damage.lost(short, 'it is shorter than at the clean stop');
    damage.badSnapshot('it knows more than the segments hold');
  }
  const isNew = found.sealed.size === 0 && found.wal.length === 0 && !endedCleanly;
  const recovery = new Recovery(parts, new Catalog(), { ...found, isComplete: false });
  return { ...(await recovery.run()), fromSnapshot: false, clean: isNew };
}

/**
 * A process that was killed may have left names that no sync has covered. They are made durable before
 * anything rests on them: a removal of what they replace could else outlive them.
 */
async function findSegments({ disk, files, paths }: RecoverComponents): Promise<Found> {
  await disk.makeFolder(paths.segments);
  await disk.syncFolder(paths.segments);
  await disk.syncFolder(paths.wal);
  const sealed = new Set(await listSegments(disk, paths.segments));
  const wal: number[] = [];
  for (const segment of await listSegments(disk, paths.wal)) {
    /* The copy among the sealed ones was complete when it got its name. */
    if (sealed.has(segment)) await disk.remove(files.activePath(segment));
    else wal.push(segment);
  }
  return { sealed, wal };
}

async function listSegments(disk: Disk, folder: string): Promise<readonly number[]> {
  const segments: number[] = [];
  for (const name of await disk.list(folder)) {
    const segment = segmentOf(name);
    if (segment !== null) segments.push(segment);
    const aside = name.endsWith(ASIDE_SUFFIX) ? name.slice(0, -ASIDE_SUFFIX.length) : '';
    if (segmentOf(aside) !== null) await disk.remove(`${folder}/${name}`);
  }
  return segments;
}

class Recovery {
  readonly #parts: RecoverComponents;
  readonly #catalog: Catalog;
  readonly #found: Found & { readonly isComplete: boolean };
  #replayed = 0;
  /** Something besides the active segment's tail was read or lost: count anew. */
  #recount = false;
  #sealSeen = false;

  /** `isComplete`: each segment that the catalog knows must be there. */
  constructor(
    parts: RecoverComponents,
    catalog: Catalog,
    found: Found & { readonly isComplete: boolean },
  ) {
    this.#parts = parts;
    this.#catalog = catalog;
    this.#found = found;
  }

  /** The active segment where it no longer has bytes of which the snapshot speaks, else null. */
  async shortSegment(): Promise<number | null> {
    const { files } = this.#parts;
    for (const { segment, bytes, sealed } of this.#catalog.segments.all()) {
      if (sealed || !this.#found.wal.includes(segment)) continue;
      const file = await files.openActive(segment);
      if ((await file.size()) < bytes) return segment;
    }
    return null;
  }

  async run(): Promise<Omit<Recovered, 'fromSnapshot' | 'clean'>> {
    await this.#meetNewSegments();
    this.#forgetGone();
    for (const info of this.#ascending()) {
      if (!info.sealed && this.#found.sealed.has(info.segment)) await this.#replaySealed(info);
    }
    const active = await this.#replayWal();
    if (this.#recount) this.#catalog.recount();
    return { catalog: this.#catalog, active, replayedRecords: this.#replayed };
  }

  /** Reads the heads of segments that the snapshot does not know; replaced ones go first of all. */
  async #meetNewSegments(): Promise<void> {
    const { files, damage } = this.#parts;
    const { segments } = this.#catalog;
    const replaced = new Set<number>();
    for (const segment of [...this.#found.sealed, ...this.#found.wal]) {
      if (segments.get(segment) !== undefined) continue;
      const header = decodeSegmentHeader(await this.#readHeader(segment), segment);
      if (header === null) {
        segments.addUnreadable(segment);
        damage.corrupt({ segment, offset: 0, why: 'unreadable head' }, 'segment_header');
        continue;
      }
      segments.add(segment, header.salt).bytes = SEGMENT_HEADER_BYTES;
      for (const victim of header.replaces) replaced.add(victim);
      if (this.#found.sealed.has(segment)) this.#recount = true;
    }
    const victims = [...replaced].filter((segment) => this.#found.sealed.delete(segment));
    if (victims.length > 0) await files.remove(victims);
  }

  /** A snapshot older than a compaction knows files that are gone, with all that was in them. */
  #forgetGone(): void {
    const { segments } = this.#catalog;
    const gone = new Set<number>();
    for (const { segment } of segments.all()) {
      if (this.#pathOf(segment) === null) gone.add(segment);
    }
    if (gone.size === 0) return;
    for (const segment of gone) {
      if (this.#found.isComplete) this.#parts.damage.lost(segment, 'its file is gone');
      segments.remove(segment);
    }
    this.#catalog.sweep((segment) => gone.has(segment));
    this.#recount = true;
  }

  async #replaySealed(info: SegmentInfo): Promise<void> {
    const { files } = this.#parts;
    const end = await files.size(info.segment);
    const isOutput = info.bytes === SEGMENT_HEADER_BYTES;
    await scanSegment(this.#source(info, end), (scanned) => this.#apply(info, scanned, isOutput));
    info.bytes = end;
    info.sealed = true;
  }

  /** The active segment: its tail is mended, its sealing finished where a crash came between. */
  async #replayWal(): Promise<ActiveSegment | null> {
    let active: ActiveSegment | null = null;
    for (const info of this.#ascending()) {
      if (info.sealed) continue;
      active = await this.#replayActive(info);
      if (!this.#sealSeen) continue;
      await this.#parts.files.sealActive();
      info.sealed = true;
      active = null;
    }
    return active;
  }

  async #replayActive(info: SegmentInfo): Promise<ActiveSegment> {
    const { disk, files, damage, paths } = this.#parts;
    const { segment, salt } = info;
    const file = await files.openActive(segment);
    const source = this.#source(info, await file.size());
    this.#sealSeen = false;
    const visit = (scanned: Scanned): void => this.#apply(info, scanned, false);
    const options = { source, brokenFolder: paths.broken, visit };
    const written = await mendTail({ disk, file, damage }, options);
    info.bytes = written;
    return { segment, salt, file, written, synced: written };
  }

  #apply(info: SegmentInfo, scanned: Scanned, countsCommits: boolean): void {
    const { damage } = this.#parts;
    const { segment } = info;
    if (scanned.kind === 'bad-bytes') {
      damage.corrupt({ segment, offset: scanned.offset, why: 'no record verifies here' });
      this.#recount = true;
      return;
    }
    const { head } = scanned;
    this.#replayed += 1;
    this.#sealSeen = head.kind === KIND.seal;
    if (scanned.kind === 'bad-data') {
      damage.corrupt({ segment, offset: head.offset, why: 'the checksum of the bytes is wrong' });
      this.#recount = true;
      /* A bad chunk is left out: its copy is then found incomplete, and so bad, not absent. */
      if (head.kind === KIND.chunk) return;
    }
    if (countsCommits && head.kind === KIND.commit) info.keptBytes += head.recordBytes;
    this.#catalog.apply(head, scanned.kind === 'record', Number.NEGATIVE_INFINITY);
  }

  #source(info: SegmentInfo, end: number): Parameters<typeof scanSegment>[0] {
    const { segment, salt, bytes: start } = info;
    const read = (offset: number, length: number): Promise<Buffer> =>
      this.#parts.files.read(segment, offset, length);
    return { segment, salt, start, end, read };
  }

  #ascending(): readonly SegmentInfo[] {
    return [...this.#catalog.segments.all()].sort((a, b) => a.segment - b.segment);
  }

  #pathOf(segment: number): string | null {
    const { files } = this.#parts;
    if (this.#found.sealed.has(segment)) return files.sealedPath(segment);
    return this.#found.wal.includes(segment) ? files.activePath(segment) : null;
  }

  async #readHeader(segment: number): Promise<Uint8Array> {
    const path = this.#pathOf(segment);
    if (path === null) return new Uint8Array(0);
    const file = await this.#parts.disk.open(path, 'read');
    try {
      return await file.read(0, SEGMENT_HEADER_BYTES);
    } finally {
      await file.close();
    }
  }
}
