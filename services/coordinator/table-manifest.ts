/**
 * Which tables a LevelDB folder consists of: the file that `CURRENT` names holds edits, each a set of tables
 * that went and came, and all edits together are the list. LevelDB syncs a table before the edit that lists it.
 *
 *   blocks of 32 KiB of fragments: masked CRC-32C u32 (type and data) · length u16 · type u8 · data; fewer
 *   than seven bytes at the end of a block are padding. type: 1 whole edit, 2 first, 3 middle, 4 last part
 *
 * Source: log_format.md and version_edit.cc of LevelDB.
 */
import { join } from 'node:path';
import { concatBytes } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { bufferOf } from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import { contentOf } from '../disk/content.ts';
import type { Disk } from '../disk/disk.ts';
import { Cursor, isCrcOf } from './leveldb-bytes.ts';

const MANIFEST_NAME = /^MANIFEST-[0-9]+\n$/;
const BLOCK_BYTES = 32 * KIB;
const FRAGMENT_HEAD_BYTES = 7;

/** Numbers of the table files that the folder needs; null where its manifest cannot be read. */
export async function listedTables(
  disk: Disk,
  folder: string,
): Promise<ReadonlySet<number> | null> {
  try {
    const current = bufferOf(await contentOf(disk, join(folder, 'CURRENT'))).toString('latin1');
    if (!MANIFEST_NAME.test(current)) return null;
    return tablesOf(await contentOf(disk, join(folder, current.trimEnd())));
  } catch (error) {
    const isUnreadable =
      error instanceof KvError && (error.code === 'CORRUPT' || error.code === 'NOT_FOUND');
    if (isUnreadable) return null;
    throw error;
  }
}

/**
 * What a manifest of these bytes lists. An edit that a crash has cut off at its end does not count, for
 * LevelDB neither. @throws KvError `CORRUPT`.
 */
export function tablesOf(manifest: Uint8Array): ReadonlySet<number> {
  const places = new Map<string, number>();
  for (const edit of editsOf(manifest)) {
    const { gone, come } = changesOf(edit);
    for (const [level, number] of gone) places.delete(`${level}/${number}`);
    for (const [level, number] of come) places.set(`${level}/${number}`, number);
  }
  return new Set(places.values());
}

const FRAGMENT = { whole: 1, first: 2, middle: 3, last: 4 } as const;

interface Fragment {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Each whole edit, oldest first. @throws KvError `CORRUPT`. */
function* editsOf(manifest: Uint8Array): Generator<Uint8Array> {
  let parts: Uint8Array[] = [];
  for (const { type, data } of fragmentsOf(manifest)) {
    const begins = type === FRAGMENT.whole || type === FRAGMENT.first;
    if (begins !== (parts.length === 0)) throw bad('a fragment is out of place');
    parts.push(data);
    if (type !== FRAGMENT.whole && type !== FRAGMENT.last) continue;
    yield concatBytes(parts);
    parts = [];
  }
}

/** Up to the end, or to one that is not all there. @throws KvError `CORRUPT`. */
function* fragmentsOf(bytes: Uint8Array): Generator<Fragment> {
  let at = 0;
  while (bytes.length - at >= FRAGMENT_HEAD_BYTES) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left >= FRAGMENT_HEAD_BYTES) {
      const fragment = fragmentAt(bytes, at, left);
      if (fragment === null) return;
      yield fragment;
      at += FRAGMENT_HEAD_BYTES + fragment.data.length;
    } else {
      at += left;
    }
  }
}

/** null: the file ends there. `left`: bytes of its block. @throws KvError `CORRUPT`. */
function fragmentAt(bytes: Uint8Array, at: number, left: number): Fragment | null {
  const head = new Cursor(bytes, at, at + FRAGMENT_HEAD_BYTES);
  const stored = head.u32();
  const length = head.u8() + head.u8() * 256;
  const type = head.u8();
  const end = head.at + length;
  if (end > bytes.length && bytes.length - at < left) return null;
  if (end > at + left) throw bad('a fragment is longer than its block');
  if (length === 0 && type === 0) {
    // A file that had room before its bytes came ends in zeros.
    if (bytes.subarray(at).every((byte) => byte === 0)) return null;
    throw bad('there is a hole');
  }
  if (!isCrcOf(bytes.subarray(head.at - 1, end), stored))
    throw bad('a fragment fails its checksum');
  return { type, data: bytes.subarray(head.at, end) };
}

/** A table of a level. */
type Place = readonly [level: number, number: number];

/** What an edit says besides tables is passed over; each of its parts has a tag. */
const TAG = {
  comparator: 1,
  logNumber: 2,
  nextFileNumber: 3,
  lastSequence: 4,
  compactPointer: 5,
  goneTable: 6,
  newTable: 7,
  previousLogNumber: 9,
} as const;

function changesOf(edit: Uint8Array): { gone: readonly Place[]; come: readonly Place[] } {
  const gone: Place[] = [];
  const come: Place[] = [];
  const cursor = new Cursor(edit, 0, edit.length);
  while (!cursor.isAtEnd) {
    switch (cursor.varint()) {
      case TAG.comparator:
        cursor.skipBytes();
        break;
      case TAG.logNumber:
      case TAG.nextFileNumber:
      case TAG.lastSequence:
      case TAG.previousLogNumber:
        cursor.varint();
        break;
      case TAG.compactPointer:
        cursor.varint();
        cursor.skipBytes();
        break;
      case TAG.goneTable:
        gone.push([cursor.varint(), cursor.varint()]);
        break;
      case TAG.newTable:
        come.push([cursor.varint(), cursor.varint()]);
        cursor.varint();
        cursor.skipBytes();
        cursor.skipBytes();
        break;
      default:
        throw bad('an edit has a part that is not known');
    }
  }
  return { gone, come };
}

const bad = (message: string): KvError => new KvError('CORRUPT', message);
