/** Small text files outside of the data folders: the settings file and the termination log. */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** The whole text of a file; follows symbolic links, rejects when there is no such file. */
export const readTextFile = (path: string): Promise<string> => readFile(path, 'utf8');

/** The last words of a process, where its supervisor looks for them; a failure to write changes nothing. */
export function writeTerminationLog(path: string | null, words: string): void {
  if (path === null) return;
  try {
    writeFileSync(path, words);
  } catch {
    // The same words stand on stderr.
  }
}
