/**
 * Which table is the present one: `metadata.current` names a folder `metadata-<n>`. An installed
 * snapshot is built in a new folder and put in place by one rename of the pointer; folders that it
 * does not name are litter.
 */
import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import { textOf, utf8 } from '../common/bytes.ts';
import { failpoint } from '../common/failpoint.ts';
import type { Disk } from '../disk/disk.ts';
import { publishFile } from '../disk/publish.ts';
import type { MetadataDamage } from './metadata-damage.ts';

const POINTER = 'metadata.current';
const NAME = /^metadata-([1-9][0-9]{0,9})$/;
const POINTER_BYTES_MAX = 64;

export class MetadataFolder {
  readonly #disk: Disk;
  readonly #path: string;
  #number: number;
  #found: MetadataDamage | null = null;

  private constructor(disk: Disk, options: { readonly path: string; readonly number: number }) {
    this.#disk = disk;
    this.#path = options.path;
    this.#number = options.number;
  }

  /**
   * Reads the pointer, or makes the first one, and clears what an earlier life left half done. The
   * first table's folder is older than the pointer, so a pointer to nothing is damage.
   */
  static async open(disk: Disk, path: string): Promise<MetadataFolder> {
    await disk.makeFolder(path);
    const pointer = await readPointer(disk, join(path, POINTER));
    const number = typeof pointer === 'number' ? pointer : await freshNumber(disk, path);
    const folder = new MetadataFolder(disk, { path, number });
    if (pointer === 'absent') {
      await disk.makeFolder(folder.current);
      failpoint('metadata.created');
    }
    if (pointer === 'damaged')
      folder.#found = { damage: 'pointer', why: `${POINTER} is unreadable` };
    else if (!(await disk.exists(folder.current))) {
      folder.#found = { damage: 'missing', why: `${folder.current} is not there` };
    }
    if (typeof pointer !== 'number') await folder.#point(number);
    for (const name of await disk.list(path)) {
      const match = NAME.exec(name);
      if (match !== null && Number(match[1]) !== folder.#number) {
        await disk.removeFolder(join(path, name));
      }
    }
    return folder;
  }

  /** What was wrong when it was opened; the present table is then an empty one. */
  get found(): MetadataDamage | null {
    return this.#found;
  }

  get current(): string {
    return this.#folderOf(this.#number);
  }

  /** An empty folder for the next table. */
  async prepareNext(): Promise<string> {
    const next = this.#folderOf(this.#number + 1);
    await this.#disk.removeFolder(next);
    return next;
  }

  /** Makes the prepared folder the present one, durably and by one rename; answers the old one. */
  async publishNext(): Promise<string> {
    const old = this.current;
    await this.#disk.syncFolder(this.#path);
    await this.#point(this.#number + 1);
    this.#number += 1;
    return old;
  }

  /**
   * The present table is void: an empty one is in its place now, also for whoever opens this folder
   * next. Answers the old one.
   */
  async condemnCurrent(): Promise<string> {
    await this.prepareNext();
    return this.publishNext();
  }

  /** Removes a folder that is no longer the present one. */
  async remove(folder: string): Promise<void> {
    await this.#disk.removeFolder(folder);
  }

  #folderOf(number: number): string {
    return join(this.#path, `metadata-${number}`);
  }

  async #point(number: number): Promise<void> {
    await publishFile(this.#disk, join(this.#path, POINTER), [utf8(`metadata-${number}\n`)]);
  }
}

async function readPointer(disk: Disk, path: string): Promise<number | 'absent' | 'damaged'> {
  if (!(await disk.exists(path))) return 'absent';
  const file = await disk.open(path, 'read');
  try {
    const bytes = await file.read(0, POINTER_BYTES_MAX);
    // A flipped bit may leave bytes that are no text at all.
    const match = isUtf8(bytes) ? NAME.exec(textOf(bytes).trim()) : null;
    return match === null ? 'damaged' : Number(match[1]);
  } finally {
    await file.close();
  }
}

/** A number that no folder has: nobody knows which of those that stand was the present one. */
async function freshNumber(disk: Disk, path: string): Promise<number> {
  const numbers = (await disk.list(path)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers) + 1;
}
