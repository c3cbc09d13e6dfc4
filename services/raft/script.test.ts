/**
 * Goal: each known way of getting Raft wrong stays a story that can be read. Method: every file in
 * testdata/ is run by services/testing/raft-script.ts and its answers are compared with those in the
 * file. UPDATE=1 writes the present answers instead; read the difference before committing it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { RaftScript } from '../testing/raft-script.ts';

const FOLDER = join(import.meta.dirname, 'testdata');
const REWRITE = process.env['UPDATE'] === '1';

/** Comments and commands stay; an answer (`> ...`) is replaced by the one given now. */
function replay(text: string): string {
  const script = new RaftScript();
  const lines: string[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('> ')) continue;
    lines.push(line);
    if (line === '' || line.startsWith('#')) continue;
    for (const answer of script.run(line)) lines.push(`> ${answer}`);
  }
  return lines.join('\n');
}

test.each(readdirSync(FOLDER).filter((name) => name.endsWith('.txt')))('%s', (name) => {
  const path = join(FOLDER, name);
  const text = readFileSync(path, 'utf8');
  const replayed = replay(text);
  if (REWRITE) writeFileSync(path, replayed);
  else expect(replayed).toBe(text);
});
