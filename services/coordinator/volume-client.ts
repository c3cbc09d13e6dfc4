/**
 * Data requests to volumes, over one stream to each live volume. Settlements leave with the next values
 * for the same disk, or a moment later without.
 */
import { crc32 } from '../common/checksum.ts';
import { asError, KvError } from '../common/errors.ts';
import {
  bytesOfHex,
  type CopyId,
  type DiskId,
  diskId,
  type Session,
  session,
} from '../common/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { Asker } from '../rpc/requests.ts';
import { type SettleAction, Settlements } from './settle-batch.ts';
import type {
  CheckResult,
  CopyCondition,
  FetchResult,
  VolumeClient,
  VolumeDirectory,
  VoteListener,
  VoteResult,
  WholeValueCopy,
} from './volume-port.ts';
import {
  failureOf,
  type ReplyBody,
  type RequestBody,
  VolumeStream,
  type VolumeStreamComponents,
} from './volume-stream.ts';

export interface StreamsComponents extends VolumeStreamComponents {
  readonly directory: VolumeDirectory;
}

/** Last bounds; whoever asks looks for stalls much earlier. */
const WRITE_TIMEOUT_MS = 30 * SECOND_MS;
const SETTLE_TIMEOUT_MS = 10 * SECOND_MS;
const CHECK_TIMEOUT_MS = 10 * SECOND_MS;
const PULL_TIMEOUT_MS = 10 * MINUTE_MS;
/** About what a request weighs besides its data, and each id that it names. */
const REQUEST_BYTES = 128;
const ID_BYTES = 18;

const ACTIONS = { finalize: 1, discard: 2, drop: 3 } as const satisfies Record<
  SettleAction,
  number
>;

const CONDITIONS: readonly CopyCondition[] = ['sound', 'absent', 'bad'];

export class VolumeStreams implements VolumeClient {
  readonly #components: StreamsComponents;
  readonly #streams = new Map<DiskId, VolumeStream>();
  readonly #settling = new Map<DiskId, Settlements>();
  /** The last value sent: most go to three disks, one right after the other. */
  #sent: { readonly copy: WholeValueCopy; readonly body: RequestBody } | null = null;

  constructor(components: StreamsComponents) {
    this.#components = components;
  }

  /** Opens a stream to every live volume, now and whenever that changes. */
  start(): void {
    this.#components.directory.onChange(() => this.#follow());
    this.#follow();
  }

  stop(): void {
    for (const stream of this.#streams.values()) stream.close();
    this.#streams.clear();
  }

  async stageChunk(...[disk, chunk]: Parameters<VolumeClient['stageChunk']>): Promise<void> {
    const value = { ...chunk, copyId: bytesOfHex(chunk.copyId) };
    const bytes = chunk.data.length + REQUEST_BYTES;
    const body = { $case: 'stageChunk', value } as const;
    await this.#stream(disk).request(body, bytes, WRITE_TIMEOUT_MS);
  }

  async stageEnd(...[disk, end]: Parameters<VolumeClient['stageEnd']>): Promise<VoteResult> {
    const { copyId, txnId, owner, sizeBytes, digest } = end;
    const value = {
      copyId: bytesOfHex(copyId),
      txnId: bytesOfHex(txnId),
      owner,
      sizeBytes,
      digest: bytesOfHex(digest),
    };
    const bytes = owner.length + REQUEST_BYTES;
    const body = { $case: 'stageEnd', value } as const;
    return voteOf(disk, await this.#stream(disk).request(body, bytes, WRITE_TIMEOUT_MS));
  }

  stageWhole(disk: DiskId, whole: WholeValueCopy, listener: VoteListener): void {
    const bytes = whole.data.length + whole.owner.length + REQUEST_BYTES;
    let sent = this.#sent;
    if (sent?.copy !== whole) {
      sent = { copy: whole, body: wholeBody(whole) };
      this.#sent = sent;
    }
    // A message leaves at the end of this turn anyway, and its sync covers what is settled with it.
    this.#settling.get(disk)?.leave();
    try {
      const asker = new VoteAsker(disk, listener);
      this.#stream(disk).ask(sent.body, asker, { bytes, timeoutMs: WRITE_TIMEOUT_MS });
    } catch (thrown) {
      queueMicrotask(() => listener.failed(asError(thrown)));
    }
  }

  settle(
    disk: DiskId,
    action: SettleAction,
    copyIds: readonly CopyId[],
  ): Promise<readonly boolean[]> {
    let settlements = this.#settling.get(disk);
    if (settlements === undefined) {
      settlements = new Settlements(this.#components.clock, (gathered, ids) =>
        this.#settleAll(disk, gathered, ids),
      );
      this.#settling.set(disk, settlements);
    }
    return settlements.add(action, copyIds);
  }

  async fetch(
    disk: DiskId,
    copyId: CopyId,
    range: { offset: number; length: number; timeoutMs: number },
  ): Promise<FetchResult> {
    const { offset, length, timeoutMs } = range;
    const value = { copyId: bytesOfHex(copyId), offset, length };
    const body = { $case: 'fetch', value } as const;
    const reply = await this.#stream(disk).request(body, REQUEST_BYTES, timeoutMs);
    if (reply.$case !== 'chunk') throw unexpected(disk, reply);
    const { data, sizeBytes, crc } = reply.value;
    if (crc32(data) !== crc) {
      throw new KvError('CORRUPT', 'a chunk does not have its checksum', { detail: { disk } });
    }
    return { data, sizeBytes };
  }

  async pull(...[disk, order]: Parameters<VolumeClient['pull']>): Promise<VoteResult> {
    const value = {
      copyId: bytesOfHex(order.copyId),
      txnId: bytesOfHex(order.txnId),
      owner: order.owner,
      sizeBytes: order.sizeBytes,
      digest: bytesOfHex(order.digest),
      sourceDisk: order.sourceDisk,
      sourceCopyId: bytesOfHex(order.sourceCopyId),
    };
    const body = { $case: 'pull', value } as const;
    const bytes = order.owner.length + REQUEST_BYTES;
    return voteOf(disk, await this.#stream(disk).request(body, bytes, PULL_TIMEOUT_MS));
  }

  async check(
    disk: DiskId,
    copyIds: readonly CopyId[],
    endsWalkOf: Session | null,
  ): Promise<CheckResult> {
    const value = { copyIds: copyIds.map(bytesOfHex), endsWalkOf: endsWalkOf ?? 0 };
    const body = { $case: 'checkCopies', value } as const;
    const bytes = copyIds.length * ID_BYTES + REQUEST_BYTES;
    const reply = await this.#stream(disk).request(body, bytes, CHECK_TIMEOUT_MS);
    if (reply.$case !== 'conditions' || reply.value.disk !== disk) throw unexpected(disk, reply);
    const conditions = reply.value.conditions.map((code) => CONDITIONS[code]);
    // A missing word is no word: nothing may be concluded from a reply that is not understood.
    if (conditions.length !== copyIds.length || conditions.includes(undefined)) {
      throw unexpected(disk, reply);
    }
    return { session: session(reply.value.session), conditions: conditions.filter(isSaid) };
  }

  async #settleAll(
    disk: DiskId,
    action: SettleAction,
    copyIds: readonly CopyId[],
  ): Promise<readonly boolean[]> {
    const value = { action: ACTIONS[action], copyIds: copyIds.map(bytesOfHex) };
    const body = { $case: 'settle', value } as const;
    const bytes = copyIds.length * ID_BYTES + REQUEST_BYTES;
    const reply = await this.#stream(disk).request(body, bytes, SETTLE_TIMEOUT_MS);
    if (reply.$case !== 'settled' || reply.value.results.length !== copyIds.length) {
      throw unexpected(disk, reply);
    }
    return reply.value.results.map((result) => result === 0);
  }

  #stream(disk: DiskId): VolumeStream {
    const stream = this.#streams.get(disk);
    if (stream !== undefined) return stream;
    throw new KvError('UNAVAILABLE', `disk ${disk} is not heard`, { detail: { disk } });
  }

  #follow(): void {
    const live = new Map(this.#components.directory.live().map((volume) => [volume.disk, volume]));
    for (const [disk, stream] of this.#streams) {
      if (live.has(disk)) continue;
      this.#streams.delete(disk);
      stream.close();
    }
    for (const volume of live.values()) {
      const { disk } = volume;
      const known = this.#streams.get(disk);
      if (known !== undefined) {
        known.follow(volume);
        continue;
      }
      const stream = new VolumeStream(this.#components, { disk, place: volume });
      this.#streams.set(disk, stream);
      stream.open();
    }
  }
}

/** A class, since this is on the path of every small write. */
class VoteAsker implements Asker<ReplyBody> {
  readonly #disk: DiskId;
  readonly #listener: VoteListener;

  constructor(disk: DiskId, listener: VoteListener) {
    this.#disk = disk;
    this.#listener = listener;
  }

  resolve(reply: ReplyBody): void {
    let vote: VoteResult;
    try {
      if (reply.$case === 'failure') throw failureOf(this.#disk, reply.value);
      vote = voteOf(this.#disk, reply);
    } catch (thrown) {
      this.#listener.failed(asError(thrown));
      return;
    }
    this.#listener.voted(vote);
  }

  reject(error: Error): void {
    this.#listener.failed(error);
  }
}

function wholeBody({ copyId, txnId, owner, digest, data }: WholeValueCopy): RequestBody {
  const value = {
    copyId: bytesOfHex(copyId),
    txnId: bytesOfHex(txnId),
    owner,
    digest: bytesOfHex(digest),
    data,
  };
  return { $case: 'stageWhole', value };
}

const isSaid = (condition: CopyCondition | undefined): condition is CopyCondition =>
  condition !== undefined;

function voteOf(disk: DiskId, reply: ReplyBody): VoteResult {
  if (reply.$case !== 'vote') throw unexpected(disk, reply);
  if (reply.value.disk !== disk) {
    throw new KvError('WRONG_NODE', 'the vote of another disk', {
      detail: { disk, voter: reply.value.disk },
    });
  }
  return { disk: diskId(reply.value.disk), session: session(reply.value.session) };
}

const unexpected = (disk: DiskId, reply: ReplyBody): KvError =>
  new KvError('INTERNAL', `disk ${disk} answered with an unexpected ${reply.$case}`);
