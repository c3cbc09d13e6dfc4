/**
 * Makes a copy here from another volume's bytes. Size and digest come from metadata with the order,
 * never from the source, and the result is synced whatever the fsync policy: a repair must not be the
 * copy that the next power cut takes.
 */
import { crc32 } from '../common/checksum.ts';
import type { Clock } from '../common/clock.ts';
import { withDeadline } from '../common/clock.ts';
import { isErrorCode, KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { CopyId } from '../common/ids.ts';
import { Semaphore } from '../common/semaphore.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Hello } from '../rpc/generated/common.ts';
import type { DataReplies, DataReply, DataRequests } from '../rpc/generated/volume.ts';
import type { LinkOptions } from '../rpc/link.ts';
import { DATA_STREAM } from '../rpc/streams.ts';
import { type Link, type Outgoing, RPC_LIMITS, type StreamEvents } from '../rpc/types.ts';
import type { StorageEngine } from '../storage/types.ts';
import type { Puller, PullOrder } from './participant.ts';

const PULLS_MAX = 4;
const PULLS_WAITING_MAX = 256;
const CONNECT_TIMEOUT_MS = 2 * SECOND_MS;
const CHUNK_TIMEOUT_MS = 5 * SECOND_MS;

export interface PullerParts {
  readonly clock: Clock;
  /** `openLink` of rpc/link.ts, or a stand-in. */
  readonly openLink: (options: LinkOptions<DataRequests, DataReplies>) => Link;
  readonly engine: StorageEngine;
  readonly hello: () => Hello;
  /** host:port of a disk's data stream; undefined where the roster has none. */
  readonly addressOf: (disk: number) => string | undefined;
}

export class VolumePuller implements Puller {
  readonly #parts: PullerParts;
  readonly #permits = new Semaphore(PULLS_MAX, PULLS_WAITING_MAX);

  constructor(parts: PullerParts) {
    this.#parts = parts;
  }

  /** @throws KvError `UNAVAILABLE`, `UNREADABLE`, `NOT_FOUND`, `CORRUPT` of the source; `NO_SPACE` here. */
  pull(order: PullOrder): Promise<void> {
    return this.#permits.run(() => this.#pull(order));
  }

  async #pull(order: PullOrder): Promise<void> {
    const { addressOf, engine } = this.#parts;
    const address = addressOf(order.sourceDisk);
    if (address === undefined) {
      throw new KvError('UNAVAILABLE', `disk ${order.sourceDisk} is not in the roster`);
    }
    const source = await this.#connect(address, order.sourceDisk);
    try {
      await this.#copy(source, order);
    } catch (error) {
      await engine.dropIfOpen(order.end.copyId);
      throw error;
    } finally {
      source.close();
    }
  }

  async #copy(source: Source, order: PullOrder): Promise<void> {
    const { engine } = this.#parts;
    const { end, sourceCopyId } = order;
    if (end.sizeBytes <= RPC_LIMITS.chunkBytesMax) {
      const data =
        end.sizeBytes === 0
          ? new Uint8Array(0)
          : await source.fetch(sourceCopyId, 0, end.sizeBytes);
      failpoint('puller.fetched', end.owner);
      await engine.stageWhole(end, data, true);
      failpoint('puller.staged', end.owner);
      return;
    }
    let offset = 0;
    for (let chunkNo = 0; offset < end.sizeBytes; chunkNo += 1) {
      const length = Math.min(RPC_LIMITS.chunkBytesMax, end.sizeBytes - offset);
      const data = await source.fetch(sourceCopyId, offset, length);
      failpoint('puller.fetched', end.owner);
      const declaredBytes = chunkNo === 0 ? end.sizeBytes : 0;
      await engine.stageChunk({
        copyId: end.copyId,
        chunkNo,
        offset,
        data,
        crc: crc32(data),
        declaredBytes,
      });
      offset += data.length;
    }
    await engine.stageEnd(end, true);
    failpoint('puller.staged', end.owner);
  }

  #connect(address: string, disk: number): Promise<Source> {
    const { clock, hello, openLink } = this.#parts;
    let link: Link | null = null;
    const opened = new Promise<Source>((resolve) => {
      link = openLink({
        method: DATA_STREAM,
        address: () => address,
        onOpen: (outgoing) => {
          const source = new Source(clock, outgoing, () => link?.close());
          outgoing.send({ hello: { ...hello(), to: disk }, requests: [] });
          resolve(source);
          return source;
        },
      });
    });
    return withDeadline(clock, opened, CONNECT_TIMEOUT_MS, () => {
      link?.close();
      return new KvError('UNAVAILABLE', `cannot reach disk ${disk} at ${address}`);
    });
  }
}

/** One data stream to another volume, one fetch at a time. */
class Source implements StreamEvents<DataReplies> {
  readonly #clock: Clock;
  readonly #outgoing: Outgoing<DataRequests>;
  readonly #closeLink: () => void;
  #nextId = 1;
  #lost: KvError | null = null;
  #waiting: { resolve: (reply: DataReply) => void; reject: (error: Error) => void } | null = null;

  constructor(clock: Clock, outgoing: Outgoing<DataRequests>, closeLink: () => void) {
    this.#clock = clock;
    this.#outgoing = outgoing;
    this.#closeLink = closeLink;
  }

  onMessage(message: DataReplies): void {
    for (const reply of message.replies) {
      this.#waiting?.resolve(reply);
      this.#waiting = null;
    }
  }

  onClosed(reason: Error): void {
    this.#lost = new KvError('UNAVAILABLE', 'the source closed', { cause: reason });
    this.#waiting?.reject(this.#lost);
    this.#waiting = null;
  }

  async fetch(copy: CopyId, offset: number, length: number): Promise<Uint8Array> {
    // Between two fetches, or while the last piece was being written.
    if (this.#lost !== null) throw this.#lost;
    const requestId = this.#nextId;
    this.#nextId += 1;
    const answered = new Promise<DataReply>((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
    const value = { copyId: Buffer.from(copy, 'hex'), offset, length };
    this.#outgoing.send({
      hello: undefined,
      requests: [{ requestId, body: { $case: 'fetch', value } }],
    });
    const reply = await withDeadline(
      this.#clock,
      answered,
      CHUNK_TIMEOUT_MS,
      () => new KvError('UNAVAILABLE', 'the source stalled'),
    );
    return chunkOf(reply, length);
  }

  close(): void {
    this.#closeLink();
  }
}

function chunkOf(reply: DataReply, length: number): Uint8Array {
  const body = reply.body;
  if (body?.$case === 'failure') {
    const { code, message } = body.value;
    throw new KvError(isErrorCode(code) ? code : 'UNAVAILABLE', message);
  }
  if (body?.$case !== 'chunk') throw new KvError('UNAVAILABLE', 'the source answered nonsense');
  const { data, crc } = body.value;
  if (data.length !== length || crc32(data) !== crc) {
    throw new KvError('CORRUPT', 'the source sent a damaged chunk');
  }
  return data;
}
