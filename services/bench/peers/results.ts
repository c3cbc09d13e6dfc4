/** Figures of the race: slices as they were taken, and medians over the counted rounds. */
import type { DoorName, PeerName } from './peer.ts';

/** One row on one door for some seconds. */
export interface Slice {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly operations: number;
  readonly errors: Readonly<Record<string, number>>;
  /** Of all processes of the peer together, the generator apart; null: unknown. */
  readonly cpuSeconds: number | null;
  readonly memoryBytes: number | null;
  /** Cores that programs which are no part of the race took meanwhile; null: unknown. */
  readonly otherCores: number | null;
  /** Of all acknowledged PUTs, counted or not. */
  readonly storedBytes: number;
  /** What the peer's folder grew by. */
  readonly diskBytes: number;
}

export interface RowFigures {
  readonly row: string;
  readonly door: DoorName;
  readonly perSecond: number;
  readonly perSecondLeast: number;
  readonly perSecondMost: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly errors: Readonly<Record<string, number>>;
  /** CPU seconds of 1,000 operations. */
  readonly cpuSeconds: number | null;
  readonly memoryBytes: number | null;
  readonly otherCores: number | null;
  /** Over all rounds, the dropped one included; null where nothing was stored. */
  readonly diskPerByte: number | null;
}

export interface Figures {
  readonly rows: readonly RowFigures[];
  /** Rows that a door has no figure of, and why. */
  readonly gaps: readonly Gap[];
  readonly disk: DiskLimit | null;
  readonly failOver: readonly Waits[];
  readonly restart: readonly Waits[];
  readonly restartKeys: number;
}

export interface Gap {
  readonly row: string;
  readonly door: DoorName;
  readonly why: string;
}

export interface DiskLimit {
  /** Sequential write with a sync every 16 MiB. */
  readonly bytesPerSecond: number;
}

/** Times of one kind of wait, in the order in which they were taken. */
export interface Waits {
  readonly door: DoorName;
  readonly waitsMs: readonly number[];
  readonly medianMs: number | null;
  /** Why there are fewer than asked for. */
  readonly gap: string | null;
}

/** What a column stands for. */
export interface Entry {
  readonly door: DoorName;
  readonly peer: PeerName;
  readonly version: string;
  readonly durability: string;
}

/** The middle one; of an even count the mean of the two in the middle. */
export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  return upper === undefined || lower === undefined ? null : (lower + upper) / 2;
}

/** `slices` of all rounds in order; the first is dropped where there are others. */
export function figuresOf(row: string, door: DoorName, slices: readonly Slice[]): RowFigures {
  const counted = slices.length > 1 ? slices.slice(1) : slices;
  const of = (figure: (slice: Slice) => number): number => median(counted.map(figure)) ?? 0;
  const known = (figure: (slice: Slice) => number | null): readonly number[] =>
    counted.flatMap((slice) => figure(slice) ?? []);
  const rates = counted.map(({ perSecond }) => perSecond);
  const sum = (figure: (slice: Slice) => number): number =>
    slices.reduce((total, slice) => total + figure(slice), 0);
  const stored = sum(({ storedBytes }) => storedBytes);
  const others = known(({ otherCores }) => otherCores);
  return {
    row,
    door,
    perSecond: of(({ perSecond }) => perSecond),
    perSecondLeast: Math.min(...rates),
    perSecondMost: Math.max(...rates),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    errors: addedUp(counted.map(({ errors }) => errors)),
    cpuSeconds: median(known(cpuOfThousand)),
    memoryBytes: known(({ memoryBytes }) => memoryBytes).at(-1) ?? null,
    otherCores: others.length === 0 ? null : Math.max(...others),
    diskPerByte: stored === 0 ? null : sum(({ diskBytes }) => diskBytes) / stored,
  };
}

const cpuOfThousand = ({ cpuSeconds, operations }: Slice): number | null =>
  cpuSeconds === null || operations === 0 ? null : (cpuSeconds / operations) * 1000;

function addedUp(
  all: readonly Readonly<Record<string, number>>[],
): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const errors of all) {
    for (const [why, times] of Object.entries(errors)) sums.set(why, (sums.get(why) ?? 0) + times);
  }
  return Object.fromEntries(sums);
}

export const errorCount = ({ errors }: Pick<RowFigures, 'errors'>): number =>
  Object.values(errors).reduce((sum, times) => sum + times, 0);

export function waitsOf(door: DoorName, waitsMs: readonly number[], gap: string | null): Waits {
  return { door, waitsMs, medianMs: median(waitsMs), gap };
}
