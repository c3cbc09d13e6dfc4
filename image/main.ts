/** Writes the tree of the image into a folder, after a build: `node image/main.ts FOLDER`. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeImageFiles } from './files.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node image/main.ts FOLDER');
mkdirSync(folder, { recursive: true });
writeImageFiles(folder, join(import.meta.dirname, '../dist'));
