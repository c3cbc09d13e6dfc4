/**
 * The two busy streams, with one lasting writer for all that they send: it keeps the room that it once
 * needed, where a new one for each message would grow from nothing and be copied at each step.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { bufferOf } from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import { type MessageFns, RaftFrame, RaftService } from './generated/raft.ts';
import { DataReplies, DataRequests, VolumeService } from './generated/volume.ts';

/** Requests to a volume and its replies. */
export const DATA_STREAM = {
  ...VolumeService.data,
  requestSerialize: serializer(DataRequests),
  responseSerialize: serializer(DataReplies),
};

/** Raft messages between two coordinators. */
export const RAFT_STREAM = {
  ...RaftService.exchange,
  requestSerialize: serializer(RaftFrame),
  responseSerialize: serializer(RaftFrame),
};

/** Room that a writer may keep after an unusually large message. */
const KEPT_BYTES = 2 * MIB;

function serializer<T>(type: Pick<MessageFns<T>, 'encode'>): (message: T) => Buffer {
  let kept: BinaryWriter | null = null;
  return (message) => {
    const writer = kept ?? new BinaryWriter();
    // A message that cannot be encoded leaves its writer half full: that one is not used again.
    kept = null;
    const bytes = type.encode(message, writer).finish();
    if (bytes.length <= KEPT_BYTES) kept = writer;
    return bufferOf(bytes);
  };
}
