/** Files that are made from the code and kept beside it: written, or compared with what is there. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';

export interface GeneratedFile {
  /** Relative to the repository. */
  readonly path: string;
  readonly text: string;
}

const REPOSITORY = join(import.meta.dirname, '../..');
/** Above the annotation that plain `kubectl apply` keeps of the whole object. */
const BYTES_MAX = 262_144;

/** The first line of every such file. */
export const generatedBy = (script: string): string => `# Made by \`npm run ${script}\`.\n`;

/** YAML without anchors or folded lines, so that it reads and diffs line by line. */
export const yamlOf = (value: unknown): string =>
  stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });

/** Those whose text is not what is on disk. */
export const drifted = (files: readonly GeneratedFile[]): readonly string[] =>
  files.filter(({ path, text }) => textAt(path) !== text).map(({ path }) => path);

/**
 * Writes the files, or with `--check` only compares. Answers the exit code.
 * A file too large for plain `kubectl apply` fails both.
 */
export function settleFiles(files: readonly GeneratedFile[], args: readonly string[]): number {
  const large = files.filter(({ text }) => Buffer.byteLength(text) >= BYTES_MAX);
  for (const { path } of large) console.error(`${path}: ${BYTES_MAX} bytes or more`);
  const stale = drifted(files);
  if (args.includes('--check')) {
    for (const path of stale) console.error(`${path}: not what the code makes`);
    return large.length + stale.length > 0 ? 1 : 0;
  }
  for (const { path, text } of files) writeFileSync(join(REPOSITORY, path), text);
  return large.length > 0 ? 1 : 0;
}

function textAt(path: string): string | null {
  const file = join(REPOSITORY, path);
  return existsSync(file) ? readFileSync(file, 'utf8') : null;
}
