/**
 * Power cuts under load: the first coordinator and the first volume stand on images, are stopped and
 * lose power at one instant, and start again on what their disks had. Every write has a key of its own,
 * so that no later one hides a loss.
 */
import { Cluster, httpUrl } from '../harness/cluster.ts';
import { get, put, randomValue, sha } from '../harness/kv.ts';
import { scrape } from '../harness/scrape.ts';
import { waitFor } from '../harness/wait-for.ts';
import type { Images } from './images.ts';

export interface CutOptions {
  readonly args: readonly string[];
  readonly fsync: 'always' | 'never';
  readonly cuts: number;
}

export interface Lives {
  readonly acknowledged: number;
  /** What was acknowledged and is not there, or is something else. */
  readonly lost: readonly string[];
  /** Bytes that nobody wrote. */
  readonly wrong: readonly string[];
  /** Damage that the starts after a cut have found, but for the torn tails that a cut may leave. */
  readonly damage: readonly string[];
  /** Copies on the volume that lost power, at the end. */
  readonly copies: number;
  /** State of the coordinator after each cut. */
  readonly states: readonly unknown[];
}

const VICTIMS = ['c1', 'v1'];
const WRITERS = 8;
const WRITES_PER_CUT = 120;
const SIZES = [0, 100, 1000, 20_000, 400_000];
const TIMEOUT_MS = 30_000;

export async function cutCluster(images: Images, options: CutOptions): Promise<Lives> {
  const cluster = await Cluster.start(options.args, {
    MINIKV_FSYNC: options.fsync,
    MINIKV_BLOB_CACHE: '0',
    MINIKV_SEGMENT_BYTES: '4MiB',
    // The images are small.
    MINIKV_RESERVE: '8MiB',
  });
  try {
    for (const name of VICTIMS) {
      await cluster.kill(name, 'SIGTERM');
      images.place(name, cluster.row(name).dataDir);
      cluster.restart(name);
    }
    await serving(cluster);
    return await new Story(cluster, images).run(options.cuts);
  } finally {
    for (const name of VICTIMS) await cluster.kill(name, 'SIGKILL').catch(() => {});
    images.close();
    await cluster.stop();
  }
}

/** Writes are taken again. */
const serving = (cluster: Cluster): Promise<void> =>
  waitFor('a write is taken', TIMEOUT_MS, async () => {
    await cluster.ready(TIMEOUT_MS);
    return (await put(cluster.urls[0] ?? '', 'probe', Buffer.from('x'))).status < 300;
  });

class Story {
  readonly #cluster: Cluster;
  readonly #images: Images;
  readonly #acknowledged = new Map<string, string>();
  /** Every value that was ever sent, by key. */
  readonly #sent = new Map<string, string>();
  readonly #states: unknown[] = [];
  readonly #damage: string[] = [];

  constructor(cluster: Cluster, images: Images) {
    this.#cluster = cluster;
    this.#images = images;
  }

  async run(cuts: number): Promise<Lives> {
    for (let cut = 0; cut < cuts; cut += 1) {
      await this.#loseAndStart(cut);
      await this.#lookAround();
    }
    const { lost, wrong } = await this.#readBack();
    const acknowledged = this.#acknowledged.size;
    const samples = await scrape(httpUrl(this.#cluster.row('v1').http));
    const copies = samples.get('minikv_volume_live_copies') ?? 0;
    return { acknowledged, lost, wrong, copies, damage: this.#damage, states: this.#states };
  }

  async #loseAndStart(cut: number): Promise<void> {
    const cluster = this.#cluster;
    const enough = this.#acknowledged.size + WRITES_PER_CUT;
    let isOn = true;
    const writers = Array.from({ length: WRITERS }, async (_, writer) => {
      for (let turn = 0; isOn; turn += 1)
        await this.#write(`${cut}/${writer}/${turn}`, writer + turn);
    });
    await waitFor('writes', TIMEOUT_MS, () => this.#acknowledged.size >= enough);
    for (const name of VICTIMS) await cluster.kill(name, 'SIGSTOP');
    for (const name of VICTIMS) this.#images.cut(name);
    isOn = false;
    for (const name of VICTIMS) await cluster.kill(name, 'SIGKILL');
    await Promise.all(writers);
    for (const name of VICTIMS) {
      this.#images.powerOn(name, cluster.row(name).dataDir);
      cluster.restart(name);
    }
    await serving(cluster);
  }

  async #write(key: string, turn: number): Promise<void> {
    const value = randomValue(SIZES[turn % SIZES.length] ?? 0);
    this.#sent.set(key, sha(value));
    const { urls } = this.#cluster;
    const { status } = await put(urls[turn % urls.length] ?? '', key, value);
    if (status === 201) this.#acknowledged.set(key, sha(value));
  }

  async #lookAround(): Promise<void> {
    const cluster = this.#cluster;
    const { state, caughtUp } = await cluster.status(httpUrl(cluster.row('c1').http));
    this.#states.push({ state, caughtUp });
    for (const name of VICTIMS) {
      const samples = await scrape(httpUrl(cluster.row(name).http));
      for (const [series, value] of samples) {
        const isDamage = series.includes('_damage_total') && !series.includes('torn_tail');
        if (isDamage && value > 0) this.#damage.push(`${name} ${series} ${value}`);
      }
    }
  }

  /** Every value that was sent is asked for through the coordinator that lost power. */
  async #readBack(): Promise<Pick<Lives, 'lost' | 'wrong'>> {
    const lost: string[] = [];
    const wrong: string[] = [];
    const url = this.#cluster.urls[0] ?? '';
    for (const [key, digest] of this.#sent) {
      const { status, body } = await get(url, key);
      if (status === 200 && sha(body) !== digest) wrong.push(key);
      if (status !== 200 && this.#acknowledged.has(key)) lost.push(`${key}: ${status}`);
    }
    return { lost, wrong };
  }
}
