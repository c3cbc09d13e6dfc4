import { join } from 'node:path';
import { describeTable } from '../testing/table-conformance.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import { openLevelTable } from './level-table.ts';

describeTable('LevelDB', async () => ({
  openTable: openLevelTable,
  folder: join(await tempDir(), 'table'),
  cleanUp: removeTempDirs,
}));
