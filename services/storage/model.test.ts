/**
 * The engine against a plain Map: random calls, crashes with whatever mixture of unsynced bytes
 * survives, reopening with and without the snapshot. Goal: under `always` every answer the model gives
 * the engine gives too, whatever the order.
 */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { outcomeOf, StorageRig, stageChunks, type Value } from '../testing/storage-rig.ts';
import type { CopyState, StorageEngine } from './types.ts';

interface Held {
  readonly value: Value;
  /** What may be found: a commit is not waited for, so a crash may take it back to staged. */
  states: CopyState[];
}

type Step =
  | { readonly kind: 'whole' | 'chunked'; readonly bytes: number }
  | { readonly kind: 'half'; readonly bytes: number }
  | { readonly kind: 'finalize' | 'drop'; readonly pick: number }
  | { readonly kind: 'compact' | 'reopen' | 'crash' | 'crash-without-snapshot' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ kind: fc.constant('whole' as const), bytes: fc.nat(1500) }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constantFrom('chunked' as const, 'half' as const),
        bytes: fc.integer({ min: 1, max: 6000 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        kind: fc.constantFrom('finalize' as const, 'drop' as const),
        pick: fc.nat(),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constantFrom(
          'compact' as const,
          'reopen' as const,
          'crash' as const,
          'crash-without-snapshot' as const,
        ),
      }),
    },
  ),
  { minLength: 10, maxLength: 50 },
);

class Story {
  readonly #rig: StorageRig;
  readonly #held = new Map<string, Held>();
  readonly #gone = new Set<string>();
  #engine: StorageEngine;

  constructor(rig: StorageRig, engine: StorageEngine) {
    this.#rig = rig;
    this.#engine = engine;
  }

  async run(step: Step): Promise<void> {
    switch (step.kind) {
      case 'whole':
        this.#keep(await this.#rig.whole(this.#engine, step.bytes));
        return;
      case 'chunked':
        this.#keep(await this.#rig.chunked(this.#engine, step.bytes, 900));
        return;
      case 'half': {
        const value = this.#rig.value(step.bytes);
        await stageChunks(this.#engine, value, 900);
        this.#gone.add(value.id);
        return;
      }
      case 'finalize':
      case 'drop':
        return this.#settle(step.kind, step.pick);
      case 'compact':
        while (await this.#engine.compactOnce()) continue;
        return;
      case 'reopen':
      case 'crash':
      case 'crash-without-snapshot':
        return this.#reopen(step.kind);
    }
  }

  #keep(value: Value): void {
    this.#held.set(value.id, { value, states: ['staged'] });
  }

  async #settle(kind: 'finalize' | 'drop', pick: number): Promise<void> {
    const all = [...this.#held.values()];
    const held = all[pick % Math.max(1, all.length)];
    if (held === undefined) return;
    const { id } = held.value;
    expect(await this.#engine[kind](id)).toBe('ok');
    if (kind === 'drop') {
      this.#held.delete(id);
      this.#gone.add(id);
    } else {
      held.states = ['staged', 'committed'];
    }
  }

  async #reopen(kind: 'reopen' | 'crash' | 'crash-without-snapshot'): Promise<void> {
    if (kind === 'reopen') await this.#engine.close();
    else this.#rig.disk.crash({ random: this.#rig.random });
    if (kind === 'crash-without-snapshot') await this.#rig.disk.remove('/data/index.snapshot');
    this.#engine = await this.#rig.open();
    expect(this.#engine.report.corruptRecords).toEqual([]);
    await this.check();
  }

  async check(): Promise<void> {
    let bytes = 0;
    for (const { value, states } of this.#held.values()) {
      expect(await outcomeOf(this.#engine, value)).toBe('found');
      const info = await this.#engine.info(value.id);
      expect(states).toContain(info?.state);
      expect(info?.owner).toEqual(value.end.owner);
      bytes += value.data.length;
    }
    for (const id of this.#gone) {
      const known = await this.#engine.info(id as Value['id']);
      expect([undefined, 'open', 'dropped']).toContain(known?.state);
    }
    expect(this.#engine.usage()).toMatchObject({ copies: this.#held.size, liveBytes: bytes });
    const listed = await this.#engine.list(null, 1000, ['staged', 'committed']);
    expect(listed.map((info) => info.copyId)).toEqual([...this.#held.keys()].sort());
  }

  async end(): Promise<void> {
    await this.#reopen('crash-without-snapshot');
    await this.#engine.close();
  }
}

test('behaves as a map under any calls, crashes and compactions', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 1e6 }), async (story, seed) => {
      const snapshotRecordsMin = [1, 7, 65_536][seed % 3] ?? 1;
      const rig = new StorageRig({ segmentBytes: 6000, snapshotRecordsMin }, seed);
      const run = new Story(rig, await rig.open());
      for (const step of story) await run.run(step);
      await run.check();
      await run.end();
    }),
    { numRuns: 60 },
  );
}, 60_000);
