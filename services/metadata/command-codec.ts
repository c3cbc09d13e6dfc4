/**
 * Commands as the log holds them (docs/formats/metadata.md): version, kind, fields. The log outlives
 * binaries, so a version once written is read for ever; what a reader does not know it refuses, and a
 * node that cannot read a committed command stops.
 */
import { ByteReader, ByteWriter, Slabs } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import type {
  BlobId,
  ClusterId,
  CopyId,
  Digest,
  DiskId,
  LogIndex,
  NodeId,
  Session,
  TxnId,
} from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import type {
  Advance,
  Command,
  Commit,
  Condition,
  InitCluster,
  Move,
  Op,
  OpBody,
  Reclaimed,
  Register,
  SetDisk,
  StagedCopy,
  Suspect,
} from './commands.ts';
import { oneOf, readHeaders, writeHeaders } from './record-codec.ts';
import type { DiskState, GarbageRow } from './records.ts';

const VERSION = 1;

/** The order is the format: append only. */
const KINDS: readonly Command['kind'][] = [
  'commit',
  'abort',
  'move',
  'suspect',
  'register',
  'set-disk',
  'advance',
  'reclaimed',
  'pin',
  'unpin',
  'init-cluster',
  'set-operator-epoch',
  'reconciled',
];
const CONDITIONS: readonly (Condition['kind'] | 'none')[] = [
  'none',
  'exists',
  'absent',
  'match',
  'none-match',
];
const BODIES: readonly OpBody['kind'][] = ['put', 'delete', 'check', 'inline'];
const DISK_STATES: readonly (DiskState | null)[] = [null, 'active', 'draining', 'gone'];

/** The log keeps commands for a while, so they have slabs of their own: what is made beside them can go. */
const KEPT = new Slabs();
const SCRATCH_BYTES = 4 * KIB;
/** A larger buffer is not kept for the next command. */
const SCRATCH_BYTES_MAX = 64 * KIB;
let scratch = new ByteWriter(SCRATCH_BYTES);

/** A fresh array: the caller may keep it. */
export function encodeCommand(command: Command): Uint8Array {
  const out = scratch.reset();
  out.u8(VERSION).u8(KINDS.indexOf(command.kind));
  codecOf(command.kind).write(out, command);
  const bytes = KEPT.copyOf(out.finish());
  if (bytes.length > SCRATCH_BYTES_MAX) scratch = new ByteWriter(SCRATCH_BYTES);
  return bytes;
}

/**
 * The keys and the inline values of the command are views of `bytes`.
 * @throws KvError `CORRUPT` for an unknown version or kind, and for fields that do not fit.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  const from = new ByteReader(bytes);
  const version = from.u8();
  if (version !== VERSION) throw new KvError('CORRUPT', `command version ${version} is unknown`);
  const command = codecOf(oneOf(KINDS, from.u8())).read(from);
  from.end();
  return command;
}

interface Codec<C> {
  write(out: ByteWriter, command: C): void;
  read(from: ByteReader): C;
}

const CODECS: { readonly [K in Command['kind']]: Codec<Extract<Command, { kind: K }>> } = {
  commit: { write: writeCommit, read: readCommit },
  abort: {
    write: (out, command) => out.hex(command.txnId),
    read: (from) => ({ kind: 'abort', txnId: from.hex(16) as TxnId }),
  },
  move: { write: writeMove, read: readMove },
  suspect: { write: writeSuspect, read: readSuspect },
  register: { write: writeRegister, read: readRegister },
  'set-disk': { write: writeSetDisk, read: readSetDisk },
  advance: { write: writeAdvance, read: readAdvance },
  reclaimed: { write: writeReclaimed, read: readReclaimed },
  pin: {
    write: (out, command) => out.text(command.id),
    read: (from) => ({ kind: 'pin', id: from.text() }),
  },
  unpin: {
    write: (out, command) => out.text(command.id),
    read: (from) => ({ kind: 'unpin', id: from.text() }),
  },
  'init-cluster': { write: writeInitCluster, read: readInitCluster },
  'set-operator-epoch': {
    write: (out, command) => out.u64(command.epoch),
    read: (from) => ({ kind: 'set-operator-epoch', epoch: from.u64() }),
  },
  reconciled: {
    write: (out, command) => out.u32(command.disk).u64(command.session),
    read: (from) => ({
      kind: 'reconciled',
      disk: from.u32() as DiskId,
      session: from.u64() as Session,
    }),
  },
};

const codecOf = (kind: Command['kind']): Codec<Command> => CODECS[kind];

function writeCommit(out: ByteWriter, command: Commit): void {
  const { idempotency } = command;
  out.hex(command.txnId).u8(command.need).u8(command.want);
  out.u8(idempotency === null ? 0 : 1);
  if (idempotency !== null) {
    out.text(idempotency.principal).text(idempotency.key).hex(idempotency.requestHash);
  }
  out.u16(command.ops.length);
  for (const op of command.ops) {
    out.bytes(op.key);
    writeCondition(out, op.condition);
    writeBody(out, op.body);
  }
}

function readCommit(from: ByteReader): Commit {
  const txnId = from.hex(16) as TxnId;
  const need = from.u8();
  const want = from.u8();
  const idempotency =
    from.u8() === 0
      ? null
      : { principal: from.text(), key: from.text(), requestHash: from.hex(32) as Digest };
  const ops: Op[] = [];
  for (let left = from.u16(); left > 0; left -= 1) {
    ops.push({ key: from.bytes(), condition: readCondition(from), body: readBody(from) });
  }
  return { kind: 'commit', txnId, need, want, idempotency, ops };
}

function writeCondition(out: ByteWriter, condition: Condition | null): void {
  out.u8(CONDITIONS.indexOf(condition?.kind ?? 'none'));
  if (condition?.kind === 'match' || condition?.kind === 'none-match') {
    out.u16(condition.blobIds.length);
    for (const id of condition.blobIds) out.hex(id);
  }
}

function readCondition(from: ByteReader): Condition | null {
  const kind = oneOf(CONDITIONS, from.u8());
  if (kind === 'none') return null;
  if (kind === 'exists' || kind === 'absent') return { kind };
  const blobIds: BlobId[] = [];
  for (let left = from.u16(); left > 0; left -= 1) blobIds.push(from.hex(16) as BlobId);
  return { kind, blobIds };
}

function writeBody(out: ByteWriter, body: OpBody): void {
  out.u8(BODIES.indexOf(body.kind));
  if (body.kind === 'inline') {
    out.hex(body.blobId).hex(body.digest);
    writeHeaders(out, body.headers);
    out.bytes(body.data);
  }
  if (body.kind !== 'put') return;
  out.hex(body.blobId).u64(body.size).hex(body.digest).u8(body.copies.length);
  for (const copy of body.copies) out.u32(copy.disk).u64(copy.session);
  writeHeaders(out, body.headers);
}

function readBody(from: ByteReader): OpBody {
  const kind = oneOf(BODIES, from.u8());
  if (kind === 'delete' || kind === 'check') return { kind };
  const blobId = from.hex(16) as BlobId;
  if (kind === 'inline') {
    const digest = from.hex(32) as Digest;
    return { kind, blobId, digest, headers: readHeaders(from), data: from.bytes() };
  }
  const size = from.u64();
  const digest = from.hex(32) as Digest;
  const copies: StagedCopy[] = [];
  for (let left = from.u8(); left > 0; left -= 1) {
    copies.push({ disk: from.u32() as DiskId, session: from.u64() as Session });
  }
  return { kind, blobId, size, digest, copies, headers: readHeaders(from) };
}

function writeMove(out: ByteWriter, command: Move): void {
  const { from, to } = command;
  out.hex(command.txnId).bytes(command.key).hex(command.blobId).u8(command.want);
  out.u8((from === null ? 0 : 1) | (to === null ? 0 : 2));
  if (from !== null) out.u32(from.disk).hex(from.copyId);
  if (to !== null) out.u32(to.disk).u64(to.session).hex(to.copyId);
}

function readMove(from: ByteReader): Move {
  const txnId = from.hex(16) as TxnId;
  const key = from.bytes();
  const blobId = from.hex(16) as BlobId;
  const want = from.u8();
  const parts = from.u8();
  if (parts > 3) throw new KvError('CORRUPT', `move parts ${parts} are unknown`);
  const source =
    (parts & 1) === 0 ? null : { disk: from.u32() as DiskId, copyId: from.hex(16) as CopyId };
  const target =
    (parts & 2) === 0
      ? null
      : {
          disk: from.u32() as DiskId,
          session: from.u64() as Session,
          copyId: from.hex(16) as CopyId,
        };
  return { kind: 'move', txnId, key, blobId, from: source, to: target, want };
}

function writeSuspect(out: ByteWriter, command: Suspect): void {
  out.bytes(command.key).hex(command.blobId).u32(command.disk).hex(command.copyId);
}

function readSuspect(from: ByteReader): Suspect {
  return {
    kind: 'suspect',
    key: from.bytes(),
    blobId: from.hex(16) as BlobId,
    disk: from.u32() as DiskId,
    copyId: from.hex(16) as CopyId,
  };
}

function writeRegister(out: ByteWriter, command: Register): void {
  out.u32(command.disk).text(command.volume).u64(command.boots).text(command.nonce);
  out.u8(command.clean ? 1 : 0);
  writeOptionalText(out, command.zone);
  out.u64(command.capacityBytes);
}

function readRegister(from: ByteReader): Register {
  return {
    kind: 'register',
    disk: from.u32() as DiskId,
    volume: from.text(),
    boots: from.u64(),
    nonce: from.text(),
    clean: from.u8() === 1,
    zone: readOptionalText(from),
    capacityBytes: from.u64(),
  };
}

function writeSetDisk(out: ByteWriter, command: SetDisk): void {
  out.u32(command.disk).u8(DISK_STATES.indexOf(command.state));
  writeOptionalText(out, command.zone);
}

function readSetDisk(from: ByteReader): SetDisk {
  return {
    kind: 'set-disk',
    disk: from.u32() as DiskId,
    state: oneOf(DISK_STATES, from.u8()),
    zone: readOptionalText(from),
  };
}

function writeAdvance(out: ByteWriter, command: Advance): void {
  out.u64(command.fence).u64(command.reclaim).u64(command.forget).u64(command.timeMs);
}

function readAdvance(from: ByteReader): Advance {
  return {
    kind: 'advance',
    fence: from.u64() as LogIndex,
    reclaim: from.u64() as LogIndex,
    forget: from.u64() as LogIndex,
    timeMs: from.u64(),
  };
}

function writeReclaimed(out: ByteWriter, command: Reclaimed): void {
  out.u32(command.rows.length);
  for (const row of command.rows) out.u32(row.disk).u64(row.queuedAt).hex(row.copyId);
}

function readReclaimed(from: ByteReader): Reclaimed {
  const rows: GarbageRow[] = [];
  for (let left = from.u32(); left > 0; left -= 1) {
    rows.push({
      disk: from.u32() as DiskId,
      queuedAt: from.u64() as LogIndex,
      copyId: from.hex(16) as CopyId,
    });
  }
  return { kind: 'reclaimed', rows };
}

function writeInitCluster(out: ByteWriter, command: InitCluster): void {
  out.hex(command.clusterId).text(command.redirectKey).u16(command.members.length);
  for (const member of command.members) {
    out.u32(member.node).text(member.name).text(member.address);
  }
}

function readInitCluster(from: ByteReader): InitCluster {
  const clusterId = from.hex(16) as ClusterId;
  const redirectKey = from.text();
  const members: { node: NodeId; name: string; address: string }[] = [];
  for (let left = from.u16(); left > 0; left -= 1) {
    members.push({ node: from.u32() as NodeId, name: from.text(), address: from.text() });
  }
  return { kind: 'init-cluster', clusterId, members, redirectKey };
}

function writeOptionalText(out: ByteWriter, text: string | null): void {
  out.u8(text === null ? 0 : 1);
  if (text !== null) out.text(text);
}

function readOptionalText(from: ByteReader): string | null {
  return from.u8() === 0 ? null : from.text();
}
