/** What the machine says about the race from outside: other programs' CPU, folders' sizes, the disk. */

import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { readdir, readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { attempt } from '../../../e2e/kubernetes/cluster/run.ts';
import { GIB, MIB, SECOND_MS } from '../../common/units.ts';
import { cpuSecondsOf } from '../probe.ts';

/** CPU seconds so far of every program but the kernel's own threads, by pid; empty: unknown. */
export async function programsCpu(): Promise<ReadonlyMap<number, number>> {
  const names = await readdir('/proc').catch(() => []);
  const seconds = new Map<number, number>();
  for (const name of names) {
    if (!/^\d+$/.test(name)) continue;
    const text = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => null);
    if (text !== null && !isKernelThread(text)) seconds.set(Number(name), cpuSecondsOf(text));
  }
  return seconds;
}

const KERNEL_THREAD = 0x0020_0000;

/** By the flags of a line of /proc/PID/stat. */
export function isKernelThread(line: string): boolean {
  const fields = line.slice(line.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[6]) & KERNEL_THREAD) !== 0;
}

/** Cores that programs took which are not in `ours`; those that began or ended meanwhile count too. */
export function otherCoresOf(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
  { ours, seconds }: { readonly ours: ReadonlySet<number>; readonly seconds: number },
): number | null {
  if (after.size === 0) return null;
  let spent = 0;
  for (const [pid, now] of after) if (!ours.has(pid)) spent += now - (before.get(pid) ?? 0);
  return Math.max(0, spent) / seconds;
}

/** Resident memory, pages that several processes share divided among them; null: unknown. */
export async function proportionalBytes(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kib = /^Pss:\s+(\d+) kB/m.exec(text)?.[1];
  return kib === undefined ? null : Number(kib) * 1024;
}

/** Blocks that the files of a folder take; a file that goes meanwhile counts nothing. */
export async function diskBytesOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const held = await stat(join(entry.parentPath, entry.name)).catch(() => null);
    bytes += (held?.blocks ?? 0) * 512;
  }
  return bytes;
}

export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

const SYNC_MS = 60 * SECOND_MS;

/** Puts on disk what one peer has left in the page cache, so that no other one pays for it. */
export async function settleDisk(): Promise<void> {
  await attempt('sync', [], { timeoutMs: SYNC_MS });
}

const LIMIT_BYTES_MAX = 2 * GIB;
const SYNC_EVERY = 16;

/** Bytes a second that one file takes when written in order, synced every 16 MiB. */
export function writeLimit(folder: string, seconds: number): number {
  const path = join(folder, 'write-limit');
  const block = randomBytes(MIB);
  const file = openSync(path, 'w');
  const beganMs = performance.now();
  let bytes = 0;
  try {
    while (performance.now() - beganMs < seconds * SECOND_MS && bytes < LIMIT_BYTES_MAX) {
      for (let i = 0; i < SYNC_EVERY; i += 1) bytes += writeSync(file, block);
      fdatasyncSync(file);
    }
    return (bytes * SECOND_MS) / (performance.now() - beganMs);
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}
