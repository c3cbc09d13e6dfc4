/**
 * Replicated metadata on a real disk and a real LevelDB, fed by hand with the log of a world that
 * decides what is proposed.
 */
import { join } from 'node:path';
import { term } from '../common/ids.ts';
import { openLevelTable } from '../coordinator/level-table.ts';
import { ReplicatedMetadata } from '../coordinator/metadata-machine.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { Command, Op } from '../metadata/commands.ts';
import type { Entry } from '../raft/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import type { Labels } from '../telemetry/metrics.ts';
import { ManualClock } from './manual-clock.ts';
import { MetadataWorld, registerOf } from './metadata-world.ts';
import { tempDir } from './temp-dir.ts';

/** A world that decides what is proposed, and machines that are given its log. */
export class MetadataBench {
  readonly world = new MetadataWorld();
  readonly log: Entry[] = [];
  readonly clock = new ManualClock();
  readonly fatal: Error[] = [];
  /** Resolves with the first fatal error. */
  readonly stopped = Promise.withResolvers<void>();
  /** Kinds and counts of damage named so far. */
  readonly damage: [string | undefined, number][] = [];

  constructor() {
    for (const n of [1, 2, 3]) this.add(registerOf({ volume: `volume-${n}`, nonce: `nonce-${n}` }));
  }

  add(command: Command): void {
    this.world.apply(command);
    const data = encodeCommand(command).slice();
    this.log.push({ index: this.world.index, term: term(1), kind: 'command', data });
  }

  commit(ops: readonly Op[]): void {
    this.add(this.world.commit(ops));
  }

  put(key: string, n: number): void {
    this.commit([this.world.put({ key, blob: n })]);
  }

  open(path: string): Promise<ReplicatedMetadata> {
    const parts = {
      disk: new NodeDisk(),
      openTable: openLevelTable,
      clock: this.clock,
      logger: silentLogger,
      damage: {
        add: (count = 1, labels: Labels = {}) => this.damage.push([labels['kind'], count]),
      },
      onFatal: (error: Error) => {
        this.fatal.push(error);
        this.stopped.resolve();
      },
    };
    return ReplicatedMetadata.open(parts, { path });
  }

  /** Applies what the machine has not applied; `durable`: the own log holds it. */
  feed(machine: ReplicatedMetadata, durable = true): void {
    machine.apply(this.log.slice(machine.applied.index));
    if (durable) machine.logDurable(this.world.index);
  }
}

export async function openBench(): Promise<{
  b: MetadataBench;
  path: string;
  machine: ReplicatedMetadata;
}> {
  const b = new MetadataBench();
  const path = join(await tempDir(), 'state');
  return { b, path, machine: await b.open(path) };
}
