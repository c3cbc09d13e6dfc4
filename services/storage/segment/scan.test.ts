/** Scans of files larger than their window: every record whole, every byte read once, damage bounded. */
import { expect, test } from '@jest/globals';
import { crc32 } from '../../common/checksum.ts';
import { mintCopyId, seededRandom } from '../../common/random.ts';
import { KIB, MIB } from '../../common/units.ts';
import { SCAN_WINDOW_BYTES } from '../limits.ts';
import { type Draft, draft, encodeChunkMeta, KIND, recordBytesOf } from '../record.ts';
import { encodeBatch } from './batch.ts';
import { type Scanned, scanSegment } from './scan.ts';

const PLACE = { segment: 7, salt: 99, syncedTo: 0 };

interface Segment {
  readonly bytes: Buffer;
  readonly drafts: readonly Draft[];
  readonly offsets: readonly number[];
}

/** Records with values of these sizes, one after the other from the beginning. */
function segmentOf(sizes: readonly number[]): Segment {
  const random = seededRandom(3);
  const drafts = sizes.map((size, chunkNo) => {
    const data = Buffer.alloc(size, chunkNo);
    const meta = encodeChunkMeta({ chunkNo, valueOffset: 0 });
    return draft(KIND.chunk, mintCopyId(random), meta, { data, crc: crc32(data) });
  });
  const offsets: number[] = [];
  let end = 0;
  for (const record of drafts) {
    offsets.push(end);
    end += recordBytesOf(record);
  }
  return {
    bytes: Buffer.concat(encodeBatch(drafts, { ...PLACE, offset: 0 }).parts),
    drafts,
    offsets,
  };
}

/** What a scan finds, and how many bytes it read. */
async function scanned(
  bytes: Buffer,
  from = 0,
): Promise<{ found: readonly Scanned[]; readBytes: number; pacedBytes: number }> {
  const found: Scanned[] = [];
  let readBytes = 0;
  let pacedBytes = 0;
  await scanSegment(
    {
      ...PLACE,
      start: from,
      end: bytes.length,
      read: (offset, length) => {
        // A file may give less than what it is asked for.
        const piece = bytes.subarray(offset, offset + Math.min(length, 100_000));
        readBytes += piece.length;
        return Promise.resolve(Buffer.from(piece));
      },
      pace: (count) => {
        pacedBytes += count;
        return Promise.resolve();
      },
    },
    (one) => {
      found.push(one);
    },
  );
  return { found, readBytes, pacedBytes };
}

const W = SCAN_WINDOW_BYTES;
const SIZES = [
  0,
  W - 61,
  W - 60,
  W - 59,
  1,
  W,
  MIB,
  10,
  W + 1,
  MIB - 1,
  ...Array.from({ length: 1000 }, (_, i) => i % 300),
  5 * KIB,
];

test('finds every record whole, and reads every byte once', async () => {
  const { bytes, drafts, offsets } = segmentOf(SIZES);
  for (const first of [0, 1, 5, 9, drafts.length - 1]) {
    const { found, readBytes, pacedBytes } = await scanned(bytes, offsets[first]);
    expect(found).toHaveLength(drafts.length - first);
    for (const [i, one] of found.entries()) {
      const record = drafts[first + i];
      expect(one.kind).toBe('record');
      if (one.kind !== 'record' || record === undefined) continue;
      expect(one.head.offset).toBe(offsets[first + i]);
      expect(one.data.equals(record.data)).toBe(true);
    }
    const length = bytes.length - (offsets[first] ?? 0);
    expect([readBytes, pacedBytes]).toEqual([length, length]);
  }
});

test('bad bytes of any length are one place, and the record behind them is found', async () => {
  const { bytes, offsets } = segmentOf(SIZES);
  for (const [from, to] of [
    [0, 1],
    [1, 2],
    [5, 9],
    [6, 12],
    [9, 800],
  ] as const) {
    const harmed = Buffer.from(bytes);
    const [start = 0, end = 0] = [offsets[from], offsets[to]];
    harmed.fill(0, start, end);
    const { found } = await scanned(harmed);
    const bad = found.filter(({ kind }) => kind !== 'record');
    expect(bad).toEqual([{ kind: 'bad-bytes', offset: start, end }]);
    expect(found).toHaveLength(offsets.length - (to - from) + 1);
  }
});

test('a value with a flipped bit is named, wherever its window begins', async () => {
  const { bytes, offsets } = segmentOf(SIZES);
  for (const at of [1, 3, 6, 9, 700]) {
    const harmed = Buffer.from(bytes);
    const last = (offsets[at + 1] ?? 0) - 1;
    harmed[last] = (harmed[last] ?? 0) ^ 1;
    const { found } = await scanned(harmed);
    expect(found).toHaveLength(offsets.length);
    expect(found.flatMap(({ kind }, i) => (kind === 'record' ? [] : [[i, kind]]))).toEqual([
      [at, 'bad-data'],
    ]);
  }
});

test('what ends within a record is bad from its beginning', async () => {
  const { bytes, offsets } = segmentOf([100, MIB, 100]);
  for (const cut of [30, 61, 200, W, MIB]) {
    const end = (offsets[1] ?? 0) + cut;
    const { found } = await scanned(bytes.subarray(0, end));
    expect(found.map(({ kind }) => kind)).toEqual(['record', 'bad-bytes']);
    expect(found[1]).toEqual({ kind: 'bad-bytes', offset: offsets[1], end });
  }
});
