/**
 * JSON of the data plane: listings, /batch, /transaction and /txn. Keys travel as JSON strings (they
 * are UTF-8); values as `value` (UTF-8 text) or `valueBase64`, never both.
 */
import { z } from 'zod';

/** Most ops of one /batch or /transaction. */
export const OPS_MAX = 1000;
/** Bytes of one value inside /batch or /transaction; larger ones go by PUT. */
export const INLINE_VALUE_BYTES_MAX = 1024 * 1024;
/** Bytes of a whole /batch or /transaction body. */
export const OPS_BODY_BYTES_MAX = 8 * 1024 * 1024;
/** Entries of one page where no limit is asked for, and at most. */
export const LIST_LIMIT_DEFAULT = 1000;
export const LIST_LIMIT_MAX = 10_000;

export const listedSchema = z.object({
  key: z.string(),
  size: z.number(),
  /** Quoted, as in the ETag header. */
  etag: z.string(),
  blake3: z.string(),
  /** Raft index of the write. */
  raftIndex: z.number(),
});

export type ListedEntry = z.infer<typeof listedSchema>;

/** `GET /kv`: a null cursor ends the listing; else pass it back with the same other parameters. */
export const listPageSchema = z.object({
  entries: z.array(listedSchema),
  cursor: z.string().nullable(),
  raftIndex: z.number(),
});

export type ListPage = z.infer<typeof listPageSchema>;

/** `GET /range`: keys from `start` to `end`, both inclusive; `values` is metadata, never bytes. */
export const rangePageSchema = z.object({
  keys: z.array(z.string()),
  values: z.array(listedSchema).optional(),
  cursor: z.string().nullable(),
  raftIndex: z.number(),
});

export type RangePage = z.infer<typeof rangePageSchema>;

const value = {
  value: z.string().optional(),
  valueBase64: z.base64().optional(),
};

const batchOpSchema = z.discriminatedUnion('op', [
  z.strictObject({ op: z.literal('put'), key: z.string(), ...value }),
  z.strictObject({ op: z.literal('get'), key: z.string() }),
  z.strictObject({ op: z.literal('delete'), key: z.string() }),
]);

export type BatchOp = z.infer<typeof batchOpSchema>;

/** Each op stands alone: some may fail while others succeed. Ops on one key run in their order. */
export const batchRequestSchema = z.strictObject({
  ops: z.array(batchOpSchema).min(1).max(OPS_MAX),
});

export const batchResultSchema = z.object({
  ok: z.boolean(),
  key: z.string(),
  /** Of a get whose bytes are UTF-8; null for put and delete and for what failed. */
  value: z.string().nullable(),
  /** Of a get whose bytes are no UTF-8. */
  valueBase64: z.string().optional(),
  /** A sentence; null where ok. */
  error: z.string().nullable(),
  code: z.string().optional(),
  outcome: z.enum(['not_applied', 'unknown', 'applied']).optional(),
  etag: z.string().optional(),
  raftIndex: z.number().optional(),
});

export type BatchResult = z.infer<typeof batchResultSchema>;

/** Conditions as in the headers of the same name: `*`, or ETags in quotes, comma-separated. */
const conditions = {
  ifMatch: z.string().optional(),
  ifNoneMatch: z.string().optional(),
};

const transactionOpSchema = z.discriminatedUnion('op', [
  z.strictObject({
    op: z.literal('put'),
    key: z.string(),
    ...value,
    contentType: z.string().optional(),
    /** Names without the `X-Minikv-Meta-` prefix. */
    meta: z.record(z.string(), z.string()).optional(),
    ...conditions,
  }),
  z.strictObject({ op: z.literal('delete'), key: z.string(), ...conditions }),
  z.strictObject({ op: z.literal('check'), key: z.string(), ...conditions }),
]);

export type TransactionOpBody = z.infer<typeof transactionOpSchema>;

/** All or nothing. A key occurs once; the first op whose condition is false refuses them all. */
export const transactionRequestSchema = z.strictObject({
  operations: z.array(transactionOpSchema).min(1).max(OPS_MAX),
});

export const opEffectSchema = z.enum(['created', 'replaced', 'deleted', 'absent', 'checked']);

export const opResultSchema = z.object({
  effect: opEffectSchema,
  /** Of a put. */
  etag: z.string().optional(),
  /** Raft index and place in its command. */
  version: z.object({ index: z.number(), ordinal: z.number() }),
  /** Copies that counted, of a put. */
  copies: z.number(),
});

export const transactionAnswerSchema = z.object({
  txnId: z.string(),
  raftIndex: z.number(),
  results: z.array(opResultSchema.extend({ key: z.string() })),
});

export type TransactionAnswer = z.infer<typeof transactionAnswerSchema>;

/** `GET /txn/ID`: what became of a mutation. `unknown` stays so for ever; `pending` does not. */
export const txnAnswerSchema = z.object({
  txnId: z.string(),
  outcome: z.enum(['applied', 'not_applied', 'pending', 'unknown']),
  /** Of a decided one: why it was not applied, or what it did. */
  decision: z
    .enum([
      'applied',
      'precondition-failed',
      'no-replicas',
      'idempotency-mismatch',
      'refused',
      'aborted',
    ])
    .optional(),
  raftIndex: z.number().optional(),
  failedOp: z.number().optional(),
  results: z.array(opResultSchema).optional(),
});

export type TxnAnswerBody = z.infer<typeof txnAnswerSchema>;
