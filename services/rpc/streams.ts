/**
 * The two busy streams, with one lasting writer for all that they send: it keeps the room that it once
 * needed, where a new one for each message would grow from nothing and be copied at each step.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { asBuffer } from './buffers.ts';
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
const KEPT_BYTES = 2 * 1024 * 1024;

function serializer<T>(type: Pick<MessageFns<T>, 'encode'>): (message: T) => Buffer {
  let writer = new BinaryWriter();
  return (message) => {
    const lent = writer;
    // A message that cannot be encoded leaves its writer half full: that one is not used again.
    writer = new BinaryWriter();
    const bytes = type.encode(message, lent).finish();
    if (bytes.length <= KEPT_BYTES) writer = lent;
    return asBuffer(bytes);
  };
}
