/**
 * A folder tree as keys. The names below the folder are the key's bytes after the prefix; a key that
 * could lead out of the folder, or that is no name, is never made into a path.
 */
import { isUtf8 } from 'node:buffer';
import { lstat, mkdir, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { asError, KvError } from '../common/errors.ts';

/** Content types of what is no file; a folder's key ends in a slash as well. */
export const LINK_TYPE = 'inode/symlink';
export const FOLDER_TYPE = 'inode/directory';

/** Where an export keeps unfinished files: on the same file system, gone at its end. */
export const PARTS_FOLDER = '.minikv-export';

export type Entry =
  | { readonly kind: 'file'; readonly name: string; readonly bytes: number; readonly mode: number }
  | { readonly kind: 'link'; readonly name: string; readonly target: string }
  | { readonly kind: 'empty-folder'; readonly name: string }
  | { readonly kind: 'skipped'; readonly name: string; readonly why: string }
  /** Something that should be kept and cannot be read. */
  | { readonly kind: 'failed'; readonly name: string; readonly error: Error };

/** A prefix names a folder of keys: it ends in a slash, or is empty. */
export const folderPrefix = (prefix: string): string =>
  prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;

/**
 * Everything below a folder in a stable order; names use `/` and are relative to it.
 * @throws what keeps the folder itself from being listed.
 */
export async function* walk(folder: string): AsyncGenerator<Entry> {
  yield* walkNames(folder, '', await namesIn(folder));
}

async function* walkNames(
  folder: string,
  below: string,
  names: readonly Name[],
): AsyncGenerator<Entry> {
  for (const { text, isText } of names) {
    const inner = below === '' ? text : `${below}/${text}`;
    if (inner === PARTS_FOLDER) continue;
    const entry = isText ? await entryOf(folder, inner) : notText(inner);
    if (entry === 'folder') yield* walkBelow(folder, inner);
    else yield entry;
  }
}

/** A folder that cannot be listed, such as `lost+found`, is one failure among the others. */
async function* walkBelow(folder: string, name: string): AsyncGenerator<Entry> {
  const names = await namesIn(join(folder, name)).catch(asError);
  if (names instanceof Error) yield { kind: 'failed', name, error: names };
  else if (names.length === 0) yield { kind: 'empty-folder', name };
  else yield* walkNames(folder, name, names);
}

interface Name {
  readonly text: string;
  /** False: its bytes are no UTF-8, and `text` shows them only. */
  readonly isText: boolean;
}

async function namesIn(path: string): Promise<readonly Name[]> {
  const names = await readdir(path, { encoding: 'buffer' });
  return names
    .map((bytes) => ({ text: bytes.toString('utf8'), isText: isUtf8(bytes) }))
    .sort((a, b) => (a.text < b.text ? -1 : 1));
}

const notText = (name: string): Entry => ({
  kind: 'failed',
  name,
  error: new KvError('INVALID_KEY', 'its name is not UTF-8'),
});

async function entryOf(folder: string, name: string): Promise<Entry | 'folder'> {
  try {
    return await readEntry(join(folder, name), name);
  } catch (error) {
    return { kind: 'failed', name, error: asError(error) };
  }
}

async function readEntry(path: string, name: string): Promise<Entry | 'folder'> {
  const facts = await lstat(path);
  if (facts.isDirectory()) return 'folder';
  if (facts.isSymbolicLink()) return { kind: 'link', name, target: await readlink(path) };
  if (facts.isFile()) return { kind: 'file', name, bytes: facts.size, mode: facts.mode & 0o777 };
  return { kind: 'skipped', name, why: 'it is neither file, folder nor link' };
}

const NAME_BYTES_MAX = 255;

/**
 * The segments of a key's name below the folder; a trailing slash (a folder) is left out.
 * @throws KvError `INVALID_KEY` for a key that is absolute, has `.`, `..` or empty segments, or a
 * segment that no file can be called.
 */
export function segmentsOf(name: string): readonly string[] {
  const segments = (name.endsWith('/') ? name.slice(0, -1) : name).split('/');
  for (const segment of segments) {
    if (segment === '' || segment === '.' || segment === '..') {
      throw new KvError(
        'INVALID_KEY',
        `a file cannot be called ${JSON.stringify(name)}: it would leave the folder`,
      );
    }
    if (Buffer.byteLength(segment) > NAME_BYTES_MAX) {
      throw new KvError('INVALID_KEY', `a file name has at most ${NAME_BYTES_MAX} bytes`);
    }
  }
  if (segments[0] === PARTS_FOLDER) {
    throw new KvError('INVALID_KEY', `${PARTS_FOLDER} is the folder of unfinished exports`);
  }
  return segments;
}

/** Makes folders below a root, and refuses to pass through anything there that is not one. */
export class FolderMaker {
  readonly #root: string;
  readonly #made = new Map<string, Promise<string>>();

  constructor(root: string) {
    this.#root = root;
  }

  /** The path of the folder, which exists. @throws KvError `INVALID_ARGUMENT` at a link or a file. */
  make(segments: readonly string[]): Promise<string> {
    const name = segments.join('/');
    let made = this.#made.get(name);
    if (made === undefined) {
      made = this.#makeNew(segments);
      this.#made.set(name, made);
    }
    return made;
  }

  async #makeNew(segments: readonly string[]): Promise<string> {
    const last = segments.at(-1);
    if (last === undefined) return this.#root;
    const path = join(await this.make(segments.slice(0, -1)), last);
    await mkdir(path).catch(() => undefined);
    const facts = await lstat(path);
    if (facts.isDirectory()) return path;
    throw new KvError('INVALID_ARGUMENT', `${segments.join('/')} is there and is not a folder`);
  }
}
