/** Any command, well formed as the codec sees it; for round trips and for random histories. */
import fc from 'fast-check';
import {
  type BlobId,
  blobId,
  type ClusterId,
  clusterId,
  copyId,
  digest,
  diskId,
  logIndex,
  nodeId,
  session,
  txnId,
} from '../common/ids.ts';
import type { Command, Condition, OpBody } from '../metadata/commands.ts';

const hexText = (digits: number) =>
  fc.string({
    unit: fc.nat({ max: 15 }).map((digit) => digit.toString(16)),
    minLength: digits,
    maxLength: digits,
  });
export const index = fc.maxSafeNat().map(logIndex);
export const disk = fc.nat({ max: 2 ** 32 - 1 }).map(diskId);
const sessions = fc.maxSafeNat().map(session);
const key = fc.uint8Array({ maxLength: 40 });
export const id = hexText(32);
const blob: fc.Arbitrary<BlobId> = id.map(blobId);
export const hash = hexText(64).map(digest);
const small = fc.nat({ max: 255 });

const condition: fc.Arbitrary<Condition | null> = fc.oneof(
  fc.constant(null),
  fc.record({ kind: fc.constantFrom('exists' as const, 'absent' as const) }),
  fc.record({
    kind: fc.constantFrom('match' as const, 'none-match' as const),
    blobIds: fc.array(blob, { maxLength: 3 }),
  }),
);

const body: fc.Arbitrary<OpBody> = fc.oneof(
  fc.record({ kind: fc.constantFrom('delete' as const, 'check' as const) }),
  fc.record({
    kind: fc.constant('put' as const),
    blobId: blob,
    size: fc.maxSafeNat(),
    digest: hash,
    copies: fc.array(fc.record({ disk, session: sessions }), { maxLength: 5 }),
    headers: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant('inline' as const),
    blobId: blob,
    digest: hash,
    headers: fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 3 }),
    data: fc.uint8Array({ maxLength: 40 }),
  }),
);

const commit = fc.record({
  kind: fc.constant('commit' as const),
  txnId: id.map(txnId),
  need: small,
  want: small,
  idempotency: fc.option(
    fc.record({ principal: fc.string(), key: fc.string(), requestHash: hash }),
  ),
  ops: fc.array(fc.record({ key, condition, body }), { maxLength: 4 }),
});

const move = fc.record({
  kind: fc.constant('move' as const),
  txnId: id.map(txnId),
  key,
  blobId: blob,
  from: fc.option(fc.record({ disk, copyId: id.map(copyId) })),
  to: fc.option(fc.record({ disk, session: sessions, copyId: id.map(copyId) })),
  want: small,
});

const register = fc.record({
  kind: fc.constant('register' as const),
  disk,
  volume: fc.string(),
  boots: fc.maxSafeNat(),
  nonce: fc.string(),
  clean: fc.boolean(),
  zone: fc.option(fc.string()),
  capacityBytes: fc.maxSafeNat(),
});

const cluster: fc.Arbitrary<ClusterId> = id.map(clusterId);

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  commit,
  move,
  register,
  fc.record({ kind: fc.constant('abort' as const), txnId: id.map(txnId) }),
  fc.record({
    kind: fc.constant('suspect' as const),
    key,
    blobId: blob,
    disk,
    copyId: id.map(copyId),
  }),
  fc.record({
    kind: fc.constant('set-disk' as const),
    disk,
    state: fc.constantFrom(null, 'active' as const, 'draining' as const, 'gone' as const),
    zone: fc.option(fc.string()),
  }),
  fc.record({
    kind: fc.constant('advance' as const),
    fence: index,
    reclaim: index,
    forget: index,
    timeMs: fc.maxSafeNat(),
  }),
  fc.record({
    kind: fc.constant('reclaimed' as const),
    rows: fc.array(fc.record({ disk, queuedAt: index, copyId: id.map(copyId) }), { maxLength: 4 }),
  }),
  fc.record({ kind: fc.constantFrom('pin' as const, 'unpin' as const), id: fc.string() }),
  fc.record({
    kind: fc.constant('init-cluster' as const),
    clusterId: cluster,
    members: fc.array(
      fc.record({
        node: fc.nat({ max: 1000 }).map(nodeId),
        name: fc.string(),
        address: fc.string(),
      }),
      { maxLength: 3 },
    ),
    redirectKey: fc.string(),
  }),
  fc.record({ kind: fc.constant('set-operator-epoch' as const), epoch: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('reconciled' as const), disk, session: sessions }),
);
