/** Reads the frames of a coordinator's Raft log by their documented format (docs/formats/frame-log.md). */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const SEGMENT_HEAD_BYTES = 40;
export const FRAME_HEAD_BYTES = 24;

export interface Frame {
  readonly path: string;
  /** In its file, and in the whole log. */
  readonly offset: number;
  readonly position: number;
  readonly syncedTo: number;
  readonly payload: Buffer;
}

/** All frames of the log in a coordinator's folder, in order. */
export async function framesOf(coordinatorFolder: string): Promise<readonly Frame[]> {
  const folder = join(coordinatorFolder, 'raft/log');
  const frames: Frame[] = [];
  for (const name of (await readdir(folder)).filter((each) => each.endsWith('.log')).sort()) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const base = Number(bytes.readBigUInt64LE(16));
    for (let at = SEGMENT_HEAD_BYTES; at + FRAME_HEAD_BYTES <= bytes.length; ) {
      const end = at + 8 + bytes.readUInt32LE(at + 4);
      const syncedTo = Number(bytes.readBigUInt64LE(at + 16));
      frames.push({
        path,
        offset: at,
        position: base + at,
        syncedTo,
        payload: bytes.subarray(at + 24, end),
      });
      at = end;
    }
  }
  return frames;
}
