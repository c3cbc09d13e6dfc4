/** What crosses the wire, the log and the table: busy frames of both streams, a command, a record. */
import { ByteWriter, concatBytes } from '../../../common/bytes.ts';
import { bufferOf, bytesOfHex } from '../../../common/ids.ts';
import { KIB } from '../../../common/units.ts';
import { decodeMessage, encodeMessage } from '../../../coordinator/grpc/raft-codec.ts';
import { decodeCommand, encodeCommand } from '../../../metadata/command-codec.ts';
import { decodeRecord, encodeRecord } from '../../../metadata/record-codec.ts';
import type { DataRequests } from '../../../rpc/generated/volume.ts';
import { DATA_STREAM, RAFT_STREAM } from '../../../rpc/streams.ts';
import type { Parts } from '../../../rpc/types.ts';
import { append, at } from '../../../testing/raft-probe.ts';
import { type MicroCase, mustHold } from '../micro-case.ts';
import {
  COMMAND,
  COMMAND_BYTES,
  entriesAfter,
  freshBlob,
  keyNumber,
  RECORD,
  VALUE,
} from '../samples.ts';

const MANY = 16;
/** Such are not copied on their way out. */
const LARGE_VALUE = new Uint8Array(128 * KIB).fill(7);

export const CODEC_CASES: readonly MicroCase[] = [
  ...pair(`an append of ${MANY} entries`, raftFrameCodec),
  ...pair(`a frame of ${MANY} values of 1 KiB`, () => dataFrameCodec(MANY, VALUE)),
  ...pair('a frame of one value of 128 KiB', () => dataFrameCodec(1, LARGE_VALUE)),
  ...pair('the command of a PUT', () => ({
    value: COMMAND,
    encode: (command) => [encodeCommand(command)],
    decode: decodeCommand,
    isWhole: ({ kind }) => kind === 'commit',
  })),
  ...pair('the record of a value', () => {
    const writer = new ByteWriter();
    return {
      value: { value: RECORD, thin: false },
      encode: (stored) => [encodeRecord(writer, stored)],
      decode: decodeRecord,
      isWhole: ({ value }) => value.blobId === RECORD.blobId,
    };
  }),
];

interface Codec<T> {
  readonly value: T;
  readonly encode: (value: T) => Parts;
  readonly decode: (bytes: Uint8Array) => T;
  /** A sign that what was decoded is what was encoded; cheap, for it is timed. */
  readonly isWhole: (decoded: T) => boolean;
}

/** Both ways of one codec. */
function pair<T>(what: string, codecOf: () => Codec<T>): readonly MicroCase[] {
  const shared = { of: 'call', perStep: 1, onDisk: false };
  const openEncode = () => {
    const { value, encode } = codecOf();
    const bytes = bytesIn(encode(value));
    return {
      run(steps: number) {
        for (let i = 0; i < steps; i += 1) mustHold(bytesIn(encode(value)) === bytes, what);
      },
    };
  };
  const openDecode = () => {
    const { value, encode, decode, isWhole } = codecOf();
    const bytes = concatBytes(encode(value));
    return {
      run(steps: number) {
        for (let i = 0; i < steps; i += 1) mustHold(isWhole(decode(bytes)), what);
      },
    };
  };
  return [
    { ...shared, name: `codecs: ${what}, encoded`, open: openEncode },
    { ...shared, name: `codecs: ${what}, decoded`, open: openDecode },
  ];
}

/** From the core's message to bytes, and back with every check. */
function raftFrameCodec(): Codec<ReturnType<typeof append>> {
  return {
    value: append(2, 1, at(1000, 1), { entries: entriesAfter(1000, MANY), commit: 1000 }),
    encode: (message) => {
      const frame = { hello: undefined, messages: [encodeMessage(message)], digests: [] };
      return RAFT_STREAM.requestSerialize(frame);
    },
    decode: (bytes) => {
      const [wire] = RAFT_STREAM.requestDeserialize(bufferOf(bytes)).messages;
      const message = wire === undefined ? null : decodeMessage(wire, 1);
      if (message?.kind !== 'append-request') throw new Error('an append decodes as another kind');
      return message;
    },
    isWhole: ({ entries }) =>
      entries.length === MANY && entries[MANY - 1]?.data.length === COMMAND_BYTES.length,
  };
}

function dataFrameCodec(count: number, data: Uint8Array): Codec<DataRequests> {
  const requests = Array.from({ length: count }, (_, i) => {
    const id = bytesOfHex(freshBlob());
    const digest = bytesOfHex(RECORD.digest);
    const value = { copyId: id, txnId: id, owner: keyNumber(i), digest, data };
    return { requestId: i + 1, body: { $case: 'stageWhole' as const, value } };
  });
  return {
    value: { hello: undefined, requests },
    encode: DATA_STREAM.requestSerialize,
    decode: (bytes) => DATA_STREAM.requestDeserialize(bufferOf(bytes)),
    isWhole: ({ requests: { length } }) => length === count,
  };
}

function bytesIn(parts: Parts): number {
  let bytes = 0;
  for (const part of parts) bytes += part.length;
  return bytes;
}
