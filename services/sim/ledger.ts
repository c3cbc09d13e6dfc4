/**
 * What clients of a simulated cluster were told, key by key, and whether the cluster still says so: every
 * value through every coordinator, and on the disks exactly the copies that records name.
 */
import { expect } from '@jest/globals';
import { present } from '../common/assert.ts';
import { utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import type { TxnId } from '../common/ids.ts';
import type { Condition } from '../metadata/commands.ts';
import type { StorageEngine } from '../storage/types.ts';
import { ConnectionLost } from './lost.ts';
import { SimClient, settled } from './serving.ts';
import type { SimCluster, SimHost } from './types.ts';

/** How long anything may take to be served again after a fault, by virtual time. */
const SERVES_MS = 15_000;
/** The fence, the grace and a repair, one after the other. */
const TIDY_MS = 90_000;
const PAUSE_MS = 100;

/** Whom a client asks: one coordinator, or whichever is there. */
export type Place = SimHost | (() => Promise<SimHost>);

/** What a client knows of its write. */
export type Told =
  | { readonly kind: 'acknowledged'; readonly txnId: TxnId; readonly isNew: boolean }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'unknown'; readonly code: string };

export class Ledger {
  readonly #cluster: SimCluster;
  readonly #values = new Map<string, string | null>();

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  /** The value that a key must have from now on; null: none. */
  expectValue(key: string, value: string | null): void {
    this.#values.set(key, value);
  }

  /** A write that must be acknowledged, by a client that tries again, perhaps at another coordinator. */
  async mustPut(at: Place, key: string, value: string): Promise<void> {
    await this.untilDone(async () => {
      const host = await hostAt(at);
      const told = await settled(this.#cluster, tell(this.#cluster, host, { key, value }));
      return told.kind === 'acknowledged';
    });
    this.expectValue(key, value);
  }

  async mustDelete(host: SimHost, key: string): Promise<void> {
    await new SimClient(this.#cluster, host).delete(key);
    this.expectValue(key, null);
  }

  /** Creates the key if nobody has, whatever becomes of it. Does not drive. */
  async tryCreate(host: SimHost, key: string, value: string): Promise<Told> {
    return tell(this.#cluster, host, { key, value, condition: { kind: 'absent' } });
  }

  /** The value of a key, null where there is none; what is merely not available is asked again. */
  async read(at: Place, key: string): Promise<string | null> {
    let value: string | null = null;
    await this.untilDone(async () => {
      const host = await hostAt(at);
      try {
        value = await new SimClient(this.#cluster, host).get(key);
      } catch (thrown) {
        if (!(thrown instanceof KvError && thrown.code === 'KEY_NOT_FOUND')) throw thrown;
        value = null;
      }
      return true;
    });
    return value;
  }

  /** Tries again what is not available for the moment, within the bound for that. */
  async untilDone(attempt: () => Promise<boolean>): Promise<void> {
    const endMs = this.#cluster.nowMs + SERVES_MS;
    for (;;) {
      try {
        if (await attempt()) return;
      } catch (thrown) {
        if (!isPassing(thrown) || this.#cluster.nowMs > endMs) throw thrown;
      }
      if (this.#cluster.nowMs > endMs) throw new Error('not done within the bound');
      await this.#cluster.run(PAUSE_MS);
    }
  }

  /** Every coordinator says of every key what clients were told. */
  async stands(): Promise<void> {
    for (const host of this.#cluster.coordinators) {
      for (const [key, value] of this.#values) {
        expect([host.name, key, brief(await this.read(host, key))]).toEqual([
          host.name,
          key,
          brief(value),
        ]);
      }
    }
  }

  /**
   * Within a bound nothing is open or staged, every record names as many copies as are wanted, each of
   * them is there and sound, and the disks hold no other.
   */
  async isTidy(wanted = 3): Promise<void> {
    let problems: readonly string[] = [];
    const endMs = this.#cluster.nowMs + TIDY_MS;
    do {
      await this.#cluster.run(1000);
      problems = await this.#untidy(wanted);
    } while (problems.length > 0 && this.#cluster.nowMs < endMs);
    expect(problems).toEqual([]);
  }

  async #untidy(wanted: number): Promise<readonly string[]> {
    const found: string[] = [];
    const named = new Map<SimHost, number>(this.#cluster.volumes.map((host) => [host, 0]));
    for (const [key, value] of this.#values) {
      if (value === null) continue;
      const copies = this.#copiesOf(key);
      if (copies.length !== wanted) found.push(`${key} has ${copies.length} copies`);
      for (const { disk, copyId } of copies) {
        const host = this.#diskOf(disk);
        if (host === undefined) {
          found.push(`${key} has a copy on disk ${disk}, which is not there`);
          continue;
        }
        const info = await this.#ask(host, (engine) => engine.info(copyId));
        if (info?.state !== 'committed' || !info.sound) {
          found.push(`${host.name} has the copy of ${key} as ${info?.state ?? 'none'}`);
        }
        named.set(host, (named.get(host) ?? 0) + 1);
      }
    }
    for (const [host, count] of named) {
      const undecided = await this.#ask(host, (engine) => engine.list(null, 1000, ['staged']));
      if (undecided.length > 0) found.push(`${host.name} has ${undecided.length} staged`);
      // Repair would hide from the reader that a crash has cost a disk what it had synced.
      const { copies: held, corruptRecords } = engineOf(host).usage();
      if (corruptRecords > 0) found.push(`${host.name} has met damage`);
      if (held !== count) found.push(`${host.name} holds ${held} copies instead of ${count}`);
    }
    return found;
  }

  #copiesOf(key: string) {
    const [first] = this.#cluster.coordinators;
    return first?.coordinator?.member?.metadata.record(utf8(key))?.copies ?? [];
  }

  #diskOf(disk: number): SimHost | undefined {
    const [first] = this.#cluster.coordinators;
    const name = first?.coordinator?.member?.registry.live().find((row) => row.disk === disk)?.name;
    return this.#cluster.volumes.find((host) => host.name === name);
  }

  #ask<T>(host: SimHost, question: (engine: StorageEngine) => Promise<T>): Promise<T> {
    return settled(this.#cluster, question(engineOf(host)));
  }
}

/** Sends a write and resolves with what its client is told. Does not drive. */
export async function tell(
  cluster: SimCluster,
  host: SimHost,
  write: { readonly key: string; readonly value: string; readonly condition?: Condition },
): Promise<Told> {
  try {
    const { key, value, condition = null } = write;
    const { txnId, results } = await new SimClient(cluster, host).beginPut(key, value, condition);
    return { kind: 'acknowledged', txnId, isNew: results[0]?.effect === 'created' };
  } catch (thrown) {
    if (thrown instanceof ConnectionLost) return { kind: 'unknown', code: 'CONNECTION_LOST' };
    if (!(thrown instanceof KvError)) throw thrown;
    const { code, row } = thrown;
    return { kind: row.outcome === 'unknown' ? 'unknown' : 'refused', code };
  }
}

const hostAt = async (at: Place): Promise<SimHost> => (typeof at === 'function' ? at() : at);

const engineOf = ({ name, volume }: SimHost): StorageEngine =>
  present(volume?.engine, `engine of ${name}`);

const isPassing = (thrown: unknown): boolean =>
  thrown instanceof ConnectionLost || (thrown instanceof KvError && thrown.row.retryable);

/** Values are told apart by how they begin and how long they are. */
const brief = (value: string | null): string | null =>
  value === null ? null : `${value.slice(0, 40)} (${value.length})`;
