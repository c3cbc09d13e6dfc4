/**
 * The race: row by row, in interleaved rounds, each peer through each of its doors for some seconds,
 * under one load generator. Groups of rows share a life of the peers; what a group has written is gone
 * before the next one begins.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { asError } from '../../common/errors.ts';
import { formatBytes, GIB, MINUTE_MS, SECOND_MS } from '../../common/units.ts';
import { LoadGenerator } from '../load/generator.ts';
import { type LoadPlan, SPACES_PER_PLAN } from '../load/process.ts';
import { sampleCpu } from '../probe.ts';
import { type Member, type Running, type Stage, withCast } from './cast.ts';
import {
  diskBytesOf,
  freeBytes,
  otherCoresOf,
  programsCpu,
  proportionalBytes,
  settleDisk,
  writeLimit,
} from './machine.ts';
import type { Door } from './peer.ts';
import { figuresOf, type Gap, median, type RowFigures, type Slice } from './results.ts';
import { groupsOf, type Row } from './rows.ts';

export interface RaceOptions {
  readonly rows: readonly Row[];
  /** Counted; one more comes before them and is dropped. */
  readonly rounds: number;
  readonly seconds: number;
  /** Load on each door before the first row of a group. */
  readonly warmUpSeconds: number;
  /** Turns that may be taken once more because of other work. */
  readonly retakes: number;
}

export interface RaceFigures {
  readonly rows: readonly RowFigures[];
  readonly gaps: readonly Gap[];
  /** Bytes a second of sequential synced writes, as it was beside the rows of large PUTs; null: none. */
  readonly diskBytesPerSecond: number | null;
}

/** One door of one running peer. */
interface Entrant {
  readonly running: Running;
  readonly door: Door;
}

/** Load before a slice counts: connections are open and caches are this peer's again. */
const SETTLE_MS = SECOND_MS;
/** Above it a slice is taken once more: what it measured is not the peer alone. */
const OTHER_CORES_MAX = 0.15;
/** A store that cannot take the keys of a row in this time has no figure of it. */
const FILL_MS_MAX = 2 * MINUTE_MS;
const VERIFIED_KEYS = 200;
const FREE_BYTES_MIN = 30 * GIB;
const WARM_UP_CONNECTIONS = 64;
const DISK_LIMIT_ROW = 'put-1m-16';

export async function runRace(
  members: readonly Member[],
  options: RaceOptions,
  stage: Stage,
): Promise<RaceFigures> {
  const rows: RowFigures[] = [];
  const gaps: Gap[] = [];
  const diskRates: number[] = [];
  for (const group of groupsOf(options.rows)) {
    const free = await freeBytes(stage.folder);
    if (group.some(({ group: name }) => name !== 'small') && free < FREE_BYTES_MIN) {
      stage.say(`only ${formatBytes(free)} are free: rows of large values may fill the disk`);
    }
    await withCast(members, stage, async (cast) => {
      const race = new GroupRace(cast, options, stage);
      await race.warmUp(group);
      for (const row of group) {
        rows.push(...(await race.runRow(row)));
      }
      gaps.push(...race.gaps);
      diskRates.push(...race.diskRates);
    });
  }
  return { rows, gaps, diskBytesPerSecond: median(diskRates) };
}

class GroupRace {
  readonly gaps: Gap[] = [];
  readonly diskRates: number[] = [];
  readonly #entrants: readonly Entrant[];
  readonly #options: RaceOptions;
  readonly #stage: Stage;
  #retakes: number;
  /** The next free space of keys of each peer; its doors share one. */
  readonly #spaces = new Map<Running, number>();

  constructor(cast: readonly Running[], options: RaceOptions, stage: Stage) {
    this.#entrants = cast.flatMap((running) => running.doors.map((door) => ({ running, door })));
    this.#options = options;
    this.#retakes = options.retakes;
    this.#stage = stage;
  }

  /** Each door under PUTs of the group's first size: caches fill, and what compiles itself does so. */
  async warmUp([first]: readonly Row[]): Promise<void> {
    const { warmUpSeconds } = this.#options;
    if (first === undefined || warmUpSeconds === 0) return;
    const connections = Math.min(WARM_UP_CONNECTIONS, first.connections);
    this.#stage.say(`warm-up of ${first.group}: ${warmUpSeconds} s each ...`);
    for (const entrant of this.#entrants) {
      if (!takes(entrant.door, first) || entrant.door.isFor !== undefined) continue;
      await this.#warm(entrant, { ...first, connections }).catch((error: unknown) => {
        this.#stage.signal.throwIfAborted();
        this.#stage.say(`  ${entrant.door.name} is not warm: ${asError(error).message}`);
      });
    }
    await settleDisk();
  }

  async #warm(entrant: Entrant, row: Row): Promise<void> {
    const generator = await this.#generator(entrant, row);
    try {
      generator.run('put');
      await generator.begin();
      await this.#pause(this.#options.warmUpSeconds * SECOND_MS);
      await generator.end();
    } finally {
      generator.stop();
    }
  }

  async runRow(row: Row): Promise<readonly RowFigures[]> {
    const { rounds } = this.#options;
    const generators = new Map<Entrant, LoadGenerator>();
    const slices = new Map<Entrant, Slice[]>();
    try {
      for (const entrant of this.#entrants) {
        const { valueBytesMax, isFor = () => true } = entrant.door;
        if (!isFor(row)) continue;
        if (!takes(entrant.door, row)) {
          this.#gap(row, entrant, `it refuses values over ${formatBytes(valueBytesMax ?? 0)}`);
          continue;
        }
        await this.#try(row, entrant, async () => {
          const generator = await this.#generator(entrant, row);
          generators.set(entrant, generator);
          if (row.workload !== 'get' && row.workload !== 'mix') return;
          await generator.fill(row.keys, FILL_MS_MAX).catch((error: unknown) => {
            generator.stop();
            throw error;
          });
        });
      }
      await settleDisk();
      for (let round = 0; round <= rounds; round += 1) {
        const name = round === 0 ? 'not counted' : `round ${round} of ${rounds}`;
        this.#stage.say(`${row.title}: ${name} ...`);
        if (row.id === DISK_LIMIT_ROW) this.#probeDisk();
        for (const entrant of rotated([...generators.keys()], round)) {
          const generator = generators.get(entrant);
          if (generator === undefined || this.#isOut(row, entrant)) continue;
          await this.#try(row, entrant, async () => {
            const slice = await this.#calmSlice(row, entrant, generator);
            slices.set(entrant, [...(slices.get(entrant) ?? []), slice]);
          });
        }
      }
    } finally {
      for (const generator of generators.values()) generator.stop();
    }
    return [...slices].flatMap(([entrant, all]) =>
      this.#isOut(row, entrant) ? [] : figuresOf(row.id, entrant.door.name, all),
    );
  }

  #probeDisk(): void {
    this.diskRates.push(writeLimit(this.#stage.folder, this.#options.seconds));
  }

  /** Once more where other programs were at work. */
  async #calmSlice(row: Row, entrant: Entrant, generator: LoadGenerator): Promise<Slice> {
    const slice = await this.#slice(row, entrant, generator);
    if ((slice.otherCores ?? 0) <= OTHER_CORES_MAX || this.#retakes === 0) return slice;
    this.#retakes -= 1;
    this.#stage.say(
      `  other programs took ${slice.otherCores?.toFixed(2) ?? '?'} cores: once more`,
    );
    return this.#slice(row, entrant, generator);
  }

  async #slice(row: Row, { running, door }: Entrant, generator: LoadGenerator): Promise<Slice> {
    const { pids } = running.processes;
    const ours = new Set([process.pid, generator.pid]);
    for (const entrant of this.#entrants) {
      for (const pid of entrant.running.processes.pids) ours.add(pid);
    }
    const diskBefore = await diskBytesOf(running.site.folder);
    generator.run(row.workload);
    await this.#pause(SETTLE_MS);
    const others = await programsCpu();
    const cpuBefore = await sampleCpu(pids);
    await generator.begin();
    await this.#pause(this.#options.seconds * SECOND_MS);
    const cpuAfter = await sampleCpu(pids);
    const othersAfter = await programsCpu();
    const ended = await generator.end();
    const { seconds } = ended;
    const otherCores = otherCoresOf(others, othersAfter, { ours, seconds });
    const stores = row.workload === 'put' || row.workload === 'mix';
    const verified = stores ? await generator.verify(VERIFIED_KEYS) : null;
    const errors = { ...ended.errors };
    for (const [why, times] of Object.entries(verified?.errors ?? {})) {
      errors[`read back: ${why}`] = times;
    }
    const slice: Slice = {
      perSecond: ended.operations / seconds,
      p50Ms: ended.p50Ms,
      p99Ms: ended.p99Ms,
      operations: ended.operations,
      errors,
      cpuSeconds: spent(cpuBefore.secondsByPid, cpuAfter.secondsByPid),
      memoryBytes: sumKnown(await Promise.all(pids.map(proportionalBytes))),
      otherCores,
      storedBytes: stores ? ended.acknowledged * row.sizeBytes : 0,
      diskBytes: stores ? (await diskBytesOf(running.site.folder)) - diskBefore : 0,
    };
    this.#stage.say(`  ${door.name}: ${Math.round(slice.perSecond).toLocaleString('en-US')}/s`);
    if (stores) await settleDisk();
    return slice;
  }

  async #generator({ running, door }: Entrant, row: Row): Promise<LoadGenerator> {
    const firstSpace = this.#spaces.get(running) ?? 0;
    this.#spaces.set(running, firstSpace + SPACES_PER_PLAN);
    const { connections, sizeBytes, keys } = row;
    const plan: LoadPlan = {
      targets: door.targets,
      dialect: door.dialect,
      ...{ connections, sizeBytes, keys, firstSpace },
    };
    return LoadGenerator.start(plan, door.generator);
  }

  /** What fails of one peer leaves it out of the row, and the others go on. */
  async #try(row: Row, entrant: Entrant, work: () => Promise<void>): Promise<void> {
    const death = await entrant.running.processes.death();
    if (death !== null) {
      this.#gap(row, entrant, death);
      return;
    }
    try {
      await work();
    } catch (error) {
      this.#stage.signal.throwIfAborted();
      this.#gap(row, entrant, asError(error).message);
    }
  }

  #gap(row: Row, { door }: Entrant, why: string): void {
    this.#stage.say(`  ${door.name} has no figure: ${why}`);
    this.gaps.push({ row: row.id, door: door.name, why });
  }

  #isOut(row: Row, { door }: Entrant): boolean {
    return this.gaps.some((gap) => gap.row === row.id && gap.door === door.name);
  }

  #pause(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.#stage.signal });
  }
}

const takes = ({ valueBytesMax }: Door, { sizeBytes }: Row): boolean =>
  valueBytesMax === undefined || sizeBytes <= valueBytesMax;

/** Each round begins with another one, so that none always follows the same. */
function rotated<T>(all: readonly T[], by: number): readonly T[] {
  const at = all.length === 0 ? 0 : by % all.length;
  return [...all.slice(at), ...all.slice(0, at)];
}

function spent(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number | null {
  if (after.size === 0) return null;
  let seconds = 0;
  for (const [pid, now] of after) seconds += now - (before.get(pid) ?? 0);
  return seconds;
}

const sumKnown = (values: readonly (number | null)[]): number | null =>
  values.some((value) => value === null)
    ? null
    : values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
