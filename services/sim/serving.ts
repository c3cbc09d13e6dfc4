/** What tests of the simulated cluster ask of it: a cluster that serves, and a client that drives it. */
import { concatBytes, textOf, utf8 } from '../common/bytes.ts';
import { logIndex } from '../common/ids.ts';
import type {
  Gateway,
  MutationContext,
  MutationResult,
  ReadContext,
} from '../coordinator/gateway.ts';
import type { Condition } from '../metadata/commands.ts';
import { createCluster } from './cluster.ts';
import { ConnectionLost } from './lost.ts';
import type { SimCluster, SimHost, SimOptions } from './types.ts';

/** Long enough for anything but a fault that nobody mends. */
const PATIENCE_MS = 30_000;
const TIMEOUT_MS = 10_000;

/** A cluster all of whose members serve and see every volume. */
export async function servingCluster(options: SimOptions): Promise<SimCluster> {
  const cluster = await createCluster(options);
  for (const host of cluster.hosts) host.start();
  await untilServing(cluster);
  return cluster;
}

export async function untilServing(cluster: SimCluster): Promise<void> {
  const serves = ({ isUp, gateway, admin }: SimHost): boolean =>
    !isUp || (gateway !== null && admin?.health().healthyVolumes === upVolumes(cluster));
  if (await cluster.runUntil(() => cluster.coordinators.every(serves), PATIENCE_MS)) return;
  const seen = cluster.hosts.map(({ name, isUp, fatal, admin }) => ({
    name,
    isUp,
    fatal: fatal?.stack,
    health: admin?.health(),
  }));
  throw new Error(`the cluster does not serve: ${JSON.stringify(seen)}`);
}

const upVolumes = ({ volumes }: SimCluster): number => volumes.filter(({ isUp }) => isUp).length;

/** The leader of the newest term among those that run; undefined: nobody leads. */
export function leaderOf({ coordinators }: SimCluster): SimHost | undefined {
  const leaders = coordinators.filter(({ admin }) => admin?.status().role === 'leader');
  return leaders.sort((a, b) => termOf(b) - termOf(a))[0];
}

const termOf = ({ admin }: SimHost): number => admin?.status().term ?? 0;

/** Drives the cluster until `answer` has settled, and answers as it does. */
export async function settled<T>(cluster: SimCluster, answer: Promise<T>): Promise<T> {
  let isSettled = false;
  const watched = answer.finally(() => {
    isSettled = true;
  });
  watched.catch(() => undefined);
  if (await cluster.runUntil(() => isSettled, PATIENCE_MS)) return watched;
  throw new Error('no answer in time');
}

/** A client of one coordinator. */
export class SimClient {
  readonly #cluster: SimCluster;
  readonly #host: SimHost;

  constructor(cluster: SimCluster, host: SimHost) {
    this.#cluster = cluster;
    this.#host = host;
  }

  put(key: string, value: string): Promise<MutationResult> {
    return settled(this.#cluster, this.beginPut(key, value));
  }

  /** As `put`, and does not drive. */
  async beginPut(
    key: string,
    value: string,
    condition: Condition | null = null,
  ): Promise<MutationResult> {
    const bytes = utf8(value);
    const request = {
      key: utf8(key),
      condition,
      headers: [],
      declaredBytes: bytes.length,
      body: piecesOf(bytes),
      expectedDigest: null,
      maxBytes: bytes.length,
    };
    return this.#gateway.put(request, mutation());
  }

  delete(key: string): Promise<MutationResult> {
    return settled(this.#cluster, this.#gateway.delete(utf8(key), null, mutation()));
  }

  get(key: string): Promise<string> {
    return settled(this.#cluster, this.#get(utf8(key)));
  }

  async list(prefix: string): Promise<readonly string[]> {
    const none = new Uint8Array(0);
    const request = { prefix: utf8(prefix), start: none, end: none, after: null, limit: 1000 };
    const page = await settled(this.#cluster, this.#gateway.list(request, read()));
    return page.entries.map(({ key }) => textOf(key));
  }

  async #get(key: Uint8Array): Promise<string> {
    const found = await this.#gateway.find(key, read());
    const { body } = await this.#gateway.open(found, null, key, read());
    const parts: Uint8Array[] = [];
    for await (const part of body) parts.push(part);
    return textOf(concatBytes(parts));
  }

  get #gateway(): Gateway {
    const { gateway, name } = this.#host;
    if (gateway === null) throw new ConnectionLost(`${name} does not serve`);
    return gateway;
  }
}

async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  const pieceBytes = 64 * 1024;
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

const mutation = (): MutationContext => ({
  requestId: 'r',
  principal: 'p',
  idempotencyKey: null,
  signal: new AbortController().signal,
  timeoutMs: TIMEOUT_MS,
});

const read = (): ReadContext => ({
  consistency: 'linearizable',
  minIndex: logIndex(0),
  signal: new AbortController().signal,
  timeoutMs: TIMEOUT_MS,
});
