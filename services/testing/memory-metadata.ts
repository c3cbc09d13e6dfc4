/** The replicated state over a table in memory, as the rest of a coordinator sees it. */
import { compareBytes } from '../common/bytes.ts';
import { clusterId, type DiskId, type LogIndex, logIndex, type TxnId } from '../common/ids.ts';
import type { ListRequest, Page } from '../coordinator/gateway.ts';
import type {
  Decision,
  Metadata,
  RecordScan,
  ScannedRecord,
} from '../coordinator/metadata-port.ts';
import { MetadataState } from '../metadata/apply.ts';
import type { Command } from '../metadata/commands.ts';
import { keyOfRecordKey, keyOfThinKey, queueRowOf, TABLE } from '../metadata/keys.ts';
import type { Applied, AskAnswer, Counters } from '../metadata/machine.ts';
import { MemoryStore } from '../metadata/memory-store.ts';
import { decodeRecord, decodeThin } from '../metadata/record-codec.ts';
import type {
  ClusterRecord,
  Copy,
  DiskRecord,
  GarbageRow,
  Marks,
  ThinRow,
  TxnOutcome,
  ValueRecord,
} from '../metadata/records.ts';
import type { Row } from '../metadata/state.ts';

type Listener = (applied: readonly { index: LogIndex; result: Applied }[]) => void;

export class MemoryMetadata implements Metadata {
  appliedIndex = logIndex(0);
  isTrusted = true;
  readonly unflushedBytes = 0;
  readonly #store = new MemoryStore();
  readonly #state = MetadataState.empty(this.#store);
  readonly #waiting = new Map<TxnId, Set<(decision: Decision) => void>>();
  readonly #listeners: Listener[] = [];

  constructor() {
    this.apply(logIndex(1), {
      kind: 'init-cluster',
      clusterId: clusterId('c'.repeat(32)),
      members: [],
      redirectKey: 'ab'.repeat(32),
    });
  }

  apply(index: LogIndex, command: Command): void {
    const result = this.#state.apply(index, command);
    this.appliedIndex = index;
    if (result.kind === 'txn') {
      const waiting = this.#waiting.get(result.txnId) ?? [];
      this.#waiting.delete(result.txnId);
      for (const decided of waiting) decided(result.outcome);
    }
    for (const listener of this.#listeners) listener([{ index, result }]);
  }

  get marks(): Marks {
    return this.#state.marks;
  }

  get counters(): Counters {
    return this.#state.counters;
  }

  get cluster(): ClusterRecord {
    return this.#state.cluster;
  }

  /** Who waits for outcomes, in number. */
  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, { size }) => sum + size, 0);
  }

  record(key: Uint8Array): ValueRecord | undefined {
    return this.#state.record(key);
  }

  suspects(key: Uint8Array): readonly Copy[] {
    return this.#state.suspects(key);
  }

  outcome(txnId: TxnId): TxnOutcome | undefined {
    return this.#state.outcome(txnId);
  }

  disk(disk: DiskId): DiskRecord | undefined {
    return this.#state.disk(disk);
  }

  disks(): readonly DiskRecord[] {
    return this.#state.disks();
  }

  ask(question: Parameters<Metadata['ask']>[0]): AskAnswer {
    return this.#state.ask(question);
  }

  awaitOutcome(txnId: TxnId, decided: (decision: Decision) => void): () => void {
    const known = this.#state.outcome(txnId);
    if (known !== undefined) decided(known);
    const waiting = this.#waiting.get(txnId) ?? new Set();
    if (known === undefined) this.#waiting.set(txnId, waiting.add(decided));
    return () => void waiting.delete(decided);
  }

  onApplied(listener: Listener): void {
    this.#listeners.push(listener);
  }

  forgetMark(keep: number): LogIndex {
    return this.#state.forgetMark(keep);
  }

  onInstalled(): void {}

  async list({ after, limit }: ListRequest): Promise<Page> {
    const keys = this.#rows(TABLE.record)
      .map(([key]) => keyOfRecordKey(key))
      .filter((key) => after === null || compareBytes(key, after) > 0)
      .sort(compareBytes);
    const entries = keys.slice(0, limit).flatMap((key) => {
      const record = this.record(key);
      return record === undefined ? [] : [{ ...record, key }];
    });
    return { entries, more: keys.length > limit, readIndex: this.appliedIndex };
  }

  async reclaimable(disk: DiskId, limit: number): Promise<readonly GarbageRow[]> {
    return this.#rows(TABLE.queue)
      .filter(([key]) => new DataView(key.buffer, key.byteOffset).getUint32(1) === disk)
      .map(([key]) => queueRowOf(disk, key))
      .filter(({ queuedAt }) => queuedAt < this.marks.reclaim)
      .slice(0, limit);
  }

  async thin(after: Uint8Array | null, limit: number): Promise<readonly ThinRow[]> {
    return this.#rows(TABLE.thin)
      .map(([key, value]) => decodeThin(keyOfThinKey(key), value))
      .filter(({ key }) => after === null || compareBytes(key, after) > 0)
      .slice(0, limit);
  }

  async records({ after, limit }: RecordScan): Promise<readonly ScannedRecord[]> {
    return this.#rows(TABLE.record)
      .filter(([rowKey]) => after === null || compareBytes(rowKey, after) > 0)
      .sort(([a], [b]) => compareBytes(a, b))
      .slice(0, limit)
      .map(([rowKey, row]) => ({
        rowKey,
        key: keyOfRecordKey(rowKey),
        value: decodeRecord(row).value,
      }));
  }

  #rows(table: number): readonly Row[] {
    return this.#store.rows().filter(([key]) => key[0] === table);
  }
}
