/**
 * A snapshot's stream made into a store of its own, beside the present one. A half-built store stands
 * for nothing and is never published.
 */
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';
import { isOutcomeKey } from '../metadata/keys.ts';
import { inLogOrder, type OutcomeRow } from '../metadata/outcomes.ts';
import { type LogPoint, NO_POINT } from '../raft/types.ts';
import type { FlushMeta } from './flush-chain.ts';
import { LevelMetadataStore } from './level-metadata-store.ts';
import { loadState, type OpenedContent } from './metadata-open.ts';
import { readSnapshot } from './metadata-snapshot.ts';
import type { OpenTable } from './table.ts';

const INSTALL_BATCH_BYTES = MIB;
const UNFINISHED: FlushMeta = { point: NO_POINT, digest: '', installed: true };

/** Builds a snapshot's state in a new folder, synced. @throws KvError `CORRUPT`. */
export async function buildContent(
  folder: string,
  options: {
    readonly point: LogPoint;
    readonly chunks: AsyncIterable<Uint8Array>;
    readonly openTable: OpenTable;
    readonly onFatal: (error: Error) => void;
  },
): Promise<OpenedContent> {
  const { point, chunks, openTable, onFatal } = options;
  const opened = await LevelMetadataStore.open({ onFatal, openTable }, folder);
  if (opened.kind === 'void') throw new KvError('CORRUPT', `a new store is void: ${opened.why}`);
  const { store } = opened;
  const outcomes: OutcomeRow[] = [];
  try {
    const contents = await readSnapshot(chunks, async (rows) => {
      for (const [key, value] of rows) {
        if (isOutcomeKey(key)) outcomes.push([key, value]);
        else store.put(key, value);
      }
      if (store.unflushedBytes >= INSTALL_BATCH_BYTES) await write(store, UNFINISHED);
    });
    if (contents.point.index !== point.index || contents.point.term !== point.term) {
      throw new KvError('CORRUPT', 'the snapshot is of another point than announced');
    }
    // A snapshot has its rows in the order of their keys.
    const logged = inLogOrder(outcomes);
    for (const [key, value] of logged) store.pushOutcome(key, value);
    const meta = { point, digest: contents.digest, installed: true };
    await write(store, meta);
    return { store, state: await loadState(store, meta, logged), meta };
  } catch (error) {
    await store.close();
    throw error;
  }
}

async function write(store: LevelMetadataStore, meta: FlushMeta): Promise<void> {
  store.freeze(meta);
  await store.writeFrozen();
}
