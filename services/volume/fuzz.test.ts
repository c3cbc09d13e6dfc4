/** Any request in any order on a volume: a reply with a known code, a disk that works on, a true map of copies. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32 } from '../common/checksum.ts';
import { digestOf } from '../common/digest.ts';
import { bytesOfHex, copyId, diskId, hexOf, session } from '../common/ids.ts';
import { DataRequest } from '../rpc/generated/volume.ts';
import { readAll, StorageRig } from '../testing/storage-rig.ts';
import { answer, type OpenCopies } from './participant.ts';
import { Unnamed } from './unnamed.ts';

/** Few ids, so that requests meet; now and then one of another length. */
const id = fc.oneof(
  { weight: 12, arbitrary: fc.nat(2).map((n) => Buffer.alloc(16, n + 1)) },
  { weight: 1, arbitrary: fc.nat(20).map((length) => Buffer.alloc(length)) },
);
const txn = fc.constantFrom(Buffer.alloc(16, 9), Buffer.alloc(3));
const owner = fc.oneof(fc.uint8Array({ maxLength: 8 }), fc.constant(new Uint8Array(1025)));
const count = fc.oneof(fc.nat(40), fc.constantFrom(2 ** 32 - 1, 2 ** 53 - 1));
const number = fc.oneof(fc.nat(40), fc.constant(2 ** 32 - 1));
/** Each id has one value: then what is found can be compared. */
const valueOf = (copy: Uint8Array): Buffer => Buffer.alloc(20 + (copy[0] ?? 0), copy[0]);
const digest = (copy: Uint8Array): Buffer => Buffer.from(bytesOfHex(digestOf(valueOf(copy))));

type Body = NonNullable<DataRequest['body']>;
const chunk = fc.record({
  copyId: id,
  sound: fc.boolean(),
  offset: count,
  no: number,
  declared: count,
});
const end = fc.record({
  copyId: id,
  txnId: txn,
  owner: owner.map((b) => Buffer.from(b)),
  sound: fc.boolean(),
  sizeBytes: count,
});
const body: fc.Arbitrary<Body | undefined> = fc.oneof(
  chunk.map(({ copyId: of, sound, offset, no, declared }): Body => {
    const data = valueOf(of);
    const value = sound
      ? { chunkNo: 0, offset: 0, declaredBytes: data.length, crc: crc32(data) }
      : { chunkNo: no, offset, declaredBytes: declared, crc: 1 };
    return { $case: 'stageChunk', value: { copyId: of, data, ...value } };
  }),
  end.map(({ sound, sizeBytes, ...rest }): Body => {
    const size = sound ? valueOf(rest.copyId).length : sizeBytes;
    return { $case: 'stageEnd', value: { ...rest, sizeBytes: size, digest: digest(rest.copyId) } };
  }),
  end.map(({ sound, sizeBytes: _, ...rest }): Body => {
    const known = sound ? digest(rest.copyId) : Buffer.alloc(5);
    return { $case: 'stageWhole', value: { ...rest, data: valueOf(rest.copyId), digest: known } };
  }),
  fc
    .record({ action: fc.nat(4), copyIds: fc.array(id, { maxLength: 3 }) })
    .map((value): Body => ({ $case: 'settle', value })),
  fc
    .record({ copyId: id, offset: count, length: number })
    .map((value): Body => ({ $case: 'fetch', value })),
  fc.record({ after: id, limit: number }).map((value): Body => ({ $case: 'listCopies', value })),
  fc
    .record({ copyIds: fc.array(id, { maxLength: 3 }), endsWalkOf: fc.nat(2) })
    .map((value): Body => ({ $case: 'checkCopies', value })),
  fc.constant(undefined),
);

test('requests of any content never end in an error that nobody foresaw', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(body, { minLength: 1, maxLength: 25 }), async (bodies) => {
      const rig = new StorageRig({ segmentBytes: 4096 });
      const engine = await rig.open();
      const open: OpenCopies = new Set();
      const parts = {
        engine,
        session: () => ({ disk: diskId(1), session: session(2), accepting: true }),
        puller: { pull: () => Promise.resolve() },
        unnamed: new Unnamed(engine),
      };
      const staged = new Set<string>();
      for (const [requestId, asked] of bodies.entries()) {
        // Through the wire's codec, as a peer sends it.
        const request = DataRequest.decode(DataRequest.encode({ requestId, body: asked }).finish());
        const reply = await answer(parts, open, request);
        const said = reply.body;
        if (said?.$case === 'failure') expect(said.value).not.toMatchObject({ code: 'INTERNAL' });
        const isStaging = asked?.$case === 'stageWhole' || asked?.$case === 'stageEnd';
        if (isStaging && said?.$case === 'vote') staged.add(hexOf(asked.value.copyId));
        if (asked?.$case === 'settle' && asked.value.action > 1 && said?.$case === 'settled') {
          for (const of of asked.value.copyIds) staged.delete(hexOf(of));
        }
      }
      expect(rig.failures).toEqual([]);
      for (const copy of staged) {
        const read = await readAll(engine, copyId(copy));
        const data = read.kind === 'found' ? hexOf(read.data) : read.kind;
        expect(data).toBe(hexOf(valueOf(bytesOfHex(copy))));
      }
      await engine.close();
    }),
    { numRuns: 150 },
  );
});
