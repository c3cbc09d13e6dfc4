/**
 * Keys whose values a test knows, and the two ways to be sure of them: every coordinator reads each
 * one right, and every volume has a sound copy of each one in its files.
 */
import type { Cluster } from './cluster.ts';
import { httpUrl } from './cluster.ts';
import { type Answer, call, get, put } from './kv.ts';
import { recordsOf, type SegmentRecord, WHOLE } from './segments.ts';
import { waitFor } from './wait-for.ts';

/** What is read of `GET /admin/cluster`. */
interface ClusterView {
  readonly data: { readonly underReplicated: number; readonly lost: number };
}

const READ_TIMEOUT_MS = 20_000;
const READS_AT_ONCE = 16;

export class Ledger {
  readonly #cluster: Cluster;
  readonly #values = new Map<string, Buffer>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  get keys(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** Writes one key; it must be acknowledged on all three volumes. */
  async put(key: string, value: Buffer): Promise<void> {
    const [url = ''] = this.#cluster.urls;
    let answer: Answer | null = null;
    await waitFor(`PUT ${key} on three volumes`, READ_TIMEOUT_MS, async () => {
      answer = await put(url, key, value);
      return answer.headers.get('x-replicas') === '3/3';
    });
    this.#values.set(key, value);
  }

  /**
   * Reads every key through the named coordinators (all of them by default). Unavailable may pass,
   * another value or 404 may not: those are answered as sentences.
   */
  async wrongReads(coordinators: readonly string[] = this.#coordinators()): Promise<string[]> {
    const wrong: string[] = [];
    const reads = [...this.#values].flatMap(([key, value]) =>
      coordinators.map((name) => ({ key, value, name })),
    );
    const next = async (): Promise<void> => {
      for (let read = reads.shift(); read !== undefined; read = reads.shift()) {
        const sentence = await this.#judge(read);
        if (sentence !== null) wrong.push(sentence);
      }
    };
    await Promise.all(Array.from({ length: READS_AT_ONCE }, next));
    return wrong;
  }

  /** Reads one key once through a coordinator. */
  read(key: string, coordinator: string): Promise<Answer> {
    return get(httpUrl(this.#cluster.row(coordinator).http), key);
  }

  /** Keys of which a volume has no sound copy in its files; small values only. */
  async missingOn(volume: string): Promise<string[]> {
    const records = await recordsOf(this.#cluster.row(volume).dataDir);
    const isThere = (key: string, value: Buffer): boolean =>
      records.some((record) => isCopy(record, key) && record.sound && record.data.equals(value));
    return [...this.#values].filter(([key, value]) => !isThere(key, value)).map(([key]) => key);
  }

  /** The newest whole record of a key in a volume's files. */
  async copyOn(volume: string, key: string): Promise<SegmentRecord> {
    const records = await recordsOf(this.#cluster.row(volume).dataDir);
    const found = records.findLast((record) => isCopy(record, key));
    if (found === undefined) throw new Error(`${volume} has no copy of ${key}`);
    return found;
  }

  /** Waits until every key has a sound copy on every volume and no coordinator misses one. */
  async healed(timeoutMs: number): Promise<void> {
    const [url = ''] = this.#cluster.urls;
    await waitFor('nothing is under-replicated', timeoutMs, async () => {
      const { status, body } = await call(`${url}/admin/cluster`);
      if (status !== 200) return false;
      const { data } = JSON.parse(body.toString()) as ClusterView;
      return data.underReplicated === 0 && data.lost === 0;
    });
    for (const { name, role } of this.#cluster.rows) {
      if (role !== 'volume') continue;
      await waitFor(`${name} has every key`, timeoutMs, async () => {
        const missing = await this.missingOn(name);
        if (missing.length > 0) throw new Error(`missing: ${missing.join(' ')}`);
        return true;
      });
    }
  }

  async #judge(read: { key: string; value: Buffer; name: string }): Promise<string | null> {
    const { key, value, name } = read;
    const endMs = performance.now() + READ_TIMEOUT_MS;
    for (;;) {
      const { status, body } = await this.read(key, name);
      if (status === 200 && body.equals(value)) return null;
      const mayPass = status === 0 || status === 503 || status === 504;
      if (mayPass && performance.now() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        continue;
      }
      return `${key} through ${name}: ${status}, ${body.length} bytes instead of ${value.length}`;
    }
  }

  #coordinators(): readonly string[] {
    return this.#cluster.rows.filter(({ role }) => role === 'coordinator').map(({ name }) => name);
  }
}

const isCopy = ({ kind, owner }: SegmentRecord, key: string): boolean =>
  kind === WHOLE && owner === key;
