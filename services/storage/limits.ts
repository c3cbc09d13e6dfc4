/**
 * Every bound of the engine by name. Formats depend on the first group: raising one of those is a
 * change of format.
 */
import { KIB, MIB } from '../common/units.ts';

/** Value bytes of one record. */
export const RECORD_DATA_MAX = MIB;
/** Bytes of the opaque owner that an end record echoes. */
export const OWNER_BYTES_MAX = 1024;
/** Chunks of one copy: 27 bits of its index entry. */
export const CHUNKS_MAX = 2 ** 27 - 1;
/** Segments that one compaction replaces: the room in a segment header. */
export const VICTIMS_MAX = 16;

/** Offsets are 31 bits, and a segment may exceed its size by one record. */
export const SEGMENT_BYTES_MAX = 2 ** 31 - 4 * MIB;
export const SEGMENT_BYTES_MIN = 4 * KIB;
export const SEGMENT_BYTES_DEFAULT = 64 * MIB;

/** Bytes and records that wait for the journal; beyond them `OVERLOADED`. */
export const QUEUE_BYTES_MAX = 128 * MIB;
export const QUEUE_RECORDS_MAX = 65_536;
/** Bytes of one write call. */
export const BATCH_BYTES_MAX = 8 * MIB;
/** While a sync runs the next batch gathers, unless it has grown to this. */
export const EARLY_WRITE_BYTES = 512 * KIB;
/** Values up to this size are copied into the batch; larger ones are written from where they lie. */
export const COPY_BYTES_MAX = 8 * KIB;

export const OPEN_COPIES_MAX = 4096;
/** An open copy that has not grown for so long is dropped. */
export const OPEN_IDLE_MS = 10 * 60_000;
export const READ_HANDLES_MAX = 256;
/** Heads that a listing reads at once. */
export const HEAD_READS_MAX = 32;
export const LIST_MAX = 10_000;
/** Damage that the open report names one by one. */
export const REPORTED_DAMAGE_MAX = 1000;
/** Bytes of a torn tail that are kept aside, and how many such files stay. */
export const BROKEN_FILES_MAX = 16;

/** Bytes that recovery, compaction and scrub read at once, and then go through in one turn: a few ms. */
export const SCAN_WINDOW_BYTES = 256 * KIB;
/** Entries that compaction points to its output in one turn. */
export const MOVES_A_TURN = 1024;
/** Entries of the index that a walk over all of it looks at in one turn: a few ms. */
export const ENTRIES_A_TURN = 16_384;
/** Drops that a run of compaction lists to forget them; where they are more it walks the index. */
export const DROPS_LISTED_MAX = 65_536;
/** A sealed segment with a smaller dead share than this is left alone. */
export const DEAD_RATIO_MIN = 0.3;
/** Free space is measured again after so many milliseconds, once somebody stages. */
export const SPACE_AGE_MS = 1000;
/** A snapshot is due once so many records came after the last one, and a quarter of the copies. */
export const SNAPSHOT_RECORDS_MIN = 65_536;
