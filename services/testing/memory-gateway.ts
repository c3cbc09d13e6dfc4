/**
 * A gateway without a cluster: one map, decided at once. Keeps the promises of the port that HTTP relies
 * on (conditions, idempotency, digests, limits) and fails on demand.
 */
import { setImmediate as turn } from 'node:timers/promises';
import type { CoordinatorStatus } from '../api/admin.ts';
import { concatBytes, textOf, utf8 } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import {
  type BlobId,
  blobId,
  copyId,
  diskId,
  type LogIndex,
  logIndex,
  mintTxnId,
  type TxnId,
} from '../common/ids.ts';
import { mintCopyId, seededRandom } from '../common/random.ts';
import type { AdminPort } from '../coordinator/admin-port.ts';
import type {
  ByteRange,
  Found,
  Gateway,
  ListRequest,
  MutationContext,
  MutationResult,
  OpenedValue,
  Page,
  PutRequest,
  ReadContext,
  Redirect,
  TransactionOp,
  TxnAnswer,
} from '../coordinator/gateway.ts';
import type { Condition } from '../metadata/commands.ts';
import type { Headers, OpResult, ValueRecord } from '../metadata/records.ts';

interface Stored {
  readonly record: ValueRecord;
  readonly data: Uint8Array;
}

export class MemoryGateway implements Gateway {
  readonly values = new Map<string, Stored>();
  readonly contexts: (MutationContext | ReadContext)[] = [];
  /** Thrown by every call while set. */
  failure: KvError | null = null;
  /** Thrown by `admitWrite` while set. */
  refusal: KvError | null = null;
  /** Bodies that began to be read. */
  bodiesBegun = 0;
  /** Replaces the body of whatever is opened. */
  openBody: ((found: Found, range: ByteRange | null) => AsyncIterable<Uint8Array>) | null = null;
  /** Replaces the reading of a put's body. */
  readBody: ((body: AsyncIterable<Uint8Array>) => Promise<Uint8Array>) | null = null;
  answers = new Map<string, TxnAnswer>();
  #index = 0;
  readonly #remembered = new Map<string, { hash: string; result: MutationResult }>();
  readonly #random = seededRandom(1);

  async admitWrite(): Promise<void> {
    if (this.refusal !== null) throw this.refusal;
  }

  async put(request: PutRequest, context: MutationContext): Promise<MutationResult> {
    this.#enter(context);
    this.bodiesBegun += 1;
    const read = this.readBody ?? collect;
    const data = await read(limited(request));
    if (request.declaredBytes !== null && request.declaredBytes !== data.length) {
      throw new KvError('INVALID_ARGUMENT', 'not as long as declared');
    }
    if (request.expectedDigest !== null && request.expectedDigest !== digestOf(data)) {
      throw new KvError('CHECKSUM_MISMATCH', 'another digest than promised');
    }
    const { key, condition, headers } = request;
    return this.#apply([{ key, condition, body: { kind: 'put', data, headers } }], context);
  }

  async delete(
    key: Uint8Array,
    condition: Condition | null,
    context: MutationContext,
  ): Promise<MutationResult> {
    this.#enter(context);
    return this.#apply([{ key, condition, body: { kind: 'delete' } }], context);
  }

  async transact(ops: readonly TransactionOp[], context: MutationContext): Promise<MutationResult> {
    this.#enter(context);
    await turn();
    return this.#apply(ops, context);
  }

  async find(key: Uint8Array, context: ReadContext): Promise<Found> {
    this.#enter(context);
    await turn();
    const stored = this.values.get(textOf(key));
    if (stored !== undefined) return { record: stored.record, readIndex: this.#here };
    throw new KvError('KEY_NOT_FOUND', 'there is no such key', {
      detail: { raftIndex: this.#index },
    });
  }

  async open(
    found: Found,
    range: ByteRange | null,
    key: Uint8Array,
    _context: ReadContext,
  ): Promise<OpenedValue> {
    const stored = this.values.get(textOf(key));
    if (stored === undefined) throw new KvError('KEY_NOT_FOUND', 'there is no such key');
    const current = { record: stored.record, readIndex: found.readIndex };
    if (this.openBody !== null) {
      return { found: current, body: this.openBody(found, range), whole: null };
    }
    const { offset, length } = range ?? { offset: 0, length: stored.data.length };
    const whole = stored.data.subarray(offset, offset + length);
    return { found: current, body: piecesOf(whole), whole };
  }

  redirect(found: Found): Redirect {
    return { url: `http://volume.test:6000/blob/${found.record.blobId}?disk=1&expires=1&token=00` };
  }

  async list(request: ListRequest, context: ReadContext): Promise<Page> {
    this.#enter(context);
    await turn();
    const { prefix, start, end, after, limit } = request;
    const order = (text: string): Buffer => Buffer.from(text);
    const keys = [...this.values.keys()]
      .sort((a, b) => Buffer.compare(order(a), order(b)))
      .filter((text) => {
        const key = order(text);
        return (
          key.subarray(0, prefix.length).equals(prefix) &&
          Buffer.compare(key, start) >= 0 &&
          (end.length === 0 || Buffer.compare(key, end) < 0) &&
          (after === null || Buffer.compare(key, after) > 0)
        );
      });
    const entries = keys.slice(0, limit).map((text) => {
      const { size, blobId: id, digest, version } = this.values.get(text)!.record;
      return { key: utf8(text), size, blobId: id, digest, version };
    });
    return { entries, more: keys.length > limit, readIndex: this.#here };
  }

  async transaction(txnId: TxnId): Promise<TxnAnswer> {
    if (this.failure !== null) throw this.failure;
    return this.answers.get(txnId) ?? { kind: 'unknown' };
  }

  get #here(): LogIndex {
    return logIndex(this.#index);
  }

  #enter(context: MutationContext | ReadContext): void {
    this.contexts.push(context);
    if (this.failure !== null) throw this.failure;
  }

  #apply(ops: readonly TransactionOp[], context: MutationContext): MutationResult {
    const hash = JSON.stringify(ops.map(({ key, body }) => [textOf(key), body]));
    const known = this.#remembered.get(context.idempotencyKey ?? '');
    if (known !== undefined) {
      if (known.hash === hash) return known.result;
      throw new KvError('IDEMPOTENCY_KEY_REUSED', 'used for another request');
    }
    ops.forEach((op, failedOp) => {
      if (!holds(op.condition, this.values.get(textOf(op.key))?.record.blobId)) {
        throw new KvError('PRECONDITION_FAILED', 'a condition does not hold', {
          detail: { failedOp, raftIndex: this.#index },
        });
      }
    });
    this.#index += 1;
    const results = ops.map((op, ordinal) => this.#write(op, ordinal));
    const txnId = mintTxnId(this.#here, this.#random.bytes(10));
    const result = { txnId, index: this.#here, results, want: 3 };
    if (context.idempotencyKey !== null) {
      this.#remembered.set(context.idempotencyKey, { hash, result });
    }
    return result;
  }

  #write({ key, body }: TransactionOp, ordinal: number): OpResult {
    const text = textOf(key);
    const version = { index: this.#here, ordinal };
    const existed = this.values.has(text);
    if (body.kind === 'check') return { effect: 'checked', version, copyCount: 0, blobId: '' };
    if (body.kind === 'delete') {
      this.values.delete(text);
      return { effect: existed ? 'deleted' : 'absent', version, copyCount: 0, blobId: '' };
    }
    const id = this.store(text, body.data, body.headers, ordinal);
    return { effect: existed ? 'replaced' : 'created', version, copyCount: 2, blobId: id };
  }

  /** Puts a value without a request. */
  store(text: string, data: Uint8Array, headers: Headers = [], ordinal = 0): BlobId {
    const copy = mintCopyId(this.#random);
    const id = blobId(copy);
    this.values.set(text, {
      data,
      record: {
        blobId: id,
        size: data.length,
        digest: digestOf(data),
        version: { index: this.#here, ordinal },
        copies: [{ disk: diskId(1), copyId: copyId(copy) }],
        headers,
        data: null,
      },
    });
    return id;
  }

  /** Pretends that a value has `size` bytes; its body comes from `openBody`. */
  claimSize(text: string, size: number): void {
    const stored = this.values.get(text)!;
    this.values.set(text, { ...stored, record: { ...stored.record, size } });
  }
}

function holds(condition: Condition | null, current: BlobId | undefined): boolean {
  switch (condition?.kind) {
    case undefined:
      return true;
    case 'exists':
      return current !== undefined;
    case 'absent':
      return current === undefined;
    case 'match':
      return current !== undefined && condition.blobIds.includes(current);
    case 'none-match':
      return current === undefined || !condition.blobIds.includes(current);
  }
}

async function* limited({ body, maxBytes }: PutRequest): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const piece of body instanceof Uint8Array ? piecesOf(body) : body) {
    bytes += piece.length;
    if (bytes > maxBytes) throw new KvError('TOO_LARGE', `at most ${maxBytes} bytes`);
    yield piece;
  }
}

export async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(piece);
  return concatBytes(pieces);
}

async function* piecesOf(whole: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < whole.length; at += 1000) yield whole.subarray(at, at + 1000);
}

/** An admin port that answers and remembers what was asked of it. */
export class MemoryAdmin implements AdminPort {
  readonly calls: string[] = [];
  epoch = 0;
  ready = true;
  id: string | null = 'c'.repeat(32);

  leaderName = (): string | null => 'coord-1';
  leaderContactMs = (): number | null => 12;
  clusterId = (): string | null => this.id;
  operatorEpoch = (): number => this.epoch;

  health() {
    const reason = this.ready ? null : 'recovering';
    return { ready: this.ready, reason, healthyVolumes: 3, isLeader: true };
  }

  status(): CoordinatorStatus {
    return {
      name: 'coord-1',
      nodeId: 1,
      clusterId: this.id,
      bootId: 1,
      podUid: '',
      version: '0.0.0',
      state: 'member',
      role: 'leader',
      term: 2,
      leader: { nodeId: 1, name: 'coord-1' },
      leaderContactMs: 0,
      commitIndex: 9,
      appliedIndex: 9,
      caughtUp: true,
      voters: [{ nodeId: 1, name: 'coord-1' }],
      operatorEpoch: this.epoch,
      pendingRestart: [],
      leader_url: 'http://127.0.0.1:5000',
      digest: 'native',
      node_id: 'coord-1',
      is_leader: true,
      commit_index: 9,
      last_applied: 9,
      log_length: 9,
      nb_peers: 0,
      nb_volumes: 3,
      volume_ids: ['v1', 'v2', 'v3'],
      nb_s3_objects: 0,
    };
  }

  async cluster() {
    return {
      clusterId: 'c'.repeat(32),
      index: 9,
      term: 2,
      leader: { nodeId: 1, name: 'coord-1' },
      operatorEpoch: this.epoch,
      members: [],
      volumes: [],
      data: { underReplicated: 0, lost: 0 },
    };
  }

  async raiseOperatorEpoch(epoch: number): Promise<void> {
    this.calls.push(`raise ${epoch}`);
    this.epoch = epoch;
  }

  async bootstrap() {
    this.calls.push('bootstrap');
    return { state: 'armed' as const };
  }

  async transferLeader(request: { readonly to?: string | number | undefined }) {
    this.calls.push(`transfer ${request.to ?? 'any'}`);
    return { leader: { nodeId: 2, name: 'coord-2' }, term: 3 };
  }

  async setVolume(name: string, change: { readonly zone?: string | undefined }) {
    this.calls.push(`volume ${name} ${change.zone ?? ''}`);
    return { index: 10 };
  }
}
