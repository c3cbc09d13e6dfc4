/**
 * The data stream as served by a volume: hello first, then requests in any number, replies batched by
 * loop turn. A stream that breaks drops the copies that it had begun and not ended. Fetches are read only
 * as fast as the peer takes them, so that it is never cut off for what it asked; all else passes them.
 */
import type { Clock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';
import type { Hello } from '../rpc/generated/common.ts';
import type { DataReplies, DataReply, DataRequest, DataRequests } from '../rpc/generated/volume.ts';
import { TurnBatcher } from '../rpc/turn-batcher.ts';
import { type OnOpen, type Outgoing, RPC_LIMITS, type StreamEvents } from '../rpc/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  answer,
  answerWholes,
  type OpenCopies,
  type ParticipantParts,
  type WholeRequest,
} from './participant.ts';

/** Requests of one stream that may be under way at once; beyond it the peer broke its own window. */
const UNANSWERED_MAX = 16_384;
/**
 * Data of one stream's fetches that may be on the way from the disk. With what the stream holds before it
 * asks for a pause, this stays far below where it cuts the peer off.
 */
const FETCHING_BYTES_MAX = 8 * MIB;

export interface DataServiceParts extends ParticipantParts {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly hello: () => Hello;
  /** An error where the caller is not meant for this volume. */
  readonly checkHello: (hello: Hello) => KvError | null;
}

/** All data streams of a volume. */
export class DataService {
  readonly #parts: DataServiceParts;
  readonly #streams = new Set<DataStream>();

  constructor(parts: DataServiceParts) {
    this.#parts = parts;
  }

  readonly accept: OnOpen<DataReplies, DataRequests> = (outgoing) => {
    const stream = new DataStream(this.#parts, outgoing, () => this.#streams.delete(stream));
    this.#streams.add(stream);
    return stream;
  };

  /** Copies that streams have begun and not ended. */
  get openCopies(): number {
    return this.#sum(({ openCopies }) => openCopies);
  }

  /** Requests under way. */
  get unanswered(): number {
    return this.#sum(({ unanswered }) => unanswered);
  }

  #sum(count: (stream: DataStream) => number): number {
    let sum = 0;
    for (const stream of this.#streams) sum += count(stream);
    return sum;
  }
}

class DataStream implements StreamEvents<DataRequests> {
  readonly #parts: DataServiceParts;
  readonly #outgoing: Outgoing<DataReplies>;
  readonly #replies: TurnBatcher<DataReply>;
  readonly #open: OpenCopies = new Set();
  readonly #ended: () => void;
  /** Fetches that wait for room, oldest first. */
  #parked: DataRequest[] = [];
  #fetchingBytes = 0;
  #greeted = false;
  #closed = false;
  /** The peer does not read as fast as it is sent to. */
  #isCongested = false;
  /** Parked ones are among them. */
  #unanswered = 0;

  constructor(parts: DataServiceParts, outgoing: Outgoing<DataReplies>, ended: () => void) {
    this.#parts = parts;
    this.#outgoing = outgoing;
    this.#ended = ended;
    this.#replies = new TurnBatcher<DataReply>(
      parts.clock,
      (replies) => this.#send({ hello: undefined, replies }),
      { itemsMax: 1024, bytesMax: RPC_LIMITS.messageBytesMax / 2 },
    );
  }

  get openCopies(): number {
    return this.#open.size;
  }

  get unanswered(): number {
    return this.#unanswered;
  }

  onMessage(message: DataRequests): void {
    if (message.hello !== undefined) this.#greet(message.hello);
    if (!this.#greeted) {
      this.#refuse(new KvError('INVALID_ARGUMENT', 'a stream begins with hello'));
      return;
    }
    const wholes: WholeRequest[] = [];
    for (const request of message.requests) {
      const { requestId, body } = request;
      if (body?.$case === 'stageWhole') wholes.push({ requestId, value: body.value });
      else if (body?.$case === 'fetch') this.#takeFetch(request);
      else this.#take(request);
    }
    if (wholes.length > 0) this.#takeWholes(wholes);
  }

  onDrain(): void {
    this.#isCongested = false;
    this.#resume();
  }

  onClosed(): void {
    this.#closed = true;
    this.#unanswered -= this.#parked.length;
    this.#parked = [];
    this.#ended();
    for (const copy of this.#open) {
      this.#parts.engine.dropIfOpen(copy).catch((error: unknown) => {
        this.#parts.logger.warn({ copy, error }, 'could not drop an open copy');
      });
    }
    this.#open.clear();
  }

  #greet(hello: Hello): void {
    const wrong = this.#parts.checkHello(hello);
    if (wrong !== null) {
      this.#refuse(wrong);
      return;
    }
    this.#greeted = true;
    this.#send({ hello: this.#parts.hello(), replies: [] });
  }

  #take(request: DataRequest): void {
    if (!this.#begin(1)) return;
    void answer(this.#parts, this.#open, request).then((reply) => this.#answered([reply]));
  }

  #takeWholes(requests: readonly WholeRequest[]): void {
    if (!this.#begin(requests.length)) return;
    void answerWholes(this.#parts, requests).then((replies) => this.#answered(replies));
  }

  /** Reads at once or, in its turn, when there is room: a read holds its memory from before its I/O. */
  #takeFetch(request: DataRequest): void {
    if (!this.#begin(1)) return;
    const bytes = fetchBytesOf(request);
    if (this.#parked.length === 0 && this.#admits(bytes)) this.#fetch(request, bytes);
    else this.#parked.push(request);
  }

  /** One alone is always let in: what is too large is refused by its answer. */
  #admits(bytes: number): boolean {
    if (this.#isCongested) return false;
    return this.#fetchingBytes === 0 || this.#fetchingBytes + bytes <= FETCHING_BYTES_MAX;
  }

  #fetch(request: DataRequest, bytes: number): void {
    this.#fetchingBytes += bytes;
    void answer(this.#parts, this.#open, request).then((reply) => {
      this.#fetchingBytes -= bytes;
      this.#answered([reply]);
      this.#resume();
    });
  }

  #resume(): void {
    while (!this.#closed) {
      const request = this.#parked[0];
      if (request === undefined) return;
      const bytes = fetchBytesOf(request);
      if (!this.#admits(bytes)) return;
      this.#parked.shift();
      this.#fetch(request, bytes);
    }
  }

  #begin(count: number): boolean {
    if (this.#unanswered + count > UNANSWERED_MAX) {
      this.#refuse(new KvError('OVERLOADED', 'too many unanswered requests on one stream'));
      return false;
    }
    this.#unanswered += count;
    return true;
  }

  #answered(replies: readonly DataReply[]): void {
    this.#unanswered -= replies.length;
    if (this.#closed) return;
    for (const reply of replies) this.#replies.push(reply, bytesOf(reply));
  }

  #send(message: DataReplies): void {
    if (this.#closed) return;
    if (!this.#outgoing.send(message)) this.#isCongested = true;
  }

  #refuse(error: KvError): void {
    if (this.#closed) return;
    this.#parts.logger.warn(
      { code: error.code, remote: this.#outgoing.remote, reason: error.message },
      'data stream refused',
    );
    this.#closed = true;
    this.#outgoing.close(error);
  }
}

const fetchBytesOf = ({ body }: DataRequest): number =>
  body?.$case === 'fetch' ? body.value.length : 0;

/** About how many bytes a reply takes: only fetched data counts. */
const bytesOf = (reply: DataReply): number =>
  reply.body?.$case === 'chunk' ? reply.body.value.data.length : 0;
