/**
 * The streams between processes and how their messages are encoded: by one lasting writer for all that a
 * stream sends, which keeps the room that it once needed, and with large data left where they are. Such a
 * message has its data behind its other fields, which is all the same to a reader.
 */
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { KIB, MIB } from '../common/units.ts';
import { type MessageFns, RaftFrame, RaftService } from './generated/raft.ts';
import { CoordinatorFrame, RegistryService, VolumeFrame } from './generated/registry.ts';
import {
  Chunk,
  DataReplies,
  DataReply,
  DataRequest,
  DataRequests,
  StageChunkRequest,
  StageWholeRequest,
  VolumeService,
} from './generated/volume.ts';
import type { Parts } from './types.ts';

/** Room that a writer may keep after an unusually large message. */
const KEPT_BYTES = 2 * MIB;
/** Data of this size and more are not copied. */
const APART_BYTES_MIN = 16 * KIB;
const NOTHING = new Uint8Array(0);

/** The field of both messages in which their items stand: `requests` and `replies`. */
const ITEM_TAG = 18;

type Encoder<T> = Pick<MessageFns<T>, 'encode'>;

/** An item whose data are large: the data, what stands beside them, and the tags of data and body. */
interface Large {
  readonly data: Uint8Array;
  readonly dataTag: number;
  readonly bodyTag: number;
  /** The body's other fields. */
  readonly fields: () => Uint8Array;
}

const encodeRequests = whole(DataRequests);
const encodeReplies = whole(DataReplies);

/** Requests to a volume and its replies. */
export const DATA_STREAM = {
  ...VolumeService.data,
  requestSerialize: (message: DataRequests): Parts => {
    const hasItemsOnly = message.hello === undefined;
    const parts = hasItemsOnly ? apart(message.requests, DataRequest, largeRequest) : null;
    return parts ?? encodeRequests(message);
  },
  responseSerialize: (message: DataReplies): Parts => {
    const hasItemsOnly = message.hello === undefined;
    const parts = hasItemsOnly ? apart(message.replies, DataReply, largeReply) : null;
    return parts ?? encodeReplies(message);
  },
};

/** Raft messages between two coordinators. */
export const RAFT_STREAM = {
  ...RaftService.exchange,
  requestSerialize: whole(RaftFrame),
  responseSerialize: whole(RaftFrame),
};

/** A volume and a coordinator: registration, heartbeats, questions. */
export const REGISTRY_STREAM = {
  ...RegistryService.session,
  requestSerialize: whole(VolumeFrame),
  responseSerialize: whole(CoordinatorFrame),
};

function whole<T>(type: Encoder<T>): (message: T) => Parts {
  let kept: BinaryWriter | null = null;
  return (message) => {
    const writer = kept ?? new BinaryWriter();
    // A message that cannot be encoded leaves its writer half full: that one is not used again.
    kept = null;
    const bytes = type.encode(message, writer).finish();
    if (bytes.length <= KEPT_BYTES) kept = writer;
    return [bytes];
  };
}

/** The items of a message that has nothing else, large data in parts of their own; null: none are large. */
function apart<T extends { readonly body?: unknown }>(
  items: readonly T[],
  type: Encoder<T>,
  largeOf: (item: T) => Large | null,
): Parts | null {
  if (!items.some((item) => largeOf(item) !== null)) return null;
  const parts: Uint8Array[] = [];
  const writer = new BinaryWriter();
  for (const item of items) {
    const large = largeOf(item);
    if (large === null) {
      type.encode(item, writer.uint32(ITEM_TAG).fork()).join();
      continue;
    }
    const { data, dataTag, bodyTag } = large;
    const fields = large.fields();
    const envelope = type.encode({ ...item, body: undefined }).finish();
    const bodyBytes = fields.length + varintBytes(dataTag) + varintBytes(data.length) + data.length;
    const itemBytes = envelope.length + varintBytes(bodyTag) + varintBytes(bodyBytes) + bodyBytes;
    writer.uint32(ITEM_TAG).uint32(itemBytes).raw(envelope);
    writer.uint32(bodyTag).uint32(bodyBytes).raw(fields);
    writer.uint32(dataTag).uint32(data.length);
    parts.push(writer.finish(), data);
  }
  const rest = writer.finish();
  return rest.length === 0 ? parts : [...parts, rest];
}

function largeRequest({ body }: DataRequest): Large | null {
  if (body?.$case === 'stageChunk') {
    const { value } = body;
    const fields = (): Uint8Array => StageChunkRequest.encode({ ...value, data: NOTHING }).finish();
    return ifLarge({ data: value.data, dataTag: 34, bodyTag: 18, fields });
  }
  if (body?.$case === 'stageWhole') {
    const { value } = body;
    const fields = (): Uint8Array => StageWholeRequest.encode({ ...value, data: NOTHING }).finish();
    return ifLarge({ data: value.data, dataTag: 42, bodyTag: 34, fields });
  }
  return null;
}

function largeReply({ body }: DataReply): Large | null {
  if (body?.$case !== 'chunk') return null;
  const { value } = body;
  const fields = (): Uint8Array => Chunk.encode({ ...value, data: NOTHING }).finish();
  return ifLarge({ data: value.data, dataTag: 10, bodyTag: 42, fields });
}

const ifLarge = (found: Large): Large | null =>
  found.data.length >= APART_BYTES_MIN ? found : null;

/** How many bytes a number takes, seven bits in each. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}
