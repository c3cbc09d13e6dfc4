import { describe, expect, test } from '@jest/globals';
import { HOUR_MS } from '../common/units.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { Scrubber } from './scrubber.ts';

function setUp(bytesPerSecond = 1000) {
  const clock = new ManualClock();
  const passes: number[] = [];
  let bad = 0;
  let found = 0;
  const engine = {
    scrub: (rate: number) => {
      passes.push(rate);
      return bad < 0
        ? Promise.reject(new Error('unreadable'))
        : Promise.resolve({ checked: 9, bad });
    },
  };
  const scrubber = new Scrubber(
    { engine, clock, logger: silentLogger, found: () => void (found += 1) },
    { bytesPerSecond },
  );
  return {
    clock,
    passes,
    scrubber,
    setBad: (count: number) => void (bad = count),
    found: () => found,
  };
}

describe('the scrubber', () => {
  test('passes after the start and daily, and tells of damage', async () => {
    const { clock, passes, scrubber, setBad, found } = setUp();
    scrubber.start();
    await clock.advance(4000);
    expect(passes).toEqual([]);
    await clock.advance(1000);
    expect([passes.length, found()]).toEqual([1, 0]);
    setBad(2);
    await clock.advance(24 * HOUR_MS);
    expect([passes, found()]).toEqual([[1000, 1000], 1]);
    await scrubber.stop();
    await clock.advance(48 * HOUR_MS);
    expect(passes).toHaveLength(2);
  });

  test('goes on after a pass that failed', async () => {
    const { clock, passes, scrubber, setBad } = setUp();
    setBad(-1);
    scrubber.start();
    await clock.advance(24 * HOUR_MS + 5000);
    expect(passes).toHaveLength(2);
    await scrubber.stop();
  });

  test('does nothing at a rate of 0', async () => {
    const { clock, passes, scrubber } = setUp(0);
    scrubber.start();
    await clock.advance(24 * HOUR_MS);
    expect(passes).toEqual([]);
    await scrubber.stop();
  });
});
