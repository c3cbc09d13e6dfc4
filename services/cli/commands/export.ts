/**
 * `minikv export`: keys below a prefix become a folder tree. Every file is checked by BLAKE3 before it
 * gets its name; links are made last and never written through, so that no key leads out of the folder.
 */
import { lstat, mkdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListedEntry } from '../../api/kv.ts';
import type { Found, FoundValue, KvClient } from '../../client/kv-client.ts';
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
    const tree = new ExportedTree(client, { folder, parts, modes: await modesIn(parts) });
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
const EXECUTABLE = 0o111;
const ATTEMPTS_MAX = 3;

/** What becomes of modes in a folder: its file system and the umask have a say. */
interface Modes {
  /** Of a file made with all permissions. */
  readonly all: number;
  /** Of a file whose value keeps no mode. */
  readonly plain: number;
}

async function modesIn(parts: string): Promise<Modes> {
  const of = async (mode: number): Promise<number> => {
    const path = join(parts, `mode-${mode}`);
    await writeFile(path, '', { mode });
    return (await stat(path)).mode & PERMISSIONS;
  };
  return { all: await of(PERMISSIONS), plain: await of(FILE_MODE) };
}

/** The mode that a value keeps; null: none. */
function keptMode(found: Found): number | null {
  const kept = Number.parseInt(found.meta('mode'), 8);
  return Number.isNaN(kept) ? null : kept & PERMISSIONS;
}

/** True when a file's mode is what an export would give it; without a kept one only execution counts. */
function hasMode(mode: number, kept: number | null, modes: Modes): boolean {
  return kept === null
    ? (mode & EXECUTABLE) === (modes.plain & EXECUTABLE)
    : (mode & PERMISSIONS) === (kept & modes.all);
}

interface Place {
  readonly folder: string;
  readonly parts: string;
  readonly modes: Modes;
}

class ExportedTree {
  /** Links met by `fetch`, to be made when all files are there. */
  readonly links: Job[] = [];
  readonly #client: KvClient;
  readonly #place: Place;
  readonly #folders: FolderMaker;
  #partsMade = 0;

  constructor(client: KvClient, place: Place) {
    this.#client = client;
    this.#place = place;
    this.#folders = new FolderMaker(place.folder);
  }

  async fetch(listed: ListedEntry, name: string): Promise<Moved> {
    const segments = segmentsOf(name);
    if (name.endsWith('/')) return this.#makeFolder(listed, segments);
    const path = join(await this.#folders.make(segments.slice(0, -1)), segments.at(-1) ?? '');
    if (await this.#holds(path, listed)) return { kind: 'unchanged' };
    for (let attempt = 1; ; attempt += 1) {
      const found = await this.#client.get(listed.key);
      if (found.contentType === LINK_TYPE) return this.#keepLink(listed.key, path, found);
      try {
        return await this.#write(path, found);
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        if (attempt === ATTEMPTS_MAX) throw ofOneValue(error);
      }
    }
  }

  /** True when the file is there with these bytes, as a file and with its mode. */
  async #holds(path: string, listed: ListedEntry): Promise<boolean> {
    const facts = await lstat(path).catch(() => null);
    if (facts === null || !facts.isFile() || facts.size !== listed.size) return false;
    if ((await digestOfFile(path)) !== listed.blake3) return false;
    const found = await this.#client.head(listed.key);
    if (found.contentType === LINK_TYPE) return false;
    return hasMode(facts.mode, keptMode(found), this.#place.modes);
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
    const part = join(this.#place.parts, String(this.#partsMade));
    const mode = keptMode(found) ?? FILE_MODE;
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

/** The cluster answered each time, and these bytes alone broke off: no reason to end the whole. */
const ofOneValue = (error: KvError): KvError =>
  error.row.retryable
    ? new KvError('REPLICAS_UNAVAILABLE', error.message, { cause: error })
    : error;

async function makeLink(path: string, target: string): Promise<Moved> {
  const present = await readlink(path).catch(() => null);
  if (present === target) return { kind: 'unchanged' };
  await rm(path, { force: true });
  await symlink(target, path);
  return { kind: 'moved', bytes: 0 };
}
