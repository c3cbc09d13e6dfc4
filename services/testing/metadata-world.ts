/**
 * A small metadata state with commands at hand: fixed ids by number, an index that rises by itself,
 * and a recount of everything that `apply` keeps by hand. For tests of metadata and its bridge.
 */
import { utf8 } from '../common/bytes.ts';
import {
  type BlobId,
  blobId,
  type CopyId,
  copyId,
  type Digest,
  type DiskId,
  digest,
  diskId,
  type LogIndex,
  logIndex,
  session,
  type TxnId,
  txnId,
} from '../common/ids.ts';
import { MetadataState } from '../metadata/apply.ts';
import type { Command, Commit, Condition, Op } from '../metadata/commands.ts';
import { RowDigest } from '../metadata/digest.ts';
import { keyOfThinKey, TABLE } from '../metadata/keys.ts';
import type { Applied, Counters } from '../metadata/machine.ts';
import { MemoryStore } from '../metadata/memory-store.ts';
import { decodeRecord, decodeThin } from '../metadata/record-codec.ts';
import type { StateOptions } from '../metadata/state.ts';

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');

export const blob = (n: number): BlobId => blobId(hex(n, 32));
export const copy = (n: number): CopyId => copyId(hex(n, 32));
export const hash = (n: number): Digest => digest(hex(n, 64));
/** The n-th transaction of a birth. */
export const txn = (birth: number, n: number): TxnId => txnId(hex(birth, 12) + hex(n, 20));

export interface PutSpec {
  readonly key?: string;
  readonly blob: number;
  readonly disks?: readonly number[];
  readonly condition?: Condition;
  readonly size?: number;
  /** Sessions that differ from the disks' own. */
  readonly session?: number;
}

export class MetadataWorld {
  readonly store = new MemoryStore();
  readonly state: MetadataState;
  index: LogIndex = logIndex(0);
  #txns = 0;

  constructor(options: StateOptions = {}) {
    this.state = MetadataState.empty(this.store, options);
  }

  /** Applies a command at the next index. */
  apply(command: Command): Applied {
    this.index = logIndex(this.index + 1);
    return this.state.apply(this.index, command);
  }

  /** The outcome's kind of a command with a txnId. */
  decide(command: Command): string {
    const applied = this.apply(command);
    return applied.kind === 'txn' ? applied.outcome.kind : applied.kind;
  }

  /** Formats `count` disks, numbered from 1. */
  register(count: number): void {
    for (let n = 1; n <= count; n += 1) {
      this.apply(registerOf({ volume: `volume-${n}`, nonce: `nonce-${n}` }));
    }
  }

  /** A txnId born now. */
  freshTxn(): TxnId {
    this.#txns += 1;
    return txn(this.index, this.#txns);
  }

  put(spec: PutSpec): Op {
    const disks = spec.disks ?? [1, 2, 3];
    return {
      key: utf8(spec.key ?? 'k'),
      condition: spec.condition ?? null,
      body: {
        kind: 'put',
        blobId: blob(spec.blob),
        size: spec.size ?? 10,
        digest: hash(spec.blob),
        copies: disks.map((n) => ({
          disk: diskId(n),
          session: session(spec.session ?? this.state.disk(diskId(n))?.session ?? 0),
        })),
        headers: [],
      },
    };
  }

  /** A put whose value the state keeps itself. */
  inline(spec: Pick<PutSpec, 'key' | 'blob' | 'condition'> & { readonly data: string }): Op {
    const body = {
      kind: 'inline',
      blobId: blob(spec.blob),
      digest: hash(spec.blob),
      headers: [],
      data: utf8(spec.data),
    } as const;
    return { key: utf8(spec.key ?? 'k'), condition: spec.condition ?? null, body };
  }

  commit(ops: readonly Op[], change: Partial<Commit> = {}): Commit {
    return {
      kind: 'commit',
      txnId: this.freshTxn(),
      need: 2,
      want: 3,
      idempotency: null,
      ops,
      ...change,
    };
  }

  advance(marks: { fence?: number; reclaim?: number; forget?: number; timeMs?: number }): void {
    const { fence = 0, reclaim = 0, forget = 0, timeMs = 0 } = marks;
    this.apply({
      kind: 'advance',
      fence: logIndex(fence),
      reclaim: logIndex(reclaim),
      forget: logIndex(forget),
      timeMs,
    });
  }

  /** The counters and references by scanning all rows. */
  recount(): { counters: Counters; refs: ReadonlyMap<DiskId, number> } {
    const counters = { keys: 0, bytes: 0, underReplicated: 0, lost: 0, garbage: 0 };
    const refs = new Map<DiskId, number>(this.state.disks().map((disk) => [disk.disk, 0]));
    for (const [key, value] of this.store.rows()) {
      if (key[0] === TABLE.record) {
        const record = decodeRecord(value).value;
        counters.keys += 1;
        counters.bytes += record.size;
        for (const { disk } of record.copies) refs.set(disk, (refs.get(disk) ?? 0) + 1);
      } else if (key[0] === TABLE.garbage) {
        counters.garbage += 1;
      } else if (key[0] === TABLE.thin) {
        const thin = decodeThin(keyOfThinKey(key), value);
        const copies = this.state.record(thin.key)?.copies ?? [];
        counters.underReplicated += 1;
        if (thin.suspects.length >= copies.length) counters.lost += 1;
      }
    }
    return { counters, refs };
  }

  /** The digest by scanning all rows of a checkpointed store. */
  scannedDigest(): string {
    this.state.checkpoint();
    const sum = new RowDigest();
    for (const [key, value] of this.store.rows()) sum.add(key, value);
    return sum.text();
  }
}

export const remove = (key = 'k', condition: Condition | null = null): Op => ({
  key: utf8(key),
  condition,
  body: { kind: 'delete' },
});

export const check = (key: string, condition: Condition): Op => ({
  key: utf8(key),
  condition,
  body: { kind: 'check' },
});

export function registerOf(change: {
  disk?: number;
  volume?: string;
  boots?: number;
  nonce?: string;
  zone?: string | null;
  clean?: boolean;
}): Command {
  return {
    kind: 'register',
    disk: diskId(change.disk ?? 0),
    volume: change.volume ?? 'volume-1',
    boots: change.boots ?? 1,
    nonce: change.nonce ?? 'nonce',
    clean: change.clean ?? true,
    zone: change.zone ?? null,
    capacityBytes: 1000,
  };
}
