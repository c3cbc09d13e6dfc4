/**
 * The volume's part of two-phase commit: each request of a data stream becomes one call of the engine
 * and one reply. It stages only in its current session, and a vote names that session, so a copy that
 * a restart has lost is never counted.
 */
import { crc32 } from '../common/checksum.ts';
import { asError, KvError } from '../common/errors.ts';
import {
  type CopyId,
  copyIdFrom,
  type DiskId,
  digestFrom,
  type Session,
  type TxnId,
  txnIdFrom,
} from '../common/ids.ts';
import { MIB } from '../common/units.ts';
import type {
  CheckCopiesRequest,
  DataReply,
  DataRequest,
  FetchRequest,
  ListCopiesRequest,
  PullRequest,
  SettleRequest,
  StageChunkRequest,
  StageEndRequest,
  StageWholeRequest,
} from '../rpc/generated/volume.ts';
import type {
  CopyInfo,
  CopyState,
  SettleResult,
  StageEnd,
  StorageEngine,
  WholeCopy,
} from '../storage/types.ts';
import type { Unnamed } from './unnamed.ts';

const FETCH_BYTES_MAX = MIB;
const LIST_LIMIT_MAX = 1000;
const CHECK_COPIES_MAX = 1000;
/** Copies looked up at once: each reads the head of a record. */
const CHECKS_AT_ONCE = 32;
const SETTLE_DISCARD = 2;
const SETTLE_DROP = 3;
const SETTLE_FINALIZE = 1;
const SOUND = 0;
const ABSENT = 1;
const BAD = 2;
const STATE_NUMBERS: Readonly<Record<CopyState, number>> = {
  open: 0,
  staged: 1,
  committed: 2,
  dropped: 3,
};

/** Who this volume is right now. `session` 0: not registered, staging is refused. */
export interface SessionView {
  readonly disk: DiskId;
  readonly session: Session;
  /** False while stopping: what is open may end, nothing new begins. */
  readonly accepting: boolean;
}

/** A copy to be made here from another volume. */
export interface PullOrder {
  readonly end: StageEnd;
  readonly sourceDisk: number;
  readonly sourceCopyId: CopyId;
}

/** Fetches a copy from another volume into the engine, synced whatever the policy. */
export interface Puller {
  pull(order: PullOrder): Promise<void>;
}

export interface ParticipantParts {
  readonly engine: StorageEngine;
  readonly session: () => SessionView;
  readonly puller: Puller;
  readonly unnamed: Unnamed;
}

type ReplyBody = NonNullable<DataReply['body']>;

/** What one stream has begun and not ended: dropped when it breaks, since no vote was sent. */
export type OpenCopies = Set<CopyId>;

/** Answers one request; never rejects: a failure is a reply with its code. */
export async function answer(
  parts: ParticipantParts,
  open: OpenCopies,
  request: DataRequest,
): Promise<DataReply> {
  try {
    return { requestId: request.requestId, body: await dispatch(parts, open, request) };
  } catch (thrown) {
    return failureOf(request.requestId, thrown);
  }
}

/** A request that brings a whole value. */
export interface WholeRequest {
  readonly requestId: number;
  readonly value: StageWholeRequest;
}

/** Answers those of one message, staged together; never rejects. */
export async function answerWholes(
  parts: ParticipantParts,
  requests: readonly WholeRequest[],
): Promise<readonly DataReply[]> {
  const replies: DataReply[] = [];
  const ids: number[] = [];
  const values: WholeCopy[] = [];
  for (const { requestId, value } of requests) {
    try {
      values.push(wholeOf(parts, value));
      ids.push(requestId);
    } catch (thrown) {
      replies.push(failureOf(requestId, thrown));
    }
  }
  const refusals = await parts.engine
    .stageWholes(values)
    .catch((thrown: unknown) => ids.map(() => asError(thrown)));
  const body = vote(parts);
  for (const [at, requestId] of ids.entries()) {
    const refusal = refusals[at] ?? null;
    replies.push(refusal === null ? { requestId, body } : failureOf(requestId, refusal));
  }
  return replies;
}

function failureOf(requestId: number, thrown: unknown): DataReply {
  const error = asError(thrown);
  const code = error instanceof KvError ? error.code : 'INTERNAL';
  return { requestId, body: { $case: 'failure', value: { code, message: error.message } } };
}

function dispatch(
  parts: ParticipantParts,
  open: OpenCopies,
  request: DataRequest,
): Promise<ReplyBody> {
  const body = request.body;
  if (body === undefined) return Promise.reject(invalid('a request without a body'));
  switch (body.$case) {
    case 'stageChunk':
      return stageChunk(parts, open, body.value);
    case 'stageEnd':
      return stageEnd(parts, open, body.value);
    case 'stageWhole':
      return stageWhole(parts, body.value);
    case 'settle':
      return settle(parts, open, body.value);
    case 'fetch':
      return fetchRange(parts, body.value);
    case 'pull':
      return pull(parts, body.value);
    case 'listCopies':
      return listCopies(parts, body.value);
    case 'checkCopies':
      return checkCopies(parts, body.value);
  }
}

async function stageChunk(
  parts: ParticipantParts,
  open: OpenCopies,
  request: StageChunkRequest,
): Promise<ReplyBody> {
  const id = copyIdOf(request.copyId);
  // A copy that is already open may go on while the volume is stopping.
  if (!open.has(id)) requireSession(parts, 'new');
  open.add(id);
  const written = parts.engine.stageChunk({
    copyId: id,
    chunkNo: request.chunkNo,
    offset: request.offset,
    data: request.data,
    crc: request.crc,
    declaredBytes: request.declaredBytes,
  });
  await orDrop(parts, { open, id }, written);
  return { $case: 'written', value: {} };
}

async function stageEnd(
  parts: ParticipantParts,
  open: OpenCopies,
  request: StageEndRequest,
): Promise<ReplyBody> {
  requireSession(parts, 'open');
  const end = {
    copyId: copyIdOf(request.copyId),
    txnId: txnIdOf(request.txnId),
    owner: request.owner,
    sizeBytes: request.sizeBytes,
    digest: digestOfWire(request.digest),
  };
  await orDrop(parts, { open, id: end.copyId }, parts.engine.stageEnd(end));
  open.delete(end.copyId);
  return vote(parts);
}

/** A copy of which a chunk or the end is refused can never be whole: it does not stay open. */
async function orDrop(
  parts: ParticipantParts,
  { open, id }: { readonly open: OpenCopies; readonly id: CopyId },
  staged: Promise<void>,
): Promise<void> {
  try {
    await staged;
  } catch (error) {
    // Where even that fails the end of the stream, or of the process, drops it.
    await parts.engine.dropIfOpen(id).then(
      () => open.delete(id),
      () => undefined,
    );
    throw error;
  }
}

async function stageWhole(parts: ParticipantParts, request: StageWholeRequest): Promise<ReplyBody> {
  const { end, data } = wholeOf(parts, request);
  await parts.engine.stageWhole(end, data);
  return vote(parts);
}

function wholeOf(parts: ParticipantParts, request: StageWholeRequest): WholeCopy {
  requireSession(parts, 'new');
  const { data } = request;
  const end = {
    copyId: copyIdOf(request.copyId),
    txnId: txnIdOf(request.txnId),
    owner: request.owner,
    sizeBytes: data.length,
    digest: digestOfWire(request.digest),
  };
  return { end, data };
}

async function pull(parts: ParticipantParts, request: PullRequest): Promise<ReplyBody> {
  requireSession(parts, 'new');
  await parts.puller.pull({
    end: {
      copyId: copyIdOf(request.copyId),
      txnId: txnIdOf(request.txnId),
      owner: request.owner,
      sizeBytes: request.sizeBytes,
      digest: digestOfWire(request.digest),
    },
    sourceDisk: request.sourceDisk,
    sourceCopyId: copyIdOf(request.sourceCopyId),
  });
  return vote(parts);
}

async function settle(
  parts: ParticipantParts,
  open: OpenCopies,
  request: SettleRequest,
): Promise<ReplyBody> {
  const ids = request.copyIds.map(copyIdOf);
  const settled = await settleAll(parts.engine, request.action, ids);
  const results = settled.map((result, at) => {
    const id = ids[at];
    if (result === 'ok' && id !== undefined) open.delete(id);
    return result === 'ok' ? 0 : 1;
  });
  return { $case: 'settled', value: { results } };
}

function settleAll(
  engine: StorageEngine,
  action: number,
  ids: readonly CopyId[],
): Promise<readonly SettleResult[]> {
  if (action === SETTLE_FINALIZE) return engine.finalizeAll(ids);
  if (action === SETTLE_DISCARD || action === SETTLE_DROP) {
    return Promise.all(ids.map((id) => engine.drop(id)));
  }
  throw invalid(`settle action ${action} is unknown`);
}

async function fetchRange(parts: ParticipantParts, request: FetchRequest): Promise<ReplyBody> {
  if (request.length > FETCH_BYTES_MAX)
    throw invalid(`a fetch is at most ${FETCH_BYTES_MAX} bytes`);
  const id = copyIdOf(request.copyId);
  const result = await parts.engine.read(id, request.offset, request.length);
  switch (result.kind) {
    case 'found':
      return {
        $case: 'chunk',
        value: {
          data: result.data,
          sizeBytes: result.sizeBytes,
          crc: result.crc ?? crc32(result.data),
        },
      };
    case 'absent':
      throw new KvError('NOT_FOUND', 'this volume has no such copy');
    case 'torn':
      throw new KvError('CORRUPT', 'this copy is torn');
    case 'corrupt':
      throw new KvError('CORRUPT', result.why);
    case 'refused':
      throw new KvError('UNREADABLE', result.why);
  }
}

async function listCopies(parts: ParticipantParts, request: ListCopiesRequest): Promise<ReplyBody> {
  const limit = Math.max(1, Math.min(request.limit, LIST_LIMIT_MAX));
  const after = request.after.length === 0 ? null : copyIdOf(request.after);
  const copies = await parts.engine.list(after, limit, ['staged', 'committed']);
  return {
    $case: 'listing',
    value: { copies: copies.map(rowOf), more: copies.length === limit },
  };
}

/** Says what this disk holds, in the session in which it says so. */
async function checkCopies(
  parts: ParticipantParts,
  request: CheckCopiesRequest,
): Promise<ReplyBody> {
  requireSession(parts, 'open');
  if (request.copyIds.length > CHECK_COPIES_MAX) {
    throw invalid(`at most ${CHECK_COPIES_MAX} copies are checked at once`);
  }
  const conditions: number[] = [];
  for (let at = 0; at < request.copyIds.length; at += CHECKS_AT_ONCE) {
    const some = request.copyIds.slice(at, at + CHECKS_AT_ONCE).map(copyIdOf);
    conditions.push(...(await Promise.all(some.map((id) => conditionOf(parts, id)))));
  }
  const { disk, session } = parts.session();
  if (request.endsWalkOf === session) await parts.unnamed.walkEnded();
  return { $case: 'conditions', value: { disk, session, conditions } };
}

/**
 * An open copy was never voted, so whoever names it names one that is not there. What the disk refuses to
 * show is no worse than the index has it: scrub looks again, and later, before it calls anything bad.
 */
async function conditionOf({ engine, unnamed }: ParticipantParts, id: CopyId): Promise<number> {
  const info = await engine.info(id);
  if (info === undefined || info.state === 'open' || info.state === 'dropped') return ABSENT;
  unnamed.name(info);
  return info.sound ? SOUND : BAD;
}

function rowOf(info: CopyInfo) {
  return {
    copyId: Buffer.from(info.copyId, 'hex'),
    state: STATE_NUMBERS[info.state],
    txnId: Buffer.from(info.txnId, 'hex'),
    owner: info.owner,
    sizeBytes: info.sizeBytes,
    sound: info.sound && !info.refused,
  };
}

function vote(parts: ParticipantParts): ReplyBody {
  const { disk, session } = parts.session();
  return { $case: 'vote', value: { disk, session } };
}

function requireSession(parts: ParticipantParts, begins: 'new' | 'open'): void {
  const { session, accepting } = parts.session();
  if (session === 0) {
    throw new KvError('STALE_SESSION', 'this volume is not registered yet; use another one');
  }
  if (begins === 'new' && !accepting) {
    throw new KvError('STOPPING', 'this volume is stopping; use another one');
  }
}

function copyIdOf(bytes: Uint8Array): CopyId {
  if (bytes.length !== 16) throw invalid('a copy id has 16 bytes');
  return copyIdFrom(bytes);
}

function txnIdOf(bytes: Uint8Array): TxnId {
  if (bytes.length !== 16) throw invalid('a transaction id has 16 bytes');
  return txnIdFrom(bytes);
}

function digestOfWire(bytes: Uint8Array) {
  if (bytes.length !== 32) throw invalid('a digest has 32 bytes');
  return digestFrom(bytes);
}

const invalid = (message: string): KvError => new KvError('INVALID_ARGUMENT', message);
