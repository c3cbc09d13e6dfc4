/** `POST /transaction`, all or nothing, and `GET /txn/ID`, which tells what became of a mutation. */
import { etagOf } from '../../api/etag.ts';
import { keyOfText } from '../../api/key-path.ts';
import {
  INLINE_VALUE_BYTES_MAX,
  OPS_BODY_BYTES_MAX,
  type TransactionAnswer,
  type TransactionOpBody,
  type TxnAnswerBody,
  transactionRequestSchema,
} from '../../api/kv.ts';
import { utf8 } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import { isHex32, txnId } from '../../common/ids.ts';
import type { OpResult } from '../../metadata/records.ts';
import type { TransactionOp, TxnAnswer } from '../gateway.ts';
import { HttpMutationContext } from './contexts.ts';
import type { Exchange } from './exchange.ts';
import { readJson } from './json-body.ts';
import { replyJson } from './reply.ts';
import {
  conditionOf,
  keptHeaders,
  metaName,
  preconditionsOf,
  RequestHeaders,
} from './request-headers.ts';

export async function runTransaction(exchange: Exchange): Promise<void> {
  const gateway = exchange.context.requireGateway();
  const { idempotencyKey } = new RequestHeaders(exchange.req.rawHeaders);
  const context = new HttpMutationContext(exchange, idempotencyKey);
  await gateway.admitWrite(null, context.timeoutMs);
  const { operations } = await readJson(exchange, transactionRequestSchema, OPS_BODY_BYTES_MAX);
  if (new Set(operations.map(({ key }) => key)).size < operations.length) {
    throw new KvError('INVALID_ARGUMENT', 'a key occurs once in a transaction');
  }
  const result = await gateway.transact(operations.map(opOf), context);
  const body: TransactionAnswer = {
    txnId: result.txnId,
    raftIndex: result.index,
    results: result.results.map((op, i) => ({ key: operations[i]?.key ?? '', ...resultOf(op) })),
  };
  const headers = ['X-Raft-Index', String(result.index), 'X-Minikv-Txn', result.txnId];
  replyJson(exchange, 200, body, headers);
}

function opOf(op: TransactionOpBody): TransactionOp {
  const key = keyOfText(op.key);
  const condition = conditionOf(preconditionsOf(op.ifMatch, op.ifNoneMatch));
  switch (op.op) {
    case 'put': {
      const meta = Object.entries(op.meta ?? {}).map(
        ([name, text]) => [metaName(name), text] as const,
      );
      const headers = keptHeaders(op.contentType, meta);
      return { key, condition, body: { kind: 'put', data: inlineValue(op), headers } };
    }
    case 'delete':
      return { key, condition, body: { kind: 'delete' } };
    case 'check':
      if (condition === null) {
        throw new KvError('INVALID_ARGUMENT', 'a check needs ifMatch or ifNoneMatch');
      }
      return { key, condition, body: { kind: 'check' } };
  }
}

/** Bytes of `value` or `valueBase64`. @throws KvError `INVALID_ARGUMENT`, `TOO_LARGE`. */
export function inlineValue(op: {
  readonly value?: string | undefined;
  readonly valueBase64?: string | undefined;
}): Uint8Array {
  if ((op.value === undefined) === (op.valueBase64 === undefined)) {
    throw new KvError('INVALID_ARGUMENT', 'a put has either value or valueBase64');
  }
  const data =
    op.value === undefined ? Buffer.from(op.valueBase64 ?? '', 'base64') : utf8(op.value);
  if (data.length <= INLINE_VALUE_BYTES_MAX) return data;
  throw new KvError('TOO_LARGE', `a value here has at most ${INLINE_VALUE_BYTES_MAX} bytes`);
}

export async function showTransaction(exchange: Exchange, id: string): Promise<void> {
  const gateway = exchange.context.requireGateway();
  if (!isHex32(id)) throw new KvError('INVALID_ARGUMENT', 'a transaction id is 32 hex digits');
  const answer = await gateway.transaction(txnId(id), exchange.context.options.requestTimeoutMs);
  replyJson(exchange, 200, { txnId: id, ...answerOf(answer) });
}

function answerOf(answer: TxnAnswer): Omit<TxnAnswerBody, 'txnId'> {
  switch (answer.kind) {
    case 'pending':
      return { outcome: 'pending' };
    case 'unknown':
      return { outcome: 'unknown' };
    case 'not-applied':
      return { outcome: 'not_applied' };
    case 'decided': {
      const { outcome } = answer;
      return {
        outcome: outcome.kind === 'applied' ? 'applied' : 'not_applied',
        decision: outcome.kind,
        raftIndex: outcome.index,
        ...(outcome.kind === 'precondition-failed' ? { failedOp: outcome.failedOp } : {}),
        ...(outcome.kind === 'applied' ? { results: outcome.results.map(resultOf) } : {}),
      };
    }
  }
}

const resultOf = ({ effect, version, copyCount, blobId }: OpResult) => ({
  effect,
  version: { index: version.index, ordinal: version.ordinal },
  copies: copyCount,
  ...(blobId === '' ? {} : { etag: etagOf(blobId) }),
});
