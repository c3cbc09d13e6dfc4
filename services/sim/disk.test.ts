import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { describeDisk } from '../disk/conformance.ts';
import type { Disk } from '../disk/disk.ts';
import { HostDisk } from './disk.ts';
import { streamOf } from './draws.ts';
import { Life } from './life.ts';
import { Scheduler } from './scheduler.ts';

function make(seed = 1) {
  const scheduler = new Scheduler();
  const disk = new HostDisk(scheduler, streamOf(seed, 'disk'));
  const life = new Life(1, (error) => {
    throw error;
  });
  return { scheduler, disk, life, view: disk.viewOf(life) };
}

/** Drives the scheduler until the work is done. */
async function driven<T>(scheduler: Scheduler, work: Promise<T>): Promise<T> {
  let isDone = false;
  const watched = work.finally(() => {
    isDone = true;
  });
  watched.catch(() => undefined);
  await scheduler.drive(scheduler.nowMs + 60_000, () => isDone);
  return watched;
}

describeDisk('the disk of a simulated machine', async () => {
  const { scheduler, view } = make();
  const isOver = { yet: false };
  // It goes on for as long as the test does, whose waits are not the simulation's.
  const running = (async () => {
    while (!isOver.yet) {
      await scheduler.drive(scheduler.nowMs + 1, () => false);
    }
  })();
  await view.makeFolder('/root');
  return {
    disk: view,
    root: '/root',
    cleanUp: async () => {
      isOver.yet = true;
      await running;
    },
  };
});

async function fileWith(view: Disk, text: string) {
  await view.makeFolder('/root');
  const file = await view.open('/root/file', 'create');
  await file.writeSynced(0, [utf8(text)]);
  await view.syncFolder('/root');
  return file;
}

describe('the disk of a simulated machine', () => {
  test('takes virtual time, more where it is slow', async () => {
    const { scheduler, disk, view } = make();
    const file = await driven(scheduler, fileWith(view, 'text'));
    const beganMs = scheduler.nowMs;
    await driven(scheduler, file.sync());
    const quickMs = scheduler.nowMs - beganMs;
    disk.latency = { readMs: 0, writeMs: 0, syncMs: 1000 };
    await driven(scheduler, Promise.all(Array.from({ length: 20 }, () => file.sync())));
    expect(scheduler.nowMs - beganMs - quickMs).toBeGreaterThan(1000);
  });

  test('has made a change of a process that died in the call, or has not', async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 20; seed += 1) {
      const { scheduler, disk, life, view } = make(seed);
      const file = await driven(scheduler, fileWith(view, 'old'));
      void file.write(0, [utf8('newer')]);
      // No time goes by, and what the call has begun is done.
      await scheduler.drive(scheduler.nowMs, () => false);
      life.end();
      disk.endProcess();
      await scheduler.drive(scheduler.nowMs + 100, () => false);
      seen.add(disk.files()[0]?.sizeBytes ?? 0);
    }
    expect([...seen].sort()).toEqual([3, 5]);
  });

  test('answers a dead process nothing', async () => {
    const { scheduler, life, view } = make();
    const file = await driven(scheduler, fileWith(view, 'text'));
    let answers = 0;
    const count = (): void => {
      answers += 1;
    };
    file.read(0, 4).then(count, count);
    life.end();
    file.read(0, 4).then(count, count);
    view.list('/root').then(count, count);
    await scheduler.drive(scheduler.nowMs + 1000, () => false);
    expect(answers).toBe(0);
  });

  test('keeps a process that is paused waiting', async () => {
    const { scheduler, life, view } = make();
    const file = await driven(scheduler, fileWith(view, 'text'));
    let hasAnswered = false;
    void file.read(0, 4).then(() => {
      hasAnswered = true;
    });
    life.isPaused = true;
    await scheduler.drive(scheduler.nowMs + 1000, () => false);
    expect(hasAnswered).toBe(false);
    expect(life.parked).toHaveLength(1);
  });

  test('can be cut, wiped and listed', async () => {
    const { scheduler, disk, view } = make();
    await driven(scheduler, fileWith(view, 'text'));
    expect(disk.files()).toEqual([{ path: '/root/file', sizeBytes: 4 }]);
    disk.truncate('/root/file', 2);
    disk.losePower();
    expect(disk.files()).toEqual([{ path: '/root/file', sizeBytes: 2 }]);
    disk.wipe();
    expect(disk.files()).toEqual([]);
    await expect(driven(scheduler, view.exists('/root'))).resolves.toBe(false);
  });
});
