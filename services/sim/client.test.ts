/**
 * The clients of a run against a gateway of one map: what they write down must be right where the gateway is,
 * and must give away a gateway that lies.
 */
import { beforeEach, describe, expect, it } from '@jest/globals';
import { textOf } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import type { Gateway } from '../coordinator/gateway.ts';
import { MemoryGateway } from '../testing/memory-gateway.ts';
import type { ClientWorld } from './call.ts';
import { Client } from './client.ts';
import { Draw } from './draw.ts';
import { violationsOf } from './linearizable.ts';
import { planOf, type WorkloadPlan } from './plan.ts';
import { Recorder } from './recorder.ts';
import { SometimesCounters } from './sometimes.ts';

/** Time and one gateway: all that clients ask of a cluster. */
class ToyCluster implements ClientWorld {
  nowMs = 0;
  readonly coordinators: ClientWorld['coordinators'];
  readonly #due: { readonly atMs: number; readonly fn: () => void }[] = [];

  constructor(gateway: MemoryGateway) {
    this.coordinators = [
      { name: 'coord-0', gateway },
      { name: 'coord-1', gateway },
    ];
  }

  after(delayMs: number, fn: () => void): { cancel(): void } {
    const due = { atMs: this.nowMs + delayMs, fn };
    this.#due.push(due);
    this.#due.sort((a, b) => a.atMs - b.atMs);
    return { cancel: () => void this.#due.splice(this.#due.indexOf(due), 1) };
  }

  async until(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      for (let turn = 0; turn < 3; turn += 1) {
        await new Promise((resolve) => {
          setImmediate(resolve);
        });
      }
      const next = this.#due.shift();
      if (next === undefined) continue;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.fn();
    }
  }
}

const WORKLOAD: WorkloadPlan = {
  ...planOf(1, 'within').workload,
  clients: 4,
  hotKeys: 2,
  coldKeys: 20,
  heat: 0.7,
  mix: {
    put: 6,
    get: 8,
    head: 2,
    delete: 2,
    conditionalPut: 4,
    conditionalDelete: 1,
    transaction: 3,
    list: 1,
    range: 2,
  },
  thinkMsMean: 5,
  valueBytesMax: 3000,
  idempotent: 0.3,
  vanishing: 0,
};

async function work(gateway: MemoryGateway, operations: number): Promise<Recorder> {
  const toy = new ToyCluster(gateway);
  const recorder = new Recorder(() => toy.nowMs);
  const counters = new SometimesCounters();
  const clients = Array.from({ length: WORKLOAD.clients }, (_, n) => {
    const draw = Draw.of(5, `client ${n}`);
    return new Client(`c${n}`, {
      cluster: toy,
      draw,
      recorder,
      counters,
      plan: WORKLOAD,
      profile: 'within',
    });
  });
  let isOver = false;
  const all = Promise.all(clients.map((client) => client.run(operations))).then(() => {
    isOver = true;
  });
  await toy.until(() => isOver);
  await all;
  return recorder;
}

describe('clients of a run', () => {
  let gateway: MemoryGateway;
  beforeEach(() => {
    gateway = new MemoryGateway();
  });

  it('write down a history that an honest gateway explains', async () => {
    const { operations, violations } = await work(gateway, 60);
    expect(violations).toEqual([]);
    expect(violationsOf(operations)).toEqual([]);
    expect(operations.filter(({ outcome }) => outcome === 'ok').length).toBeGreaterThan(150);
    expect(operations.some(({ outcome }) => outcome === 'refused')).toBe(true);
    expect(operations.some(({ together }) => together !== undefined)).toBe(true);
  });

  it('give away a gateway that forgets what it has acknowledged', async () => {
    class Forgetful extends MemoryGateway {
      #count = 0;
      override async put(...[request, context]: Parameters<Gateway['put']>) {
        const before = this.values.get(textOf(request.key));
        const answer = await super.put(request, context);
        this.#count += 1;
        if (this.#count % 20 !== 0) return answer;
        if (before === undefined) this.values.delete(textOf(request.key));
        else this.values.set(textOf(request.key), before);
        return answer;
      }
    }
    const { operations } = await work(new Forgetful(), 60);
    expect(violationsOf(operations)).not.toEqual([]);
  });

  it('give away a gateway that shows other bytes than were written', async () => {
    class Decaying extends MemoryGateway {
      override put(...[request, context]: Parameters<Gateway['put']>) {
        const readBody = async (body: AsyncIterable<Uint8Array>): Promise<Uint8Array> => {
          const parts: Uint8Array[] = [];
          for await (const part of body) parts.push(part);
          const whole = Buffer.concat(parts);
          if (whole.length > 100) whole[50] = (whole[50] ?? 0) ^ 1;
          return whole;
        };
        this.readBody = readBody;
        return super.put({ ...request, expectedDigest: null }, context);
      }
    }
    const { violations } = await work(new Decaying(), 20);
    expect(violations.join('\n')).toMatch(/a value that nobody has written/);
  });

  it('take an answer of an internal error for wrong', async () => {
    gateway.failure = new KvError('INTERNAL', 'a bug');
    const { violations } = await work(gateway, 2);
    expect(violations.join('\n')).toMatch(/INTERNAL/);
  });
});
