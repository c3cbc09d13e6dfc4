/** Any row of the metadata as its codec sees it. */
import fc from 'fast-check';
import { blobId, clusterId, copyId, nodeId, session, txnId } from '../common/ids.ts';
import type { StoredAnswer, StoredOutcome, StoredRecord } from '../metadata/record-codec.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  Marks,
  OpResult,
  TxnOutcome,
} from '../metadata/records.ts';
import { disk, hash, id, index } from './arbitrary-commands.ts';

const counter = fc.maxSafeNat();
const version = fc.record({ index, ordinal: fc.nat({ max: 65_535 }) });
const text = fc.string({ unit: 'grapheme', maxLength: 12 });

const copies: fc.Arbitrary<readonly Copy[]> = fc.array(
  fc.record({ disk, copyId: id.map(copyId) }),
  { maxLength: 5 },
);

const results: fc.Arbitrary<readonly OpResult[]> = fc.array(
  fc.record({
    effect: fc.constantFrom('created', 'replaced', 'deleted', 'absent', 'checked'),
    version,
    copyCount: fc.nat({ max: 255 }),
    blobId: fc.oneof(id.map(blobId), fc.constant('' as const)),
  }),
  { maxLength: 4 },
);

const outcome: fc.Arbitrary<TxnOutcome> = fc.oneof(
  fc.record({ kind: fc.constant('applied' as const), index, results }),
  fc.record({
    kind: fc.constant('precondition-failed' as const),
    index,
    failedOp: fc.nat({ max: 65_535 }),
  }),
  fc.record({ kind: fc.constant('no-replicas' as const), index, confirmed: fc.nat({ max: 255 }) }),
  fc.record({
    kind: fc.constant('refused' as const),
    index,
    reason: fc.constantFrom('record-changed', 'copy-unknown', 'stale-session', 'copy-count'),
  }),
  fc.record({ kind: fc.constantFrom('idempotency-mismatch' as const, 'aborted' as const), index }),
);

export const anyRecord: fc.Arbitrary<StoredRecord> = fc.record({
  value: fc.record({
    blobId: id.map(blobId),
    size: counter,
    digest: hash,
    version,
    copies,
    headers: fc.array(fc.tuple(text, text), { maxLength: 3 }),
    data: fc.oneof(fc.constant(null), fc.uint8Array({ maxLength: 40 })),
  }),
  thin: fc.boolean(),
});

export const anyOutcome: fc.Arbitrary<StoredOutcome> = fc.record({ loggedAt: index, outcome });

export const anyAnswer: fc.Arbitrary<StoredAnswer> = fc.record({
  requestHash: hash,
  txnId: id.map(txnId),
  outcome,
});

export const anyThin = fc.record({ blobId: id.map(blobId), suspects: copies });

export const anyDisk: fc.Arbitrary<DiskRecord> = fc.record({
  disk,
  volume: text,
  boots: counter,
  nonce: text,
  session: counter.map(session),
  state: fc.constantFrom('active', 'draining', 'gone'),
  zone: text,
  capacityBytes: counter,
  refs: counter,
  reconciled: fc.boolean(),
});

export const anyMarks: fc.Arbitrary<Marks> = fc.record({
  fence: index,
  reclaim: index,
  forget: index,
  timeMs: counter,
});

export const anyCluster: fc.Arbitrary<ClusterRecord> = fc.record({
  clusterId: fc.oneof(id.map(clusterId), fc.constant('' as const)),
  members: fc.array(
    fc.record({ node: fc.nat({ max: 2 ** 32 - 1 }).map(nodeId), name: text, address: text }),
    { maxLength: 4 },
  ),
  redirectKey: text,
  operatorEpoch: counter,
  nextDisk: fc.nat({ max: 2 ** 32 - 1 }),
});

export const anyCounters = fc.record({
  keys: counter,
  bytes: counter,
  underReplicated: counter,
  lost: counter,
  garbage: counter,
});
