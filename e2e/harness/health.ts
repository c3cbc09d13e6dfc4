/** What a cluster at rest looks like from outside, told by the metrics of its processes. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListPage } from '../../services/api/kv.ts';
import { httpUrl, type ProcessRow } from './cluster.ts';
import { call, keyUrl } from './kv.ts';
import { scrape } from './scrape.ts';
import { waitFor } from './wait-for.ts';

const CALM_TIMEOUT_MS = 20_000;
/** As many as one page of a listing holds. */
const KEYS_MAX = 10_000;

/** What is asked of a cluster here. */
interface Observed {
  readonly rows: readonly ProcessRow[];
  /** HTTP addresses of the coordinators. */
  readonly urls: readonly string[];
  ready(): Promise<void>;
}

export const volumesOf = (cluster: Observed): readonly ProcessRow[] =>
  cluster.rows.filter(({ role }) => role === 'volume');

/** Waits until every coordinator sees all volumes, and no key lacks a copy. */
export async function calm(cluster: Observed): Promise<void> {
  await cluster.ready();
  for (const url of cluster.urls) {
    await waitFor(`${url} sees everything well`, CALM_TIMEOUT_MS, async () => {
      const samples = await scrape(url);
      return (
        samples.get('minikv_healthy_volumes') === volumesOf(cluster).length &&
        samples.get('minikv_under_replicated_keys') === 0
      );
    });
  }
}

const REBUILDS = 'metadata cannot be trusted and is rebuilt';

/** What processes have logged, in all their lives, of metadata that they had to throw away. */
export async function rebuilt({ folder, rows }: Logged): Promise<readonly string[]> {
  const logs = await Promise.all(
    rows.map(({ name }) => readFile(join(folder, 'logs', `${name}.log`), 'utf8')),
  );
  return logs.flatMap((log) => log.split('\n')).filter((line) => line.includes(REBUILDS));
}

interface Logged {
  /** The logs are in its folder `logs`. */
  readonly folder: string;
  readonly rows: readonly Pick<ProcessRow, 'name'>[];
}

/** Bytes of open, staged and live copies. */
export type Held = Readonly<Record<'open' | 'staged' | 'live', number>>;

/** What each volume holds. */
export async function holdings(cluster: Observed): Promise<readonly Held[]> {
  const samples = await Promise.all(volumesOf(cluster).map(({ http }) => scrape(httpUrl(http))));
  return samples.map((of) => {
    const bytes = (state: string): number => of.get(`minikv_volume_${state}_bytes`) ?? Number.NaN;
    return { open: bytes('open'), staged: bytes('staged'), live: bytes('live') };
  });
}

/** Waits until no volume holds a copy that nobody has decided on; tells which do where that never comes. */
export async function allDecided(cluster: Observed, timeoutMs: number): Promise<void> {
  await untilNone('copies without a decision', timeoutMs, async () => {
    const found: string[] = [];
    for (const { name, http } of volumesOf(cluster)) {
      const samples = await scrape(httpUrl(http));
      for (const metric of UNDECIDED) {
        if (samples.get(metric) !== 0) found.push(`${name} ${metric} ${samples.get(metric)}`);
      }
    }
    return found;
  });
}

/**
 * Waits until volumes hold exactly what records name: nothing undecided, and on every one of as many
 * volumes as there are copies all values. Replaced values count until their grace is over.
 */
export async function nothingIsLeft(cluster: Observed, timeoutMs: number): Promise<void> {
  await allDecided(cluster, timeoutMs);
  await untilNone('bytes that no record names', timeoutMs, async () => {
    const { keys, bytes } = await onVolumes(cluster.urls[0] ?? '');
    const wants = [
      ['minikv_volume_live_copies', keys],
      ['minikv_volume_live_bytes', bytes],
    ] as const;
    const found: string[] = [];
    for (const { name, http } of volumesOf(cluster)) {
      const samples = await scrape(httpUrl(http));
      for (const [metric, wanted] of wants) {
        const held = samples.get(metric);
        if (held !== wanted) found.push(`${name} ${metric} ${held} instead of ${wanted}`);
      }
    }
    return found;
  });
}

/** Keys whose values lie on volumes, which a read would be sent to, and the bytes of those values. */
async function onVolumes(url: string): Promise<{ readonly keys: number; readonly bytes: number }> {
  const { body } = await call(`${url}/kv?limit=${KEYS_MAX}`);
  const { entries, cursor } = JSON.parse(body.toString()) as ListPage;
  if (cursor !== null) throw new Error(`more than ${KEYS_MAX} keys`);
  let [keys, bytes] = [0, 0];
  for (const { key, size } of entries) {
    const { status } = await call(`${keyUrl(url, key)}?redirect=1`);
    if (status !== 307 && status !== 200) throw new Error(`${key} is answered with ${status}`);
    if (status !== 307) continue;
    keys += 1;
    bytes += size;
  }
  return { keys, bytes };
}

const UNDECIDED = ['open', 'staged'].flatMap((state) =>
  ['copies', 'bytes'].map((unit) => `minikv_volume_${state}_${unit}`),
);

async function untilNone(
  what: string,
  timeoutMs: number,
  look: () => Promise<readonly string[]>,
): Promise<void> {
  let found: readonly string[] = [];
  try {
    await waitFor(`no ${what}`, timeoutMs, async () => {
      found = await look();
      return found.length === 0;
    });
  } catch (error) {
    throw new Error(`${String(error)}: ${found.join(', ')}`, { cause: error });
  }
}
