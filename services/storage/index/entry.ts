/**
 * How an entry's two packed words are read. A copy's entry points at the record that staged it, or,
 * once dropped, at its drop record.
 *
 *   copy:  size = recordBytes 21 bits | metaBytes 11 bits
 *          extra = state 2 bits | whole 1 | unsound 1 | settled 1 | chunk count 27 bits
 *   chunk: size = recordBytes 21 bits | high 11 bits of the value offset;  extra = its low 32 bits
 */
import { COMMITTED, DROPPED, joined, STAGED } from '../copy-state.ts';
import { decodeCopyMeta, FLAG_COMMITTED, HEADER_BYTES, type Head, KIND } from '../record.ts';
import type { CopyState } from '../types.ts';
import type { Slot } from './key.ts';

/** In the order of the lattice: the state of a copy is the maximum of its records. */
export const STATES = ['open', 'staged', 'committed', 'dropped'] as const satisfies CopyState[];

export interface Copy {
  readonly segment: number;
  readonly offset: number;
  readonly recordBytes: number;
  readonly metaBytes: number;
  /** STAGED, COMMITTED or DROPPED. */
  readonly state: number;
  readonly whole: boolean;
  readonly unsound: boolean;
  /** The record itself says committed, so commit records of the copy are dead. */
  readonly settled: boolean;
  readonly chunkCount: number;
}

export const packCopy = (copy: Copy): Slot => ({
  segment: copy.segment,
  offset: copy.offset,
  size: copy.recordBytes | (copy.metaBytes << 21),
  extra:
    copy.state |
    (copy.whole ? 4 : 0) |
    (copy.unsound ? 8 : 0) |
    (copy.settled ? 16 : 0) |
    (copy.chunkCount << 5),
});

export const unpackCopy = (slot: Slot): Copy => ({
  segment: slot.segment,
  offset: slot.offset,
  recordBytes: slot.size & 0x1fffff,
  metaBytes: slot.size >>> 21,
  state: slot.extra & 3,
  whole: (slot.extra & 4) !== 0,
  unsound: (slot.extra & 8) !== 0,
  settled: (slot.extra & 16) !== 0,
  chunkCount: slot.extra >>> 5,
});

/** Value bytes of a whole record. */
export const wholeBytes = (copy: Copy): number => copy.recordBytes - HEADER_BYTES - copy.metaBytes;

export interface Chunk {
  readonly segment: number;
  readonly offset: number;
  readonly recordBytes: number;
  readonly valueOffset: number;
}

/** Header and meta of a chunk record. */
export const CHUNK_HEAD_BYTES = HEADER_BYTES + 12;

export const packChunk = (chunk: Chunk): Slot => ({
  segment: chunk.segment,
  offset: chunk.offset,
  size: chunk.recordBytes | (Math.floor(chunk.valueOffset / 2 ** 32) << 21),
  extra: chunk.valueOffset | 0,
});

export const unpackChunk = (slot: Slot): Chunk => ({
  segment: slot.segment,
  offset: slot.offset,
  recordBytes: slot.size & 0x1fffff,
  valueOffset: (slot.size >>> 21) * 2 ** 32 + (slot.extra >>> 0),
});

export const chunkDataBytes = (chunk: Chunk): number => chunk.recordBytes - CHUNK_HEAD_BYTES;

/** The entry of an end or whole record; what compaction moved says itself that it was committed. */
export function copyOf(
  record: Pick<
    Head,
    'kind' | 'flags' | 'segment' | 'offset' | 'meta' | 'dataBytes' | 'recordBytes'
  >,
  known: { sound: boolean; state: number },
): Copy {
  const settled = (record.flags & FLAG_COMMITTED) !== 0;
  const whole = record.kind === KIND.whole;
  return {
    segment: record.segment,
    offset: record.offset,
    recordBytes: record.recordBytes,
    metaBytes: record.meta.length,
    state: joined(known.state, settled ? COMMITTED : STAGED),
    whole,
    unsound: !known.sound,
    settled,
    chunkCount: whole ? 0 : decodeCopyMeta(record).chunkCount,
  };
}

/** What every dropped copy's entry has in common. */
export const DROPPED_COPY = {
  state: DROPPED,
  whole: false,
  unsound: false,
  settled: false,
  chunkCount: 0,
} as const;
