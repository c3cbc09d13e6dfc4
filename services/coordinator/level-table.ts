/** LevelDB as the table under the metadata. */
import { Level } from 'level';
import { KvError } from '../common/errors.ts';
import { MIB } from '../common/units.ts';
import type { OpenTable, Table } from './table.ts';

const CACHE_BYTES = 64 * MIB;
/** The flush chain counts on this size. */
const WRITE_BUFFER_BYTES = 4 * MIB;

/** What the types of `level`, made for browsers too, leave out. */
type Sized = Pick<Table, 'approximateSize'>;

const isSized = <T extends object>(table: T): table is T & Sized => 'approximateSize' in table;

export const openLevelTable: OpenTable = async (folder) => {
  const table = new Level<Uint8Array, Uint8Array>(folder, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    cacheSize: CACHE_BYTES,
    writeBufferSize: WRITE_BUFFER_BYTES,
    compression: false,
  });
  try {
    await table.open();
    if (!isSized(table)) throw new KvError('INTERNAL', 'this LevelDB tells no sizes');
    return table;
  } catch (error) {
    await table.close().catch(() => undefined);
    throw error;
  }
};
