/**
 * `minikv export`: keys below a prefix become a folder tree. Every file is checked by BLAKE3 before it
 * gets its name; links are made last and never written through, so that no key leads out of the folder.
 */
import { lstat, mkdir, readlink, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListedEntry } from '../../api/kv.ts';
import type { FoundValue, KvClient } from '../../client/kv-client.ts';
import { concatBytes, textOf } from '../../common/bytes.ts';
import { KvError } from '../../common/errors.ts';
import { digestOfFile, writeFileWhole } from '../files.ts';
import { newTally, type Tally } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { type Job, type Moved, runJobs } from '../transfer.ts';
import { FolderMaker, folderPrefix, LINK_TYPE, PARTS_FOLDER, segmentsOf } from '../tree.ts';

export interface ExportOptions {
  readonly prefix: string;
  readonly folder: string;
  readonly concurrency: number;
}

export async function exportTree(
  client: KvClient,
  terminal: Terminal,
  options: ExportOptions,
): Promise<Tally> {
  const { folder, concurrency } = options;
  const prefix = folderPrefix(options.prefix);
  const parts = join(folder, PARTS_FOLDER);
  await mkdir(folder, { recursive: true });
  await rm(parts, { recursive: true, force: true });
  await mkdir(parts);
  try {
    const tree = new ExportedTree(client, { folder, parts });
    const jobs: Job[] = [];
    for await (const listed of client.list(prefix)) {
      const name = listed.key.slice(prefix.length);
      jobs.push({ name: listed.key, run: () => tree.fetch(listed, name) });
    }
    const tally = newTally();
    await runJobs(terminal, jobs, { concurrency, tally });
    await runJobs(terminal, tree.links, { concurrency: 1, tally });
    return tally;
  } finally {
    await rm(parts, { recursive: true, force: true });
  }
}

const FILE_MODE = 0o666;
const PERMISSIONS = 0o777;
const ATTEMPTS_MAX = 3;

class ExportedTree {
  /** Links met by `fetch`, to be made when all files are there. */
  readonly links: Job[] = [];
  readonly #client: KvClient;
  readonly #parts: string;
  readonly #folders: FolderMaker;
  #partsMade = 0;

  constructor(client: KvClient, options: { readonly folder: string; readonly parts: string }) {
    this.#client = client;
    this.#parts = options.parts;
    this.#folders = new FolderMaker(options.folder);
  }

  async fetch(listed: ListedEntry, name: string): Promise<Moved> {
    const segments = segmentsOf(name);
    if (name.endsWith('/')) return this.#makeFolder(listed, segments);
    const path = join(await this.#folders.make(segments.slice(0, -1)), segments.at(-1) ?? '');
    if (await holds(path, listed)) return { kind: 'unchanged' };
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.#client.get(listed.key);
      if (found.contentType === LINK_TYPE) return this.#keepLink(listed.key, path, found);
      try {
        return await this.#write(path, found);
      } catch (error) {
        if (!(error instanceof KvError) || attempt === ATTEMPTS_MAX) throw error;
      }
    }
  }

  async #makeFolder(listed: ListedEntry, segments: readonly string[]): Promise<Moved> {
    if (listed.size > 0) {
      throw new KvError(
        'INVALID_KEY',
        'a name that ends in a slash is a folder and holds no bytes',
      );
    }
    await this.#folders.make(segments);
    return { kind: 'moved', bytes: 0 };
  }

  async #write(path: string, found: FoundValue): Promise<Moved> {
    this.#partsMade += 1;
    const part = join(this.#parts, String(this.#partsMade));
    const kept = Number.parseInt(found.meta('mode'), 8);
    const mode = Number.isNaN(kept) ? FILE_MODE : kept & PERMISSIONS;
    await writeFileWhole(path, found.body, { part, mode });
    return { kind: 'moved', bytes: found.sizeBytes };
  }

  async #keepLink(key: string, path: string, found: FoundValue): Promise<Moved> {
    const pieces: Uint8Array[] = [];
    for await (const piece of found.body) pieces.push(piece);
    const target = textOf(concatBytes(pieces));
    this.links.push({ name: key, run: () => makeLink(path, target) });
    return { kind: 'later' };
  }
}

/** True when the file is there with these bytes. */
async function holds(path: string, listed: ListedEntry): Promise<boolean> {
  const facts = await lstat(path).catch(() => null);
  if (facts === null || !facts.isFile() || facts.size !== listed.size) return false;
  return (await digestOfFile(path)) === listed.blake3;
}

async function makeLink(path: string, target: string): Promise<Moved> {
  const present = await readlink(path).catch(() => null);
  if (present === target) return { kind: 'unchanged' };
  if (present !== null) await rm(path);
  await symlink(target, path);
  return { kind: 'moved', bytes: 0 };
}
