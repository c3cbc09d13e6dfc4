/** What leaves in parts is read as if it had been encoded whole, and large data are not copied. */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { MessageFns } from './generated/volume.ts';
import { DataReplies, type DataReply, type DataRequest, DataRequests } from './generated/volume.ts';
import { helloTo } from './hello.ts';
import { DATA_STREAM } from './streams.ts';
import type { Parts } from './types.ts';

const id = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes));
/** Around the size from which data stand apart, and where the numbers that tell sizes grow. */
const data = fc
  .oneof(fc.nat(300), fc.integer({ min: 16_200, max: 16_600 }), fc.constantFrom(65_536, 262_144))
  .map((size) => Buffer.alloc(size, size % 251));
const number = fc.oneof(fc.constant(0), fc.nat());

const requests = fc.oneof(
  fc
    .record({ copyId: id, chunkNo: number, offset: number, data, crc: number })
    .map((value): DataRequest['body'] => ({
      $case: 'stageChunk',
      value: { ...value, declaredBytes: value.offset },
    })),
  fc
    .record({ copyId: id, txnId: id, owner: id, digest: id, data })
    .map((value): DataRequest['body'] => ({ $case: 'stageWhole', value })),
  fc
    .record({ copyId: id, offset: number, length: number })
    .map((value): DataRequest['body'] => ({ $case: 'fetch', value })),
);
const replies = fc.oneof(
  fc
    .record({ data, sizeBytes: number, crc: number })
    .map((value): DataReply['body'] => ({ $case: 'chunk', value })),
  fc
    .record({ disk: number, session: number })
    .map((value): DataReply['body'] => ({ $case: 'vote', value })),
);

/** The byte fields of a message; a length that does not fit is an error, where a decoder may be lenient. */
function byteFields(message: Uint8Array): readonly Uint8Array[] {
  const reader = new BinaryReader(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const [, type] = reader.tag();
    if (type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type);
  }
  expect(reader.pos).toBe(reader.len);
  return found;
}

/** The same message as in the plain encoding, and every length in it fits. */
function expectSame<T>(type: Pick<MessageFns<T>, 'encode' | 'decode'>, message: T, parts: Parts) {
  const plain = Buffer.from(type.encode(message).finish());
  const sent = Buffer.concat(parts);
  expect(sent.length).toBe(plain.length);
  expect(plain.equals(type.encode(type.decode(sent)).finish())).toBe(true);
  const bodies = byteFields(sent).flatMap(byteFields);
  for (const body of bodies) byteFields(body);
}

const some = <T>(item: fc.Arbitrary<T>) =>
  fc.array(fc.record({ requestId: fc.nat(), body: item }), { maxLength: 6 });

test('requests of any sizes, in any mix', () => {
  fc.assert(
    fc.property(some(requests), (items) => {
      const message = { hello: undefined, requests: items };
      expectSame(DataRequests, message, DATA_STREAM.requestSerialize(message));
    }),
  );
});

test('replies of any sizes, in any mix', () => {
  fc.assert(
    fc.property(some(replies), (items) => {
      const message = { hello: undefined, replies: items };
      expectSame(DataReplies, message, DATA_STREAM.responseSerialize(message));
    }),
  );
});

test('a hello is not lost, whatever stands beside it', () => {
  const introduction = {
    version: '1',
    bootId: 1,
    clusterId: '',
    role: 'volume',
    name: 'v1',
    from: 1,
  };
  const hello = helloTo({ ...introduction, address: '', httpAddress: '' }, 2);
  const value = { data: Buffer.alloc(65_536), sizeBytes: 65_536, crc: 3 };
  const replies = [{ requestId: 1, body: { $case: 'chunk' as const, value } }];
  const sent = Buffer.concat(DATA_STREAM.responseSerialize({ hello, replies }));
  const read = DataReplies.decode(sent);
  expect(read.hello).toEqual(hello);
  expect(read.replies).toHaveLength(1);
});

test('large data leave as they are', () => {
  const large = Buffer.alloc(65_536, 1);
  const value = { data: large, sizeBytes: 65_536, crc: 3 };
  const parts = DATA_STREAM.responseSerialize({
    hello: undefined,
    replies: [{ requestId: 1, body: { $case: 'chunk', value } }],
  });
  expect(parts.find((part) => part === large)).toBe(large);
});
