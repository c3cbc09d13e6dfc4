/**
 * What takes long to make is kept in a folder named by the hash of everything it is made from, so
 * that it is made once, and a change of any input makes it anew beside the old one.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { join, relative } from 'node:path';

/** Kept of each kind besides the one in use: switching between two branches builds nothing. */
const OLDER_KEPT = 2;

/** The folder of all that is kept between two clusters; nothing else is in it. */
export function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  return join(base, 'minikv-kubernetes');
}

/** One hash of texts and of the files of folders; names within a folder count as well as bytes. */
export function hashOf(texts: readonly string[], folders: readonly string[] = []): string {
  const hash = createHash('sha256');
  for (const text of texts) hash.update(`${text}\n`);
  for (const folder of folders) {
    for (const path of filesUnder(folder)) {
      hash.update(`${relative(folder, path)}\n`).update(readFileSync(path));
    }
  }
  return hash.digest('hex').slice(0, 16);
}

/**
 * Answers the kept folder of a kind and hash, or lets `make` fill one: a folder is seen under its
 * name only when `make` has ended, so that work that was broken off is never taken for whole.
 */
export async function kept(
  kind: string,
  hash: string,
  make: (folder: string) => Promise<void>,
  base: string = cacheFolder(),
): Promise<string> {
  const folder = join(base, `${kind}-${hash}`);
  if (!existsSync(folder)) {
    const unfinished = `${folder}.${process.pid}.unfinished`;
    mkdirSync(unfinished, { recursive: true });
    try {
      await make(unfinished);
      renameSync(unfinished, folder);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const now = new Date();
  utimesSync(folder, now, now);
  forgetOlder(base, kind);
  return folder;
}

function forgetOlder(base: string, kind: string): void {
  const names = readdirSync(base).filter((name) => /^.+-[0-9a-f]{16}$/.exec(name));
  const folders = names
    .filter((name) => name.slice(0, name.lastIndexOf('-')) === kind)
    .map((name) => join(base, name))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  for (const old of folders.slice(1 + OLDER_KEPT)) rmSync(old, { recursive: true, force: true });
}

/** The files of a folder and of the folders within it, in a fixed order. */
function filesUnder(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.map((entry) => join(entry.parentPath, entry.name)).sort();
}
