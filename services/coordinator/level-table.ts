/** LevelDB as the table under the metadata. */
import { Level } from 'level';
import { MIB } from '../common/units.ts';
import type { OpenTable } from './table.ts';

const CACHE_BYTES = 64 * MIB;
/** The flush chain counts on this size. */
const WRITE_BUFFER_BYTES = 4 * MIB;

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
    return table;
  } catch (error) {
    await table.close().catch(() => undefined);
    throw error;
  }
};
