/**
 * The data stream to one volume: hello first, then requests, batched by loop turn and answered by
 * request id. Requests made while the stream is being dialled wait for it briefly; requests on a
 * stream that breaks fail at once. What waits for the stream is let go with its deadline, since whoever
 * asked has given its memory back by then, and is bounded. A volume is dialled where it said that it is and
 * by its name in turn, because DNS may lag behind.
 */
import type { Clock } from '../common/clock.ts';
import { isErrorCode, KvError } from '../common/errors.ts';
import type { DiskId } from '../common/ids.ts';
import { KIB, MIB, SECOND_MS } from '../common/units.ts';
import type { DataReplies, DataReply, DataRequest, DataRequests } from '../rpc/generated/volume.ts';
import { checkHello, helloTo, type Introduction } from '../rpc/hello.ts';
import type { LinkOptions } from '../rpc/link.ts';
import { type Asker, PendingRequests } from '../rpc/requests.ts';
import { DATA_STREAM } from '../rpc/streams.ts';
import { TurnBatcher } from '../rpc/turn-batcher.ts';
import type { Link, Outgoing, StreamEvents } from '../rpc/types.ts';
import type { Logger } from '../telemetry/logger.ts';
import { LIMITS } from './limits.ts';
import type { LiveVolume } from './volume-port.ts';

/** How a link is opened: `openLink` of rpc/link.ts, or a stand-in. */
export type OpenLink = (options: LinkOptions<DataRequests, DataReplies>) => Link;

export interface VolumeStreamComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly openLink: OpenLink;
  readonly introduce: () => Introduction;
}

/** Where a volume is, and in which of its lives. */
export type Place = Pick<LiveVolume, 'grpcAddress' | 'directAddress' | 'bootId'>;

export type RequestBody = NonNullable<DataRequest['body']>;
export type ReplyBody = NonNullable<DataReply['body']>;

/** How long a request waits for a stream that is being dialled. */
const DIAL_WAIT_MS = SECOND_MS;
const REQUESTS_MAX = 16_384;
const SWEEP_MS = 100;
/** What may wait for one stream: all that writes may hold, with their keys. More is there only where some gave up. */
const HELD_BYTES_MAX = LIMITS.writeBytesMax + REQUESTS_MAX * KIB;
const BATCH = { itemsMax: 1024, bytesMax: MIB };

interface WeighedRequest extends DataRequest {
  readonly bytes: number;
}

export class VolumeStream {
  readonly #components: VolumeStreamComponents;
  readonly #disk: DiskId;
  readonly #pending: PendingRequests<ReplyBody>;
  readonly #batcher: TurnBatcher<WeighedRequest>;
  #place: Place;
  #triesDirect = false;
  /** Boot id of the process behind the open stream, 0 until it has said hello. */
  #boot = 0;
  #link: Link | null = null;
  #outgoing: Outgoing<DataRequests> | null = null;
  #isGreeted = false;
  #isCongested = false;
  /** Batches that wait for the stream to open or to drain; somebody waits for each of their replies. */
  #waiting: WeighedRequest[][] = [];
  #heldBytes = 0;

  constructor(
    components: VolumeStreamComponents,
    options: { readonly disk: DiskId; readonly place: Place },
  ) {
    const { clock } = components;
    this.#components = components;
    this.#disk = options.disk;
    this.#place = options.place;
    this.#pending = new PendingRequests(clock, {
      requestsMax: REQUESTS_MAX,
      sweepMs: SWEEP_MS,
      onExpired: () => this.#letGo(),
    });
    this.#batcher = new TurnBatcher(clock, (batch) => this.#leave(batch), BATCH);
  }

  /** Of requests that wait for the stream to open or to drain. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  open(): void {
    const { openLink } = this.#components;
    this.#link = openLink({
      method: DATA_STREAM,
      address: () => this.#nextAddress(),
      onOpen: (outgoing) => this.#opened(outgoing),
    });
  }

  /**
   * What was heard of the volume last. Where it moved or started anew, its stream is dialled at once:
   * a process that lost its power has closed nothing.
   */
  follow(place: Place): void {
    const { grpcAddress, directAddress } = this.#place;
    const hasMoved = place.grpcAddress !== grpcAddress || place.directAddress !== directAddress;
    const isAnew = this.#boot !== 0 && place.bootId > this.#boot;
    this.#place = place;
    if (!hasMoved && !isAnew) return;
    this.#triesDirect = false;
    this.#link?.redial();
  }

  close(): void {
    this.#link?.close();
    this.#lost(new KvError('UNAVAILABLE', `disk ${this.#disk} is not there any more`));
  }

  /** The reply's body. @throws KvError `UNAVAILABLE`, `DEADLINE_EXCEEDED`, or the volume's own code. */
  async request(body: RequestBody, bytes: number, timeoutMs: number): Promise<ReplyBody> {
    const { promise, resolve, reject } = Promise.withResolvers<ReplyBody>();
    this.ask(body, { resolve, reject }, { bytes, timeoutMs });
    const answer = await promise;
    if (answer.$case === 'failure') throw failureOf(this.#disk, answer.value);
    return answer;
  }

  /**
   * Likewise for what is asked most often; a failure of the volume is an answer.
   * @throws KvError `OVERLOADED` when too much waits for this volume already.
   */
  ask(
    body: RequestBody,
    asker: Asker<ReplyBody>,
    { bytes, timeoutMs }: { readonly bytes: number; readonly timeoutMs: number },
  ): void {
    if (this.#heldBytes + bytes > HELD_BYTES_MAX) {
      throw new KvError('OVERLOADED', `too many bytes wait for disk ${this.#disk}`, {
        detail: { disk: this.#disk, heldBytes: this.#heldBytes },
      });
    }
    const waitMs = this.#isGreeted ? timeoutMs : Math.min(timeoutMs, DIAL_WAIT_MS);
    const requestId = this.#pending.add(asker, waitMs);
    this.#batcher.push({ requestId, body, bytes }, bytes);
  }

  #nextAddress(): string {
    const { grpcAddress, directAddress } = this.#place;
    const hasDirect = directAddress !== '' && directAddress !== grpcAddress;
    this.#triesDirect = hasDirect && !this.#triesDirect;
    return this.#triesDirect ? directAddress : grpcAddress;
  }

  #opened(outgoing: Outgoing<DataRequests>): StreamEvents<DataReplies> {
    this.#outgoing = outgoing;
    this.#isCongested = false;
    outgoing.send({ hello: helloTo(this.#components.introduce(), this.#disk), requests: [] });
    return {
      onMessage: (message) => this.#heard(message),
      onDrain: () => {
        this.#isCongested = false;
        this.#sendWaiting();
      },
      onClosed: (reason) => {
        if (this.#outgoing !== outgoing) return;
        this.#lost(
          new KvError('UNAVAILABLE', `the stream to disk ${this.#disk} broke`, { cause: reason }),
        );
      },
    };
  }

  #heard({ hello, replies }: DataReplies): void {
    if (!this.#isGreeted) {
      const clusterId = this.#components.introduce().clusterId;
      const wrong = checkHello({ role: 'volume', clusterId, to: null, from: this.#disk }, hello);
      if (wrong !== null) {
        const { disk, logger } = { disk: this.#disk, logger: this.#components.logger };
        logger.warn({ disk, reason: wrong.message }, 'another volume answers at this address');
        throw wrong;
      }
      this.#isGreeted = true;
      this.#boot = hello?.bootId ?? 0;
      this.#sendWaiting();
    }
    for (const { requestId, body } of replies) {
      if (body !== undefined) this.#pending.resolve(requestId, body);
    }
  }

  #leave(batch: WeighedRequest[]): void {
    if (!this.#send(batch)) this.#hold(batch);
  }

  /** False where the stream takes nothing at present. */
  #send(requests: WeighedRequest[]): boolean {
    if (this.#outgoing === null || !this.#isGreeted || this.#isCongested) return false;
    this.#isCongested = !this.#outgoing.send({ hello: undefined, requests });
    return true;
  }

  #sendWaiting(): void {
    let [batch] = this.#waiting;
    while (batch !== undefined && this.#send(batch)) {
      this.#waiting.shift();
      for (const { bytes } of batch) this.#heldBytes -= bytes;
      [batch] = this.#waiting;
    }
  }

  #hold(batch: readonly WeighedRequest[]): void {
    const awaited = batch.filter(({ requestId }) => this.#pending.has(requestId));
    if (awaited.length === 0) return;
    this.#waiting.push(awaited);
    for (const { bytes } of awaited) this.#heldBytes += bytes;
  }

  /** Nobody waits any more for some of the replies: what asks for them is not sent late, nor kept. */
  #letGo(): void {
    const batches = this.#waiting;
    this.#waiting = [];
    this.#heldBytes = 0;
    for (const batch of batches) this.#hold(batch);
  }

  #lost(reason: KvError): void {
    this.#outgoing = null;
    this.#isGreeted = false;
    this.#boot = 0;
    this.#waiting = [];
    this.#heldBytes = 0;
    this.#batcher.clear();
    this.#pending.failAll(reason);
  }
}

/** What a volume said went wrong. */
export function failureOf(
  disk: DiskId,
  { code, message }: { readonly code: string; readonly message: string },
): KvError {
  return new KvError(isErrorCode(code) ? code : 'INTERNAL', message, { detail: { disk } });
}
