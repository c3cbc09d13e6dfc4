/** What a coordinator reads back or is sent: rows, flush chains, snapshots, table files, headers. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from '../common/crc32c.ts';
import { blobId, copyId, diskId, hexOf, logIndex, term } from '../common/ids.ts';
import { checkRedirect, signRedirect } from '../common/redirect-token.ts';
import { RowDigest } from '../metadata/digest.ts';
import { awaitedOr, damaged, hostile, valueOr } from '../testing/arbitrary-damage.ts';
import { FlushChain, META_KEY } from './flush-chain.ts';
import { promisesOf } from './http/promised-digest.ts';
import { conditionOf, RequestHeaders } from './http/request-headers.ts';
import { readSnapshot, writeSnapshot } from './metadata-snapshot.ts';
import { faultOf } from './table-file.ts';
import { tablesOf } from './table-manifest.ts';
import { checked, sealed, type TableRow } from './table-rows.ts';
import { TableView } from './table-view.ts';

const some = fc.uint8Array({ maxLength: 40 });

test('a row is what was sealed under its key, or CORRUPT', () => {
  fc.assert(
    fc.property(some, some, (key, value) => {
      expect([...checked(key, sealed(key, value))]).toEqual([...value]);
    }),
  );
  fc.assert(
    fc.property(some, some, some, (key, other, value) => {
      const isSame = hexOf(key) === hexOf(other);
      const read = valueOr(['CORRUPT'], () => checked(other, sealed(key, value)));
      expect(read !== undefined).toBe(isSame);
    }),
  );
});

/** The rows that so many flushes leave, as the table holds them. */
function flushed(count: number): { rows: TableRow[]; meta: Uint8Array } {
  const chain = new FlushChain();
  const rows = new Map<string, TableRow>();
  for (let i = 1; i <= count; i += 1) {
    const point = { index: logIndex(i * 3), term: term(1) };
    for (const operation of chain.append({ point, digest: 'd'.repeat(16), installed: i === 1 })) {
      if (operation.type === 'put') {
        rows.set(hexOf(operation.key), [operation.key, operation.value]);
      }
    }
  }
  const meta = rows.get(hexOf(META_KEY))?.[1] ?? new Uint8Array(0);
  rows.delete(hexOf(META_KEY));
  return { rows: [...rows.values()], meta };
}

test('a flush chain without one of its rows, or with a harmed one, is not taken for whole', () => {
  const count = fc.integer({ min: 2, max: 20 });
  fc.assert(
    fc.property(
      count,
      fc.nat(),
      fc.option(damaged(fc.constant(Uint8Array.of(7)))),
      (n, at, harm) => {
        const { rows, meta } = flushed(n);
        expect(FlushChain.read(rows, meta)).toMatchObject({ kind: 'chain' });
        // The oldest may go: that is what keeps the chain short.
        const place = 1 + (at % (rows.length - 1));
        const changed = rows.flatMap((row, i): TableRow[] => {
          if (i !== place) return [row];
          return harm === null ? [] : [[row[0], harm]];
        });
        expect(valueOr(['CORRUPT'], () => FlushChain.read(changed, meta))?.kind).not.toBe('chain');
      },
    ),
  );
  const { rows, meta } = flushed(3);
  fc.assert(
    fc.property(damaged(fc.constant(meta)), (bytes) => {
      const read = valueOr(['CORRUPT'], () => FlushChain.read(rows, bytes));
      if (read !== undefined) expect(hexOf(bytes)).toBe(hexOf(meta));
    }),
  );
});

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

test('a snapshot of any rows is read back, however it is cut; a harmed one is CORRUPT', async () => {
  const rows = Array.from({ length: 40 }, (_, i): TableRow => {
    return [Buffer.from(`r${String(i).padStart(3, '0')}`), Buffer.alloc(i, i)];
  });
  const sum = new RowDigest();
  for (const [key, value] of rows) sum.add(key, value);
  const young = new Map(rows.map(([key, value]) => [String(key), { key, value }]));
  const view = new TableView({
    db: { iterator: () => ({ all: () => Promise.resolve([]) }) } as never,
    snapshot: { close: () => Promise.resolve() },
    young,
    failed: () => undefined,
  });
  const meta = {
    point: { index: logIndex(9), term: term(2) },
    digest: sum.text(),
    installed: false,
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeSnapshot(view, meta)) chunks.push(chunk);
  const sound = Buffer.concat(chunks);
  const read = async (bytes: Uint8Array, size: number): Promise<readonly TableRow[]> => {
    const taken: TableRow[] = [];
    await readSnapshot(inPieces(bytes, size), async (page) => {
      taken.push(...page);
    });
    return taken;
  };
  const size = fc.integer({ min: 1, max: 700 });
  const plain = (all: readonly TableRow[]) => all.map(([key, value]) => [hexOf(key), hexOf(value)]);
  await fc.assert(
    fc.asyncProperty(size, async (pieceBytes) => {
      expect(plain(await read(sound, pieceBytes))).toEqual(plain(rows));
    }),
    { numRuns: 30 },
  );
  await fc.assert(
    fc.asyncProperty(hostile(fc.constant(sound)), size, async (bytes, pieceBytes) => {
      const taken = await awaitedOr(['CORRUPT'], () => read(bytes, pieceBytes));
      if (taken !== undefined) expect(bytes.equals(sound)).toBe(true);
    }),
    { numRuns: 200 },
  );
});

test('a table file of any bytes has a fault that can be told', () => {
  const footer = Buffer.from('57fb808b247547db', 'hex');
  const body = fc.uint8Array({ maxLength: 120 }).map((bytes) => Buffer.concat([bytes, footer]));
  fc.assert(
    fc.property(fc.oneof(body, some), (bytes) => {
      expect(typeof faultOf(bytes)).toBe('string');
    }),
    { numRuns: 300 },
  );
});

/** A fragment of LevelDB's log form that holds a whole entry. */
function fragmentOf(data: Uint8Array): Buffer {
  const summed = Buffer.concat([Buffer.of(1), data]);
  const crc = crc32c(summed);
  const head = Buffer.alloc(6);
  head.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0, 0);
  head.writeUInt16LE(data.length, 4);
  return Buffer.concat([head, summed]);
}

test('a manifest lists some tables, or is CORRUPT', () => {
  // Names and numbers; a table of level 0 that comes; the same goes to level 1.
  const edits = [
    '0103636d700203090003040404',
    '070005100361616103626262',
    '060005070105100361616103626262',
  ];
  const sound = Buffer.concat(edits.map((hex) => fragmentOf(Buffer.from(hex, 'hex'))));
  expect([...tablesOf(sound)]).toEqual([5]);
  fc.assert(
    fc.property(hostile(fc.constant(sound)), (bytes) => {
      valueOr(['CORRUPT'], () => tablesOf(bytes));
    }),
    { numRuns: 1000 },
  );
});

test('headers of a request are read or INVALID_HEADER', () => {
  const name = fc.constantFrom(
    'If-Match',
    'If-None-Match',
    'X-Min-Raft-Index',
    'Idempotency-Key',
    'Content-MD5',
    'Digest',
    'X-Content-BLAKE3',
    'Content-Type',
    'X-Minikv-Meta-A',
  );
  const value = fc.oneof(
    fc.string({ unit: 'binary-ascii', maxLength: 40 }),
    fc.stringMatching(/^(md5|sha-256|blake3|x)=[A-Za-z0-9+/=]{0,48}$/),
    fc.stringMatching(/^("[0-9a-f]{32}"|\d{1,17}|[0-9a-f]{64})$/),
  );
  const pairs = fc.array(fc.tuple(name, value), { maxLength: 5 });
  const codes = ['INVALID_HEADER', 'HEADERS_TOO_LARGE'] as const;
  fc.assert(
    fc.property(pairs, (list) => {
      const headers = valueOr(codes, () => new RequestHeaders(list.flat()));
      if (headers === undefined) return;
      const index = valueOr(codes, () => headers.minIndex);
      if (index !== undefined) expect(Number.isSafeInteger(index)).toBe(true);
      const key = valueOr(codes, () => headers.idempotencyKey);
      if (typeof key === 'string') expect(key).toMatch(/^[!-~]{1,255}$/);
      valueOr(codes, () => headers.kept);
      valueOr(codes, () => promisesOf(headers));
      const condition = valueOr(codes, () => conditionOf(headers.preconditions));
      if (condition?.kind === 'match')
        expect(condition.blobIds.map(blobId)).toHaveLength(condition.blobIds.length);
    }),
    { numRuns: 500 },
  );
});

test('a token of a redirect opens what it was signed for, and nothing else, whatever is tried', () => {
  const grant = fc.record({
    copyId: fc.stringMatching(/^[0-9a-f]{32}$/).map(copyId),
    disk: fc.nat(9).map(diskId),
    expiresMs: fc.nat(9),
  });
  const key = fc.constantFrom('11'.repeat(32), '22'.repeat(32));
  fc.assert(
    fc.property(key, grant, key, grant, (own, granted, other, asked) => {
      const token = signRedirect(own, granted);
      expect(checkRedirect(own, granted, token, granted.expiresMs)).toBe(true);
      expect(checkRedirect(own, granted, token, granted.expiresMs + 1)).toBe(false);
      const isSame = own === other && JSON.stringify(granted) === JSON.stringify(asked);
      expect(checkRedirect(other, asked, token, 0)).toBe(isSame);
    }),
  );
  fc.assert(
    fc.property(grant, fc.string({ unit: 'binary', maxLength: 70 }), (granted, token) => {
      expect(checkRedirect('11'.repeat(32), granted, token, 0)).toBe(false);
    }),
  );
});
