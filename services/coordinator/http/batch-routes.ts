/**
 * `POST /batch`: many small operations in one request, each with its own answer. Ops on one key run one
 * after the other in their order; different keys run at the same time, a bounded number of them.
 */
import { isUtf8 } from 'node:buffer';
import { errorBodyOf } from '../../api/error-body.ts';
import { etagOf } from '../../api/etag.ts';
import { keyOfText } from '../../api/key-path.ts';
import {
  type BatchOp,
  type BatchResult,
  batchRequestSchema,
  INLINE_VALUE_BYTES_MAX,
  OPS_BODY_BYTES_MAX,
} from '../../api/kv.ts';
import { present } from '../../common/assert.ts';
import { concatBytes, textOf } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import { logIndex } from '../../common/ids.ts';
import { Semaphore } from '../../common/semaphore.ts';
import type { Gateway, MutationContext } from '../gateway.ts';
import { HttpMutationContext, HttpReadContext } from './contexts.ts';
import type { Exchange } from './exchange.ts';
import { readJson } from './json-body.ts';
import { BATCH_ANSWER_BYTES_MAX, BATCH_WIDTH } from './limits.ts';
import { replyJson } from './reply.ts';
import { RequestHeaders } from './request-headers.ts';
import { inlineValue } from './transaction-routes.ts';

export async function runBatch(exchange: Exchange): Promise<void> {
  const gateway = exchange.context.requireGateway();
  const { idempotencyKey } = new RequestHeaders(exchange.req.rawHeaders);
  const { ops } = await readJson(exchange, batchRequestSchema, OPS_BODY_BYTES_MAX);
  const batch = new Batch(exchange, gateway, idempotencyKey);
  const semaphore = new Semaphore(BATCH_WIDTH);
  const results = new Map<number, BatchResult>();
  await Promise.all(
    [...positionsByKey(ops).values()].map((positions) =>
      semaphore.run(async () => {
        for (const [position, op] of positions)
          results.set(position, await batch.run(op, position));
      }),
    ),
  );
  replyJson(exchange, 200, {
    results: ops.map((_, position) => present(results.get(position), 'a result')),
  });
}

function positionsByKey(ops: readonly BatchOp[]): Map<string, [number, BatchOp][]> {
  const byKey = new Map<string, [number, BatchOp][]>();
  ops.forEach((op, position) => {
    const positions = byKey.get(op.key);
    if (positions === undefined) byKey.set(op.key, [[position, op]]);
    else positions.push([position, op]);
  });
  return byKey;
}

class Batch {
  readonly #exchange: Exchange;
  readonly #gateway: Gateway;
  readonly #idempotencyKey: string | null;
  #answerBytes = 0;

  constructor(exchange: Exchange, gateway: Gateway, idempotencyKey: string | null) {
    this.#exchange = exchange;
    this.#gateway = gateway;
    this.#idempotencyKey = idempotencyKey;
  }

  /** Never throws: what fails is the answer of this op alone. */
  async run(op: BatchOp, position: number): Promise<BatchResult> {
    try {
      return { ok: true, key: op.key, value: null, error: null, ...(await this.#do(op, position)) };
    } catch (error) {
      const { message, code, outcome } = errorBodyOf(error, this.#exchange.requestId);
      return { ok: false, key: op.key, value: null, error: message, code, outcome };
    }
  }

  #do(op: BatchOp, position: number): Promise<Partial<BatchResult>> {
    const key = keyOfText(op.key);
    if (op.op === 'get') return this.#get(key);
    const context = this.#contextOf(position);
    return op.op === 'put' ? this.#put(key, inlineValue(op), context) : this.#delete(key, context);
  }

  /** One idempotency key covers the batch: each op has its own by its position. */
  #contextOf(position: number): MutationContext {
    const key = this.#idempotencyKey;
    return new HttpMutationContext(this.#exchange, key === null ? null : `${key}#${position}`);
  }

  async #put(
    key: Uint8Array,
    data: Uint8Array,
    context: MutationContext,
  ): Promise<Partial<BatchResult>> {
    const result = await this.#gateway.transact(
      [{ key, condition: null, body: { kind: 'put', data, headers: [] } }],
      context,
    );
    const [op] = result.results;
    const { blobId } = present(op, 'the result of a put');
    return { raftIndex: result.index, ...(blobId === '' ? {} : { etag: etagOf(blobId) }) };
  }

  async #delete(key: Uint8Array, context: MutationContext): Promise<Partial<BatchResult>> {
    const result = await this.#gateway.delete(key, null, context);
    const [op] = result.results;
    if (op?.effect === 'absent') throw new KvError('KEY_NOT_FOUND', 'there is no such key');
    return { raftIndex: result.index };
  }

  async #get(key: Uint8Array): Promise<Partial<BatchResult>> {
    const context = new HttpReadContext(this.#exchange, 'linearizable', logIndex(0));
    const found = await this.#gateway.find(key, context);
    this.#claim(found.record.size);
    const opened = await this.#gateway.open(found, null, key, context);
    const bytes = opened.whole ?? (await collect(opened.body));
    return {
      ...(isUtf8(bytes)
        ? { value: textOf(bytes) }
        : { valueBase64: Buffer.from(bytes).toString('base64') }),
      etag: etagOf(opened.found.record.blobId),
      raftIndex: opened.found.readIndex,
    };
  }

  #claim(bytes: number): void {
    if (bytes > INLINE_VALUE_BYTES_MAX || this.#answerBytes + bytes > BATCH_ANSWER_BYTES_MAX) {
      throw new KvError('TOO_LARGE', 'too large for a batch; use GET /kv/KEY');
    }
    this.#answerBytes += bytes;
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > INLINE_VALUE_BYTES_MAX) throw new KvError('TOO_LARGE', 'use GET /kv/KEY');
    pieces.push(piece);
  }
  return concatBytes(pieces);
}
