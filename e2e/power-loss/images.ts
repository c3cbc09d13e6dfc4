/**
 * File systems that can lose power: ext4 in image files on XFS. A reflink copy of an image is what a
 * disk would hold if the power went now: what ext4 has handed down, and nothing of what it still keeps
 * in memory. Mounting the copy replays the journal, as a start after a power cut does.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 * 1024;
const XFS_BYTES = 1536 * MIB;
const IMAGE_BYTES = 192 * MIB;

/** Mounts that end with the process and are seen by nobody else. */
export const UNSHARE = [
  ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['--propagation', 'private'],
];

/** Why images cannot be had here; null where they can. */
export function whatImagesLack(): string | null {
  if (process.getuid?.() !== 0) return 'only root may mount';
  for (const tool of ['mkfs.xfs', 'mkfs.ext4', 'mount', 'unshare']) {
    if (spawnSync('which', [tool], { stdio: 'ignore' }).status !== 0) return `no ${tool}`;
  }
  const script = [
    ...['set -e', 'd=$(mktemp -d)', 'trap "rm -rf $d" EXIT', 'truncate -s 400M $d/x'],
    ...['mkfs.xfs -q -m reflink=1 $d/x', 'mkdir $d/m', 'mount -o loop $d/x $d/m'],
    ...['echo 1 > $d/m/a', 'cp --reflink=always $d/m/a $d/m/b', 'umount $d/m'],
  ].join('\n');
  const { status, stderr } = spawnSync('unshare', [...UNSHARE, 'sh', '-c', script]);
  return status === 0 ? null : `no XFS on a loop device: ${stderr.toString().trim()}`;
}

export class Images {
  readonly #folder: string;
  readonly #mounted: string[] = [];

  /** In a folder that is there; the process is alone with its mounts. */
  constructor(folder: string) {
    this.#folder = folder;
    newFile(join(folder, 'xfs.img'), XFS_BYTES);
    mkdirSync(this.#xfs);
    run('mkfs.xfs', '-q', '-m', 'reflink=1', join(folder, 'xfs.img'));
    this.#mount(join(folder, 'xfs.img'), this.#xfs);
  }

  /** Puts a new file system at a folder, with what the folder holds; nobody uses it now. */
  place(name: string, folder: string): void {
    const image = this.#imageOf(name);
    newFile(image, IMAGE_BYTES);
    run('mkfs.ext4', '-q', '-F', '-d', folder, image);
    this.#mount(image, folder);
  }

  /** The power goes: keeps what the disk holds at this instant. Its processes stand still. */
  cut(name: string): void {
    run('cp', '--reflink=always', this.#imageOf(name), `${this.#imageOf(name)}.cut`);
  }

  /** The power is back: the folder has what the disk held. Its processes are gone. */
  powerOn(name: string, folder: string): void {
    this.#unmount(folder);
    run('mv', `${this.#imageOf(name)}.cut`, this.#imageOf(name));
    this.#mount(this.#imageOf(name), folder);
  }

  /** Unmounts everything; to close again does nothing. */
  close(): void {
    for (const folder of this.#mounted.toReversed()) this.#unmount(folder);
    rmSync(join(this.#folder, 'xfs.img'), { force: true });
  }

  get #xfs(): string {
    return join(this.#folder, 'xfs');
  }

  #imageOf(name: string): string {
    return join(this.#xfs, `${name}.img`);
  }

  #mount(image: string, folder: string): void {
    run('mount', '-o', 'loop', image, folder);
    this.#mounted.push(folder);
  }

  #unmount(folder: string): void {
    run('umount', folder);
    this.#mounted.splice(this.#mounted.lastIndexOf(folder), 1);
  }
}

function newFile(path: string, bytes: number): void {
  writeFileSync(path, '');
  truncateSync(path, bytes);
}

function run(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.toString()}`);
}
