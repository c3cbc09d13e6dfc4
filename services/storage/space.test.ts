/** How much room there is when values and log lie on two devices. */
import { describe, expect, test } from '@jest/globals';
import { GIB, MIB } from '../common/units.ts';
import type { DiskSpace } from '../disk/disk.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Space } from './space.ts';

const RESERVE = 256 * MIB;

async function measured(data: DiskSpace, wal: DiskSpace): Promise<Space> {
  const space = (path: string): Promise<DiskSpace> =>
    Promise.resolve(path === '/data' ? data : wal);
  const disk = Object.assign(new MemoryDisk(), { space });
  const measure = new Space(
    { disk, clock: new ManualClock(), logger: silentLogger },
    { folders: ['/data', '/wal'], reserveBytes: RESERVE, capacityBytes: 0 },
  );
  await measure.measure();
  return measure;
}

const of = (freeBytes: number, totalBytes: number): DiskSpace => ({ freeBytes, totalBytes });

describe('space on two devices', () => {
  test('is what the device of the values has: the log needs room for one segment only', async () => {
    const space = await measured(of(900 * GIB, 1024 * GIB), of(49 * GIB, 50 * GIB));
    expect(space.capacityBytes).toBe(1024 * GIB);
    expect(space.freeBytes(0)).toBe(900 * GIB - RESERVE);
    space.admit(100 * GIB, 0);
    space.promise(60 * GIB);
    expect(space.freeBytes(0)).toBe(840 * GIB - RESERVE);
  });

  test('is bounded by the log where that could not take a segment more', async () => {
    const space = await measured(of(900 * GIB, 1024 * GIB), of(1 * GIB, 50 * GIB));
    expect(space.capacityBytes).toBe(1024 * GIB);
    expect(space.freeBytes(0)).toBe(1 * GIB - RESERVE);
    space.spend(GIB / 2);
    expect(space.freeBytes(0)).toBe(GIB / 2 - RESERVE);
    expect(() => space.admit(GIB, 0)).toThrow(expect.objectContaining({ code: 'NO_SPACE' }));
  });

  test('ends with the room for values, however large the log', async () => {
    const space = await measured(of(RESERVE + 10, 40 * GIB), of(200 * GIB, 200 * GIB));
    expect(space.capacityBytes).toBe(40 * GIB);
    expect(space.freeBytes(0)).toBe(10);
  });

  test('of one device counts what was written since it was measured', async () => {
    const both = of(3 * GIB, 4 * GIB);
    const space = await measured(both, both);
    space.spend(2 * GIB);
    space.promise(MIB);
    expect(space.freeBytes(0)).toBe(GIB - RESERVE - MIB);
  });
});
