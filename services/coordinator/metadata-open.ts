/**
 * How the stored metadata comes to be trusted at start: LevelDB's files are verified before LevelDB
 * sees them, then its flush chain, then every row that is loaded. Whatever fails, the table goes as a
 * whole and an empty one takes its place by one rename; log and snapshots rebuild it.
 */
import { KvError } from '../common/errors.ts';
import type { Disk } from '../disk/disk.ts';
import { MetadataState } from '../metadata/apply.ts';
import { TABLE } from '../metadata/keys.ts';
import type { OutcomeRow } from '../metadata/outcomes.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { CounterMetric } from '../telemetry/metrics.ts';
import type { FlushMeta } from './flush-chain.ts';
import { damageOf, LevelMetadataStore } from './level-metadata-store.ts';
import { type MetadataDamage, reportMetadataDamage } from './metadata-damage.ts';
import type { MetadataFolder } from './metadata-folder.ts';
import type { OpenTable } from './table.ts';
import { findBadTable } from './table-file.ts';
import type { TableRow } from './table-rows.ts';

const LOAD_PAGE_ROWS = 10_000;
/** Tables of which `MetadataState.load` wants every row besides the outcomes: all others are read on demand. */
const LOADED_TABLES: readonly number[] = [
  TABLE.idempotency,
  TABLE.disk,
  TABLE.pin,
  TABLE.marks,
  TABLE.cluster,
  TABLE.counters,
];

export interface OpenParts {
  readonly disk: Disk;
  readonly openTable: OpenTable;
  readonly logger: Logger;
  readonly damage: CounterMetric;
}

export interface OpenedContent {
  readonly store: LevelMetadataStore;
  readonly state: MetadataState;
  readonly meta: FlushMeta | null;
}

/** The present table; one that cannot be trusted is thrown away first, and said so. */
export async function openTrusted(
  parts: OpenParts,
  folder: MetadataFolder,
  onFatal: (error: Error) => void,
): Promise<OpenedContent> {
  let opened = folder.found ?? (await openCurrent(parts, folder, onFatal));
  if (!('damage' in opened)) return opened;
  reportMetadataDamage(parts, opened);
  if (folder.found === null) await folder.remove(await folder.condemnCurrent());
  opened = await openCurrent(parts, folder, onFatal);
  if ('damage' in opened) throw new KvError('CORRUPT', `an empty store is void: ${opened.why}`);
  return opened;
}

async function openCurrent(
  { disk, openTable }: OpenParts,
  folder: MetadataFolder,
  onFatal: (error: Error) => void,
): Promise<OpenedContent | MetadataDamage> {
  const bad = await findBadTable(disk, folder.current);
  if (bad !== null) return { damage: 'table_file', why: `${bad.file}: ${bad.why}` };
  const opened = await LevelMetadataStore.open({ onFatal, openTable }, folder.current);
  if (opened.kind === 'void') return opened;
  const { store, meta, outcomes } = opened;
  try {
    return { store, meta, state: await loadState(store, meta, outcomes) };
  } catch (thrown) {
    await store.close();
    return damageOf(thrown);
  }
}

/** What `MetadataState` keeps in memory, read from the store. @throws KvError `CORRUPT`. */
export async function loadState(
  store: LevelMetadataStore,
  meta: FlushMeta | null,
  outcomes: Iterable<OutcomeRow>,
): Promise<MetadataState> {
  if (meta === null) return MetadataState.empty(store);
  const view = store.view();
  const rows: TableRow[] = [];
  try {
    for (const first of LOADED_TABLES) {
      let next: Uint8Array = Uint8Array.of(first);
      while (true) {
        const page = await view.range(next, Uint8Array.of(first + 1), LOAD_PAGE_ROWS);
        rows.push(...page);
        const last = page.at(-1);
        if (last === undefined) break;
        next = Uint8Array.of(...last[0], 0);
      }
    }
  } finally {
    await view.close();
  }
  return MetadataState.load(store, { rows, outcomes }, meta.digest);
}
