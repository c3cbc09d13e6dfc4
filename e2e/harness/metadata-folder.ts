import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the present LevelDB of the coordinator with this data folder is. */
export async function metadataFolder(dataDir: string): Promise<string> {
  const state = join(dataDir, 'state');
  return join(state, (await readFile(join(state, 'metadata.current'), 'utf8')).trim());
}
