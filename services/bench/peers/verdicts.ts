/** Whether minikv holds its goals against the peers of the same run, and by how much. */
import { formatBytes, SECOND_MS } from '../../common/units.ts';
import type { DoorName } from './peer.ts';
import { errorCount, type Figures, type RowFigures, type Waits } from './results.ts';
import { ROWS } from './rows.ts';

export interface Verdict {
  readonly goal: string;
  readonly outcome: 'holds' | 'falls short' | 'not measured';
  /** The figures that say so, or what is missing. */
  readonly why: string;
}

const OURS: DoorName = 'minikv';
const ETCD: readonly DoorName[] = ['etcd', 'etcd, gRPC'];
const FILER: DoorName = 'SeaweedFS filer';
const VOLUMES: DoorName = 'SeaweedFS volumes';
const SMALL_PUTS = ['put-100b-64', 'put-100b-256', 'put-1k-64', 'put-1k-256'];
const ETCD_FACTOR = 2;
const GET_FACTOR = 1.5;
const GET_GRPC_FACTOR = 1.9;
const DISK_SHARE = 0.85;
const REDIRECT_SHARE = 0.7;
const FAIL_OVER_MS = 300;
const DISK_PER_BYTE = 3.5;
const COPIES = 3;
const MIB_ROW_BYTES = 1024 ** 2;
const RESTART_KEYS = 1_000_000;

export function verdictsOf(figures: Figures): readonly Verdict[] {
  return [
    ...SMALL_PUTS.flatMap((id) => smallPuts(figures, id)),
    ...smallGets(figures),
    missing(figures),
    ...largePuts(figures),
    ...largeGets(figures),
    ...['mix-1m-10', 'mix-1m-50'].map((id) => aboveAll(figures, id)),
    failOver(figures.failOver),
    restart(figures),
    diskUse(figures),
    memory(figures),
  ];
}

function smallPuts(figures: Figures, id: string): readonly Verdict[] {
  const ours = rowOf(figures, id, OURS);
  const etcd = best(figures, id, (door) => ETCD.includes(door));
  const tail = `${titleOf(id)}: p99 no worse than etcd's`;
  return [
    atLeast(`${titleOf(id)}: ${ETCD_FACTOR}x etcd`, ours, times(etcd, ETCD_FACTOR)),
    aboveAll(figures, id),
    ours === undefined || etcd === undefined
      ? notMeasured(tail)
      : judged(tail, ours.p99Ms <= etcd.p99Ms, [
          `${ours.p99Ms.toFixed(1)} ms against ${etcd.p99Ms.toFixed(1)} ms`,
          percentOver(ours.p99Ms, etcd.p99Ms),
        ]),
  ];
}

function smallGets(figures: Figures): readonly Verdict[] {
  const id = 'get-1k-64';
  const ours = rowOf(figures, id, OURS);
  const grpc = best(figures, id, (door) => door === 'etcd, gRPC');
  const fastest = `${titleOf(id)}: ${GET_FACTOR}x the fastest peer`;
  return [
    atLeast(fastest, ours, times(best(figures, id, isPeer), GET_FACTOR)),
    atLeast(
      `${titleOf(id)}: ${GET_GRPC_FACTOR}x etcd's native client`,
      ours,
      times(grpc, GET_GRPC_FACTOR),
    ),
  ];
}

function missing(figures: Figures): Verdict {
  const ours = rowOf(figures, 'miss-1k-64', OURS);
  const fastest = best(figures, 'get-1k-64', isPeer);
  const goal = `${titleOf('miss-1k-64')}: ${GET_FACTOR}x the fastest peer's GET of 1 KiB`;
  return atLeast(goal, ours, times(fastest, GET_FACTOR));
}

function largePuts(figures: Figures): readonly Verdict[] {
  const id = 'put-1m-16';
  const { disk } = figures;
  const limit =
    disk === null
      ? undefined
      : {
          perSecond: (disk.bytesPerSecond / COPIES / MIB_ROW_BYTES) * DISK_SHARE,
          name: `${DISK_SHARE * 100} % of ${formatBytes(disk.bytesPerSecond)}/s over three copies`,
        };
  const goal = `${titleOf(id)}: ${DISK_SHARE * 100} % of the disk's limit`;
  return [atLeast(goal, rowOf(figures, id, OURS), limit), aboveAll(figures, id)];
}

function largeGets(figures: Figures): readonly Verdict[] {
  const id = 'get-1m-16';
  const share = `${REDIRECT_SHARE * 100} % of SeaweedFS' volumes`;
  return [
    atLeast(
      `${titleOf(id)}: SeaweedFS' filer`,
      rowOf(figures, id, OURS),
      times(rowOf(figures, id, FILER), 1),
    ),
    atLeast(
      `${titleOf(id)}, by redirect: ${share}`,
      rowOf(figures, id, 'minikv, redirect'),
      times(rowOf(figures, id, VOLUMES), REDIRECT_SHARE),
    ),
  ];
}

function aboveAll(figures: Figures, id: string): Verdict {
  const ours = rowOf(figures, id, OURS);
  return atLeast(`${titleOf(id)}: above every peer`, ours, times(best(figures, id, isPeer), 1));
}

function failOver(waits: readonly Waits[]): Verdict {
  const goal = `median of fail-over: under ${FAIL_OVER_MS} ms`;
  const ours = waits.find(({ door }) => door === OURS)?.medianMs ?? null;
  if (ours === null) return notMeasured(goal);
  return judged(goal, ours < FAIL_OVER_MS, [`${Math.round(ours)} ms`]);
}

function restart({ restart: waits, restartKeys }: Figures): Verdict {
  const goal = 'restart: first linearizable read in under 1 s';
  const ours = waits.find(({ door }) => door === OURS)?.medianMs ?? null;
  if (ours === null) return notMeasured(goal);
  const keys = restartKeys.toLocaleString('en-US');
  const full = restartKeys < RESTART_KEYS ? '; the goal is of 1,000,000' : '';
  return judged(goal, ours < SECOND_MS, [`${Math.round(ours)} ms with ${keys} keys${full}`]);
}

function diskUse(figures: Figures): Verdict {
  const goal = `disk bytes per stored byte, 1 KiB: at most ${DISK_PER_BYTE}`;
  const ours = rowOf(figures, 'put-1k-64', OURS)?.diskPerByte ?? null;
  if (ours === null) return notMeasured(goal);
  return judged(goal, ours <= DISK_PER_BYTE, [ours.toFixed(2)]);
}

/** After the rows of 1 KiB, all processes of each. */
function memory(figures: Figures): Verdict {
  const goal = "memory after PUTs of 1 KiB: at most SeaweedFS'";
  const id = 'put-1k-64';
  const ours = rowOf(figures, id, OURS)?.memoryBytes ?? null;
  const theirs = rowOf(figures, id, VOLUMES)?.memoryBytes ?? null;
  if (ours === null || theirs === null) return notMeasured(goal);
  const against = `${formatBytes(ours)} against ${formatBytes(theirs)}`;
  return judged(goal, ours <= theirs, [against, percentOver(ours, theirs)]);
}

interface Bar {
  readonly perSecond: number;
  readonly name: string;
}

function atLeast(goal: string, ours: RowFigures | undefined, bar: Bar | undefined): Verdict {
  if (ours === undefined || bar === undefined) return notMeasured(goal);
  const errors = errorCount(ours);
  if (errors > 0) return { goal, outcome: 'falls short', why: `${errors} errors` };
  const share = ours.perSecond / bar.perSecond;
  const says = `${rate(ours.perSecond)}/s against ${rate(bar.perSecond)}/s (${bar.name})`;
  return judged(goal, share >= 1, [says, `${((1 - share) * 100).toFixed(0)} % less`]);
}

/** `why` says the figures, and then by how much they fall short. */
const judged = (goal: string, holds: boolean, [says, short]: readonly string[]): Verdict => ({
  goal,
  outcome: holds ? 'holds' : 'falls short',
  why: holds || short === undefined ? (says ?? '') : `${says ?? ''}: ${short}`,
});

const notMeasured = (goal: string): Verdict => ({
  goal,
  outcome: 'not measured',
  why: 'this run has no figure of it',
});

const times = (row: RowFigures | undefined, factor: number): Bar | undefined =>
  row && {
    perSecond: row.perSecond * factor,
    name: factor === 1 ? row.door : `${factor} x ${row.door}`,
  };

const isPeer = (door: DoorName): boolean => !door.startsWith(OURS) || door === 'minikv (Rust)';

const rowOf = ({ rows }: Figures, id: string, door: DoorName): RowFigures | undefined =>
  rows.find((row) => row.row === id && row.door === door);

/** The fastest of some doors; one with errors has no rate to compare with. */
function best(
  { rows }: Figures,
  id: string,
  among: (door: DoorName) => boolean,
): RowFigures | undefined {
  return rows
    .filter((row) => row.row === id && among(row.door) && errorCount(row) === 0)
    .reduce<RowFigures | undefined>(
      (top, row) => (top === undefined || row.perSecond > top.perSecond ? row : top),
      undefined,
    );
}

const titleOf = (id: string): string => ROWS.find((row) => row.id === id)?.title ?? id;

const percentOver = (ours: number, theirs: number): string =>
  `${((ours / theirs - 1) * 100).toFixed(0)} % more`;

/** Rates for eyes: three figures of small ones, no fraction of large ones. */
export function rate(perSecond: number): string {
  if (perSecond >= 100) return Math.round(perSecond).toLocaleString('en-US');
  return perSecond.toPrecision(3);
}
