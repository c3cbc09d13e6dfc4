/**
 * What a coordinator can do for a client, free of HTTP. Implemented by write-path.ts and read-path.ts,
 * called by http/. Every failure is a `KvError` whose code says what is known of the outcome.
 */
import type { BlobId, Digest, LogIndex, TxnId } from '../common/ids.ts';
import type { Condition } from '../metadata/commands.ts';
import type { Headers, OpResult, TxnOutcome, ValueRecord, Version } from '../metadata/records.ts';

export interface MutationContext {
  readonly requestId: string;
  readonly principal: string;
  readonly idempotencyKey: string | null;
  /** Aborts when the client has gone. Before the proposal: discard. After it: changes nothing. */
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export interface PutRequest {
  readonly key: Uint8Array;
  readonly condition: Condition | null;
  readonly headers: Headers;
  /** From Content-Length; null for a chunked body. */
  readonly declaredBytes: number | null;
  /** In pieces, or whole where all of it is at hand. */
  readonly body: AsyncIterable<Uint8Array> | Uint8Array;
  /** Digest that the client promised, checked before the vote. */
  readonly expectedDigest: Digest | null;
  readonly maxBytes: number;
}

export interface MutationResult {
  readonly txnId: TxnId;
  readonly index: LogIndex;
  readonly results: readonly OpResult[];
  /** Replication factor in force, for `X-Replicas: r/RF`. */
  readonly want: number;
}

export interface TransactionOp {
  readonly key: Uint8Array;
  readonly condition: Condition | null;
  readonly body:
    | { readonly kind: 'put'; readonly data: Uint8Array; readonly headers: Headers }
    | { readonly kind: 'delete' }
    | { readonly kind: 'check' };
}

export type Consistency = 'linearizable' | 'stale';

export interface ReadContext {
  readonly consistency: Consistency;
  /** Answer only from state at least this new; 0: any. */
  readonly minIndex: LogIndex;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

export interface Found {
  readonly record: ValueRecord;
  /** The state answered from: `X-Raft-Index` of the read. */
  readonly readIndex: LogIndex;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** One entry of a listing. */
export interface Listed {
  readonly key: Uint8Array;
  readonly size: number;
  readonly blobId: BlobId;
  readonly digest: Digest;
  readonly version: Version;
}

export interface ListRequest {
  readonly prefix: Uint8Array;
  /** Inclusive; empty: from the beginning. */
  readonly start: Uint8Array;
  /** Exclusive; empty: to the end. */
  readonly end: Uint8Array;
  /** Exclusive: go on after this key; null: from the start. */
  readonly after: Uint8Array | null;
  readonly limit: number;
}

export interface Page {
  readonly entries: readonly Listed[];
  readonly more: boolean;
  readonly readIndex: LogIndex;
}

export type TxnAnswer =
  | { readonly kind: 'decided'; readonly outcome: TxnOutcome }
  | { readonly kind: 'pending' }
  | { readonly kind: 'not-applied' }
  | { readonly kind: 'unknown' };

/** Where a client may fetch a value itself. */
export interface Redirect {
  readonly url: string;
}

export interface Gateway {
  /**
   * Cheap checks before the body is read: stopping, enough volumes, space, and a leader, which is
   * waited for a little. @throws KvError
   */
  admitWrite(declaredBytes: number | null, timeoutMs: number): Promise<void>;
  put(request: PutRequest, context: MutationContext): Promise<MutationResult>;
  delete(
    key: Uint8Array,
    condition: Condition | null,
    context: MutationContext,
  ): Promise<MutationResult>;
  /** Atomic: all ops or none. Values are small and at hand (bodies of /batch and /transaction). */
  transact(ops: readonly TransactionOp[], context: MutationContext): Promise<MutationResult>;
  /** @throws KvError `KEY_NOT_FOUND` when the state at the linearization point has no such key. */
  find(key: Uint8Array, context: ReadContext): Promise<Found>;
  /**
   * The bytes of a found record, each piece checked, the whole digest-checked before the last piece
   * is given out. A key replaced meanwhile starts over only before the first piece. An error after the
   * first piece means: abort the connection, never end it cleanly.
   */
  open(
    found: Found,
    range: ByteRange | null,
    key: Uint8Array,
    context: ReadContext,
  ): Promise<OpenedValue>;
  /** null: the value is at hand here, and at no volume. */
  redirect(found: Found): Redirect | null;
  list(request: ListRequest, context: ReadContext): Promise<Page>;
  transaction(txnId: TxnId, timeoutMs: number): Promise<TxnAnswer>;
}

export interface OpenedValue {
  /** The record really served: newer than the found one when it was replaced meanwhile. */
  readonly found: Found;
  readonly body: AsyncIterable<Uint8Array>;
  /** The whole body where it is at hand (cache, small value): saves the iteration. */
  readonly whole: Uint8Array | null;
}
