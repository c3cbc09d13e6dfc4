/**
 * Decay of one file while its process is down, within what the store promises to notice: places that a
 * later sync vouches for, or that a clean stop did (docs/formats/frame-log.md). A bad last frame that
 * no sync covers looks like a write that a crash cut short, and nobody could tell.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Random, seededRandom } from '../../services/common/random.ts';
import { FRAME_HEAD_BYTES, framesOf } from '../harness/frames.ts';
import { flipBit, sizeOf, truncate } from '../harness/harm.ts';
import { metadataFolder } from '../harness/metadata-folder.ts';
import type { DamagedFile } from './schedule.ts';

/** How the process has to end before: a stop in good order makes durable what it vouches for. */
export const endBefore = (file: DamagedFile): 'SIGKILL' | 'SIGTERM' =>
  file.endsWith('-end') || file === 'index-snapshot' ? 'SIGTERM' : 'SIGKILL';

/** Harms one file in a process's folder; a sentence of what was done, null where there is none yet. */
export async function decay(
  folder: string,
  file: DamagedFile,
  draw: number,
): Promise<string | null> {
  const random = seededRandom(draw);
  switch (file) {
    case 'raft-log':
      return flipFrame(folder, random);
    case 'raft-log-end':
      return cutLog(folder, random);
    case 'vote':
      return flipSomewhere(join(folder, 'raft/vote'), random);
    case 'identity':
      return flipSomewhere(join(folder, 'identity'), random);
    case 'volume-identity':
      return flipSomewhere(join(folder, 'volume.identity'), random);
    case 'table':
      return flipTable(folder, random);
    case 'segment':
      return flipSomewhere(await segmentOf(folder, random), random);
    case 'segment-end':
      return cutEnd(await segmentOf(folder, random), random);
    case 'index-snapshot':
      return flipSomewhere(join(folder, 'index.snapshot'), random);
    case 'index-snapshot-end':
      return cutEnd(join(folder, 'index.snapshot'), random);
  }
}

/** A bit of a frame that a later one vouches for: such a loss must be seen. */
async function flipFrame(folder: string, random: Random): Promise<string | null> {
  const frames = await framesOf(folder);
  const vouchedTo = frames.at(-1)?.syncedTo ?? 0;
  const sound = frames.filter((_, i) => (frames[i + 1]?.position ?? Infinity) <= vouchedTo);
  const frame = sound[random.below(sound.length)];
  if (frame === undefined) return null;
  const offset = frame.offset + random.below(FRAME_HEAD_BYTES + frame.payload.length);
  await flipBit(frame.path, offset);
  return `a bit of ${frame.path} at ${offset}`;
}

async function cutLog(folder: string, random: Random): Promise<string | null> {
  const frames = await framesOf(folder);
  const last = frames.at(-1);
  if (last === undefined || frames.length < 2) return null;
  const inLast = frames.filter(({ path }) => path === last.path);
  const frame = inLast[random.below(inLast.length)] ?? last;
  const bytes = frame.offset + random.below(FRAME_HEAD_BYTES);
  await truncate(frame.path, bytes);
  return `${frame.path} ends at ${bytes}`;
}

async function flipSomewhere(path: string | null, random: Random): Promise<string | null> {
  const bytes = path === null ? 0 : await sizeOf(path).catch(() => 0);
  if (path === null || bytes === 0) return null;
  const offset = random.below(bytes);
  await flipBit(path, offset);
  return `a bit of ${path} at ${offset}`;
}

async function cutEnd(path: string | null, random: Random): Promise<string | null> {
  const bytes = path === null ? 0 : await sizeOf(path).catch(() => 0);
  if (path === null || bytes === 0) return null;
  const left = random.below(bytes);
  await truncate(path, left);
  return `${path} ends at ${left}`;
}

/** A bit of any file of the LevelDB table, or an end of one. */
async function flipTable(folder: string, random: Random): Promise<string | null> {
  const table = await metadataFolder(folder).catch(() => null);
  if (table === null) return null;
  const names = (await readdir(table)).filter((each) => !/^(LOCK|LOG|LOG\.old)$/.test(each));
  const path = join(table, names[random.below(names.length)] ?? '');
  return random.below(2) === 0 ? flipSomewhere(path, random) : cutEnd(path, random);
}

async function segmentOf(folder: string, random: Random): Promise<string | null> {
  const paths: string[] = [];
  for (const part of ['segments', 'wal']) {
    const names = await readdir(join(folder, part)).catch((): string[] => []);
    for (const name of names) if (name.endsWith('.seg')) paths.push(join(folder, part, name));
  }
  return paths.toSorted()[random.below(paths.length)] ?? null;
}
