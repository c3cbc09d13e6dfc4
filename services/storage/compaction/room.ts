/** Room on the disk for what only tidies up: never the last of it, on which the journal lives. */
import { dirname } from 'node:path';
import { MIB } from '../../common/units.ts';
import type { Disk } from '../../disk/disk.ts';

/** Left to the journal: drops must go on where everything else is refused. */
const SPARE_BYTES = MIB;

/** Bytes that files beside `path` may take; where the disk does not say, it will when they are written. */
export async function roomBeside(disk: Disk, path: string): Promise<number> {
  const space = await disk.space(dirname(path)).catch(() => null);
  return space === null ? Number.POSITIVE_INFINITY : space.freeBytes - SPARE_BYTES;
}
