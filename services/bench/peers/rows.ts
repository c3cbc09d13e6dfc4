/** The rows of the race: what is asked for, of which size, over how many connections. */
import { formatBytes, KIB, MIB } from '../../common/units.ts';
import type { Workload } from '../load/process.ts';

export interface Row {
  readonly id: string;
  readonly title: string;
  readonly workload: Workload;
  readonly sizeBytes: number;
  readonly connections: number;
  /** Keys that GETs read from. */
  readonly keys: number;
  /** Rows of one group share a life of the peers, on folders that begin empty. */
  readonly group: string;
}

const KEYS_MAX = 4000;
const KEY_BYTES_MAX = 256 * MIB;
const NAMES: Readonly<Record<Workload, string>> = {
  put: 'PUT',
  get: 'GET',
  miss: 'GET of a missing key',
  mix: '90 % PUT + 10 % GET of',
};
/** From here on a group has one row of PUTs, because it fills the disk. */
const LARGE_BYTES = MIB;

function row(workload: Workload, sizeBytes: number, connections: number): Row {
  const size = formatBytes(sizeBytes).replace('.0 ', ' ');
  const isLarge = sizeBytes >= LARGE_BYTES;
  const what = workload === 'miss' ? NAMES.miss : `${NAMES[workload]} ${size}`;
  const mixed = workload === 'mix' ? `-mix-${connections}` : '';
  return {
    id: `${workload}-${size.replace(' ', '').replace('iB', '').toLowerCase()}-${connections}`,
    title: `${what}, ${connections} connection${connections === 1 ? '' : 's'}`,
    workload,
    sizeBytes,
    connections,
    keys: Math.min(KEYS_MAX, Math.floor(KEY_BYTES_MAX / sizeBytes)),
    group: isLarge ? `${size}${mixed}` : 'small',
  };
}

export const ROWS: readonly Row[] = [
  row('put', KIB, 64),
  row('put', KIB, 256),
  row('put', 100, 64),
  row('put', 100, 256),
  row('get', KIB, 64),
  row('miss', KIB, 64),
  row('put', KIB, 1),
  row('put', KIB, 32),
  row('get', KIB, 1),
  row('get', KIB, 32),
  row('get', KIB, 256),
  row('get', 100, 64),
  row('put', 16 * KIB, 64),
  row('get', 16 * KIB, 64),
  row('put', MIB, 16),
  row('get', MIB, 16),
  row('mix', MIB, 10),
  row('mix', MIB, 50),
  row('put', 16 * MIB, 4),
  row('get', 16 * MIB, 4),
];

export const QUICK_ROWS: readonly string[] = [
  'put-1k-64',
  'put-100b-64',
  'get-1k-64',
  'miss-1k-64',
  'put-1m-16',
  'get-1m-16',
];

/** Rows whose id begins with one of `wanted`. @throws RangeError for a word that names none. */
export function rowsNamed(wanted: readonly string[]): readonly Row[] {
  for (const word of wanted) {
    if (ROWS.some(({ id }) => isNamed(id, word))) continue;
    throw new RangeError(`no row begins with ${word}: ${ROWS.map(({ id }) => id).join(', ')}`);
  }
  return ROWS.filter(({ id }) => wanted.some((word) => isNamed(id, word)));
}

/** Whole words alone: `put-1` is none of `put-1k-64`. */
const isNamed = (id: string, word: string): boolean => id === word || id.startsWith(`${word}-`);

/** Rows by group, in the order of the table. */
export function groupsOf(rows: readonly Row[]): readonly (readonly Row[])[] {
  return [...Map.groupBy(rows, ({ group }) => group).values()];
}
