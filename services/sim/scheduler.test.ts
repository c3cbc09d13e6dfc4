/** The queue of events, and what a life is: dead, paused, or brought down by its own mistake. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { sleep } from '../common/clock.ts';
import { MachineClock } from './clock.ts';
import { Life } from './life.ts';
import { EVENT, Scheduler } from './scheduler.ts';

let scheduler: Scheduler;
let seen: string[];
let failures: Error[];
let life: Life;

beforeEach(() => {
  scheduler = new Scheduler();
  seen = [];
  failures = [];
  life = newLife(1);
});

function newLife(number: number): Life {
  const made: Life = new Life(number, (error) => {
    failures.push(error);
    made.end();
  });
  return made;
}

const see = (what: string) => (): void => {
  seen.push(`${what} at ${scheduler.nowMs}`);
};

const run = async (ms: number): Promise<void> => {
  await scheduler.drive(scheduler.nowMs + ms, () => false);
};

describe('events', () => {
  test('come by their time, and in the order of their making where that is the same', async () => {
    scheduler.schedule(5, null, EVENT.timer, see('d'));
    scheduler.schedule(2, null, EVENT.timer, see('b'));
    scheduler.schedule(2, null, EVENT.timer, see('c'));
    scheduler.schedule(0, null, EVENT.timer, see('a'));
    await run(10);
    expect(seen).toEqual(['a at 0', 'b at 2', 'c at 2', 'd at 5']);
    expect(scheduler.nowMs).toBe(10);
  });

  test('that are made for now come behind what is due now', async () => {
    scheduler.schedule(1, null, EVENT.timer, () => {
      see('first')();
      scheduler.schedule(0, null, EVENT.soon, see('made by the first'));
    });
    scheduler.schedule(1, null, EVENT.timer, see('second'));
    await run(2);
    expect(seen).toEqual(['first at 1', 'second at 1', 'made by the first at 1']);
  });

  test('come one by one, with all promises settled in between', async () => {
    scheduler.schedule(1, null, EVENT.timer, () => {
      void (async () => {
        for (let i = 0; i < 100; i += 1) await Promise.resolve();
        see('promises')();
      })();
    });
    scheduler.schedule(1, null, EVENT.timer, see('next'));
    await run(2);
    expect(seen).toEqual(['promises at 1', 'next at 1']);
  });

  test('that are taken back do not come, nor any behind the end of the drive', async () => {
    const timer = scheduler.schedule(1, null, EVENT.timer, see('taken back'));
    scheduler.schedule(2, null, EVENT.timer, () => timer.cancel());
    scheduler.schedule(3, null, EVENT.timer, see('too late')).cancel();
    scheduler.schedule(20, null, EVENT.timer, see('later'));
    timer.cancel();
    await run(10);
    expect(seen).toEqual([]);
    await run(10);
    expect(seen).toEqual(['later at 20']);
  });

  test('of many random times are in order', async () => {
    const times: number[] = [];
    let state = 1;
    for (let i = 0; i < 2000; i += 1) {
      state = (state * 48_271) % 2_147_483_647;
      scheduler.schedule(state % 500, null, EVENT.timer, () => times.push(scheduler.nowMs));
    }
    await run(500);
    expect(times).toHaveLength(2000);
    expect(times).toEqual([...times].sort((a, b) => a - b));
  });

  test('are checked after each, and a check that throws ends the drive with its error', async () => {
    scheduler.schedule(1, null, EVENT.timer, see('first'));
    scheduler.schedule(2, null, EVENT.timer, see('second'));
    scheduler.onEvent(() => {
      see('check')();
      if (scheduler.nowMs === 2) throw new Error('broken invariant');
    });
    await expect(run(10)).rejects.toThrow('broken invariant');
    expect(seen).toEqual(['first at 1', 'check at 1', 'second at 2', 'check at 2']);
  });

  test('drive until a condition holds', async () => {
    scheduler.schedule(3, null, EVENT.timer, see('first'));
    scheduler.schedule(4, null, EVENT.timer, see('second'));
    expect(await scheduler.drive(10, () => seen.length === 1)).toBe(true);
    expect(scheduler.nowMs).toBe(3);
    expect(await scheduler.drive(10, () => seen.length === 3)).toBe(false);
    expect(scheduler.nowMs).toBe(10);
  });

  test('that make one another for ever fail the drive, instead of keeping it from ending', async () => {
    const again = (): void => void scheduler.schedule(0, null, EVENT.soon, again);
    scheduler.schedule(3, null, EVENT.timer, again);
    await expect(run(10)).rejects.toThrow('time stands still at 3 ms');
  });

  test('have one driver at a time', async () => {
    const first = run(1);
    await expect(run(1)).rejects.toThrow('drives');
    await first;
  });
});

describe('a life', () => {
  test('that is over is not called back', async () => {
    scheduler.schedule(1, life, EVENT.timer, see('before'));
    scheduler.schedule(2, null, EVENT.plan, () => life.end());
    scheduler.schedule(3, life, EVENT.timer, see('after'));
    await run(10);
    scheduler.enter(life, see('entered'));
    expect(seen).toEqual(['before at 1']);
  });

  test('that is over sets no timer', async () => {
    const clock = new MachineClock(scheduler).viewOf(life);
    life.end();
    clock.after(1, see('timer'));
    clock.soon(see('soon'));
    await run(10);
    expect(seen).toEqual([]);
    expect(scheduler.eventCount).toBe(0);
  });

  test('that is paused keeps everything waiting, in its order', async () => {
    const clock = new MachineClock(scheduler).viewOf(life);
    life.isPaused = true;
    clock.after(1, see('timer'));
    scheduler.schedule(2, null, EVENT.network, () => scheduler.enter(life, see('message')));
    const gone = clock.after(3, see('taken back'));
    clock.after(4, see('second timer'));
    await run(10);
    expect(seen).toEqual([]);
    gone.cancel();
    life.isPaused = false;
    for (const fn of life.parked) fn();
    expect(seen).toEqual(['timer at 10', 'message at 10', 'second timer at 10']);
  });

  test('ends by what it throws, and others go on', async () => {
    const other = newLife(2);
    scheduler.schedule(1, life, EVENT.timer, () => {
      throw new Error('a bug');
    });
    scheduler.schedule(2, life, EVENT.timer, see('after'));
    scheduler.schedule(3, other, EVENT.timer, see('other'));
    await run(10);
    expect(failures.map(({ message }) => message)).toEqual(['a bug']);
    expect(seen).toEqual(['other at 3']);
  });

  test('ends by a rejection that nobody handles', async () => {
    const clock = new MachineClock(scheduler).viewOf(life);
    scheduler.schedule(1, life, EVENT.timer, () => {
      void sleep(clock, 1).then(() => {
        throw new Error('nobody listens');
      });
    });
    clock.after(5, see('after'));
    await run(10);
    expect(failures.map(({ message }) => message)).toEqual(['nobody listens']);
    expect(seen).toEqual([]);
  });

  test('is the present one for as long as its step and its promises go on', async () => {
    const names = (): void => {
      seen.push(String(scheduler.current?.number ?? 0));
    };
    scheduler.schedule(1, life, EVENT.timer, () => {
      names();
      void Promise.resolve().then(names);
    });
    scheduler.schedule(2, null, EVENT.plan, names);
    scheduler.schedule(3, null, EVENT.network, () => scheduler.enter(newLife(2), names));
    await run(10);
    names();
    expect(seen).toEqual(['1', '1', '0', '2', '0']);
  });
});

describe('the clock of a machine', () => {
  test('goes at its rate, and on from where it was when that changes', async () => {
    const machine = new MachineClock(scheduler);
    const clock = machine.viewOf(life);
    await run(100);
    machine.rate = 2;
    await run(100);
    expect(clock.monotonicMs()).toBe(300);
    machine.rate = 0.5;
    expect(clock.monotonicMs()).toBe(300);
    clock.after(10, see('slow timer'));
    await run(100);
    expect([clock.monotonicMs(), seen]).toEqual([350, ['slow timer at 220']]);
  });

  test('shows another time of day where it is wrong', () => {
    const machine = new MachineClock(scheduler);
    const clock = machine.viewOf(life);
    const right = clock.wallMs();
    machine.wallSkewMs = -5000;
    expect([clock.wallMs() - right, clock.monotonicMs()]).toEqual([-5000, 0]);
  });
});

test('a rejection that nobody handles in a step of the plan fails the drive', async () => {
  scheduler.schedule(1, null, EVENT.plan, () => {
    void Promise.resolve().then(() => {
      throw new Error('the plan is wrong');
    });
  });
  scheduler.schedule(2, null, EVENT.plan, see('after'));
  await expect(run(10)).rejects.toThrow('the plan is wrong');
});
