/**
 * One client of a run: calls a gateway, any of them, waits for the answer as long as it likes, thinks, and
 * goes on. All that it does and sees goes into the history; what no order of events could explain is said at once.
 */
import { type Door, pause } from './call.ts';
import { type ClientParts, ClientSession } from './client-session.ts';
import type { Draw } from './draw.ts';
import type { Mix } from './plan.ts';
import { Planner } from './planner.ts';
import { Reader } from './reader.ts';
import { Writer } from './writer.ts';

export class Client {
  readonly #session: ClientSession;
  readonly #planner: Planner;
  readonly #writer: Writer;
  readonly #reader: Reader;
  operations = 0;

  constructor(name: string, parts: ClientParts) {
    this.#session = new ClientSession(name, parts);
    this.#planner = new Planner(this.#session);
    this.#writer = new Writer(this.#session);
    this.#reader = new Reader(this.#session);
  }

  get name(): string {
    return this.#session.name;
  }

  stop(): void {
    this.#session.isStopped = true;
  }

  /** Writes a key through that host; answers whether it was acknowledged. */
  async probe(host: Door, key: string): Promise<boolean> {
    this.#session.gateway = host;
    const { recorder, cluster } = this.#session.parts;
    await this.#writer.mutate([this.#planner.put(key, null)]);
    const isDone = recorder.operations.at(-1)?.outcome === 'ok';
    if (!isDone) await pause(cluster, 20);
    return isDone;
  }

  /** Reads a key through that host; answers whether it was told what the key is. */
  async readBack(host: Door, key: string): Promise<boolean> {
    this.#session.gateway = host;
    const { recorder, cluster } = this.#session.parts;
    const before = recorder.operations.length;
    await this.#reader.read(key, 'linearizable', 'get');
    const isRead = recorder.operations.length > before;
    if (!isRead) await pause(cluster, 20);
    return isRead;
  }

  /** One operation after the other until it is stopped. */
  async run(operationsMax: number): Promise<void> {
    const { cluster, draw, plan } = this.#session.parts;
    while (!this.#session.isStopped && this.operations < operationsMax) {
      await pause(cluster, draw.exponential(plan.thinkMsMean));
      if (this.#session.isStopped) return;
      this.operations += 1;
      await this.#one(pickKind(draw, plan.mix));
    }
  }

  async #one(kind: keyof Mix): Promise<void> {
    const { draw } = this.#session.parts;
    const key = this.#planner.key();
    switch (kind) {
      case 'put':
        if (draw.chance(this.#session.parts.plan.vanishing)) return this.#writer.vanish(key);
        return this.#writer.mutate([this.#planner.put(key, null)]);
      case 'delete':
        return this.#writer.mutate([this.#planner.delete(key, null)]);
      case 'conditionalPut':
        return this.#writer.mutate([this.#planner.put(key, this.#planner.condition(key))]);
      case 'conditionalDelete':
        return this.#writer.mutate([this.#planner.delete(key, this.#planner.condition(key))]);
      case 'transaction':
        return this.#writer.mutate(this.#planner.transaction());
      case 'get':
        return this.#reader.read(key, draw.chance(0.1) ? 'stale' : 'linearizable', 'get');
      case 'head':
        return this.#reader.read(key, draw.chance(0.1) ? 'stale' : 'linearizable', 'head');
      case 'range':
        return this.#reader.read(key, 'linearizable', 'range');
      case 'list':
        return this.#reader.list();
    }
  }
}

function pickKind(draw: Draw, mix: Mix): keyof Mix {
  const kinds = KINDS.flatMap((kind) => Array.from({ length: mix[kind] }, () => kind));
  return draw.pick(kinds);
}

const KINDS: readonly (keyof Mix)[] = [
  'put',
  'get',
  'head',
  'delete',
  'conditionalPut',
  'conditionalDelete',
  'transaction',
  'list',
  'range',
];
