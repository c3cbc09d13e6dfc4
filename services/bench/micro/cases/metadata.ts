/**
 * What an applied PUT costs the replicated state: keys that are new and keys that are replaced, over a
 * table in memory and over LevelDB with its rows flushed, as a coordinator has them.
 */
import { join } from 'node:path';
import { logIndex, type Session, session, term } from '../../../common/ids.ts';
import { LevelMetadataStore } from '../../../coordinator/level-metadata-store.ts';
import { openLevelTable } from '../../../coordinator/level-table.ts';
import { MetadataState } from '../../../metadata/apply.ts';
import type { Command, Commit } from '../../../metadata/commands.ts';
import { MemoryStore } from '../../../metadata/memory-store.ts';
import type { MetadataStore } from '../../../metadata/store.ts';
import { registerOf } from '../../../testing/metadata-world.ts';
import { type MicroCase, mustHold, type Stage, type Work } from '../micro-case.ts';
import { keyNumber, putCommand } from '../samples.ts';

/** Of a million that a stage may ask for: this share of keys is there beforehand. */
const STORED_SHARE = 0.05;
const FLUSH_ROWS = 5000;

type Effect = 'created' | 'replaced';

export const METADATA_CASES: readonly MicroCase[] = [
  ...onBoth('a PUT of a new key', (world) => applyWork(world, 'created')),
  ...onBoth('a PUT of a known key', (world) => applyWork(world, 'replaced')),
  ...onBoth('the record of a key', lookUpWork),
];

function onBoth(what: string, workOf: (world: World) => Work): readonly MicroCase[] {
  const shared = { of: 'call', perStep: 1, onDisk: false };
  const open = async (world: World, { stored }: Stage): Promise<Work> => {
    await world.fill(Math.ceil(stored * STORED_SHARE));
    return workOf(world);
  };
  return [
    {
      ...shared,
      name: `metadata: ${what}, in memory`,
      open: (stage) => open(new World(new MemoryStore(), null), stage),
    },
    {
      ...shared,
      name: `metadata: ${what}, over LevelDB`,
      async open(stage) {
        const store = await openLevel(join(stage.folder, 'metadata'));
        const work = await open(new World(store, store), stage);
        return { ...work, close: () => store.close() };
      },
    },
  ];
}

function applyWork(world: World, effect: Effect): Work {
  let ready: readonly Commit[] = [];
  return {
    async prepare(steps) {
      await world.flush();
      ready = Array.from({ length: steps }, () =>
        world.put(effect === 'created' ? world.freshKey() : world.knownKey()),
      );
    },
    run() {
      for (const command of ready) mustHold(world.commit(command) === effect, effect);
    },
  };
}

function lookUpWork(world: World): Work {
  let asked: readonly Uint8Array[] = [];
  return {
    async prepare(steps) {
      await world.flush();
      asked = Array.from({ length: steps }, () => keyNumber(world.knownKey()));
    },
    run() {
      for (const key of asked) mustHold(world.state.record(key) !== undefined, 'a record is gone');
    },
  };
}

/** A state with three disks and some keys, and the log index that it has reached. */
class World {
  readonly state: MetadataState;
  readonly #level: LevelMetadataStore | null;
  readonly #sessions: readonly Session[];
  #index = 0;
  #keys = 0;
  #drawn = 0;

  constructor(store: MetadataStore, level: LevelMetadataStore | null) {
    this.state = MetadataState.empty(store);
    this.#level = level;
    this.#sessions = [1, 2, 3].map((n) => {
      this.#apply(registerOf({ volume: `volume-${n}`, nonce: `nonce-${n}` }));
      return session(this.#index);
    });
  }

  async fill(keys: number): Promise<void> {
    while (this.#keys < keys) {
      mustHold(this.commit(this.put(this.freshKey())) === 'created', 'a key is there already');
      if (this.#keys % FLUSH_ROWS === 0) await this.flush();
    }
    await this.flush();
  }

  freshKey(): number {
    this.#keys += 1;
    return this.#keys - 1;
  }

  /** Goes through those that are there, by a stride that is prime to most counts: no two are near. */
  knownKey(): number {
    this.#drawn += 7919;
    return this.#drawn % this.#keys;
  }

  put(key: number): Commit {
    return putCommand({ key, born: this.#index, sessions: this.#sessions });
  }

  /** What became of the key. */
  commit(command: Commit): string {
    const applied = this.#apply(command);
    if (applied.kind !== 'txn' || applied.outcome.kind !== 'applied') return applied.kind;
    return applied.outcome.results[0]?.effect ?? 'nothing';
  }

  /** Takes all rows to the table, as a coordinator does every tenth of a second. */
  async flush(): Promise<void> {
    if (this.#level === null || this.#level.unflushedBytes === 0) return;
    this.state.checkpoint();
    const point = { index: logIndex(this.#index), term: term(1) };
    this.#level.freeze({ point, digest: this.state.digest(), installed: false });
    await this.#level.writeFrozen();
  }

  #apply(command: Command) {
    this.#index += 1;
    return this.state.apply(logIndex(this.#index), command);
  }
}

async function openLevel(folder: string): Promise<LevelMetadataStore> {
  const onFatal = (error: Error): void => {
    throw error;
  };
  const opened = await LevelMetadataStore.open({ openTable: openLevelTable, onFatal }, folder);
  if (opened.kind === 'void') throw new Error(opened.why);
  await opened.store.learnKeys(() => Promise.resolve());
  return opened.store;
}
