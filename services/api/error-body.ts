/**
 * The body of every HTTP answer that is not a success. `code` has a heading in docs/errors.md;
 * `outcome` tells what a client may conclude: only `unknown` calls for `GET /txn/ID` or an
 * idempotency key before the request is repeated.
 */
import { z } from 'zod';
import { type ErrorDetail, KvError } from '../common/errors.ts';

export const errorBodySchema = z.object({
  code: z.string(),
  message: z.string(),
  outcome: z.enum(['not_applied', 'unknown', 'applied']),
  requestId: z.string(),
  txnId: z.string().optional(),
  raftIndex: z.number().optional(),
  detail: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).optional(),
});

export type ErrorBody = z.infer<typeof errorBodySchema>;

/** The extra fields of a 501, as minikv has always answered it. */
export const notImplementedBodySchema = errorBodySchema.extend({
  error: z.literal('not implemented'),
  feature: z.string(),
  roadmap: z.string(),
});

export type NotImplementedBody = z.infer<typeof notImplementedBodySchema>;

/** The body that says `error`; anything but a `KvError` is `INTERNAL` and keeps its words to itself. */
export function errorBodyOf(error: unknown, requestId: string): ErrorBody {
  const fault =
    error instanceof KvError
      ? error
      : new KvError('INTERNAL', 'an internal error; the log of this node names it by requestId');
  const { txnId, raftIndex, ...detail } = fault.detail;
  return {
    code: fault.code,
    message: fault.message,
    outcome: fault.row.outcome,
    requestId,
    ...(typeof txnId === 'string' ? { txnId } : {}),
    ...(typeof raftIndex === 'number' ? { raftIndex } : {}),
    ...(isEmpty(detail) ? {} : { detail }),
  };
}

const isEmpty = (detail: ErrorDetail): boolean => Object.keys(detail).length === 0;
