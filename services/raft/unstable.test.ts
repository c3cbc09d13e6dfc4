/** Goal: a report of a finished sync counts for what the disk holds now, and for nothing else. */
import { describe, expect, test } from '@jest/globals';
import { logIndex, term } from '../common/ids.ts';
import { type Random, seededRandom } from '../common/random.ts';
import type { LogPoint } from './types.ts';
import { Unstable } from './unstable.ts';

const at = (index: number, ofTerm: number): LogPoint => ({
  index: logIndex(index),
  term: term(ofTerm),
});

describe('durable', () => {
  test('rises with reports in order, and one report covers the writes before it', () => {
    const unstable = new Unstable(0);
    unstable.handOut(at(2, 1));
    unstable.handOut(at(3, 1));
    unstable.handOut(at(5, 1));
    expect(unstable.acknowledge(at(2, 1))).toBe(true);
    expect(unstable.durable).toBe(2);
    expect(unstable.acknowledge(at(5, 1))).toBe(true);
    expect(unstable.durable).toBe(5);
    expect(unstable.acknowledge(at(3, 1))).toBe(false);
  });

  test('falls at once with a truncation, handed out or not', () => {
    const unstable = new Unstable(5);
    unstable.truncated(3);
    expect(unstable).toMatchObject({ durable: 2, handed: 2, truncateFrom: 3 });
    unstable.handOut(at(4, 2));
    expect(unstable).toMatchObject({ durable: 2, handed: 4, truncateFrom: null });
  });

  test('a report from before a truncation is capped by it', () => {
    const unstable = new Unstable(0);
    unstable.handOut(at(5, 1));
    unstable.truncated(3);
    expect(unstable.acknowledge(at(5, 1))).toBe(true);
    expect(unstable.durable).toBe(2);
  });

  test('append ABA race: the first write of an entry does not stand for its third', () => {
    const unstable = new Unstable(0);
    unstable.handOut(at(1, 1));
    unstable.truncated(1);
    unstable.handOut(at(1, 2));
    unstable.truncated(1);
    unstable.handOut(at(1, 1));
    expect(unstable.acknowledge(at(1, 1))).toBe(false);
    expect(unstable.durable).toBe(0);
    expect(unstable.acknowledge(at(1, 2))).toBe(false);
    expect(unstable.durable).toBe(0);
    expect(unstable.acknowledge(at(1, 1))).toBe(true);
    expect(unstable.durable).toBe(1);
  });

  test('R15: a report that comes twice does not stand for another entry at the same index', () => {
    const unstable = new Unstable(0);
    unstable.handOut(at(2, 1));
    expect(unstable.acknowledge(at(2, 1))).toBe(true);
    unstable.truncated(2);
    unstable.handOut(at(2, 2));
    expect(unstable.acknowledge(at(2, 1))).toBe(false);
    expect(unstable.durable).toBe(1);
    expect(unstable.acknowledge(at(2, 2))).toBe(true);
    expect(unstable.durable).toBe(2);
  });

  test('a report of a write that a snapshot replaced counts for nothing', () => {
    const unstable = new Unstable(0);
    unstable.handOut(at(9, 1));
    unstable.reset(4);
    expect(unstable.acknowledge(at(9, 1))).toBe(false);
    expect(unstable).toMatchObject({ durable: 4, handed: 4 });
  });

  test('writes that only append are one, and a report of any of them counts', () => {
    const unstable = new Unstable(0);
    for (let index = 1; index <= 5000; index += 1) unstable.handOut(at(index, 1));
    expect(unstable.acknowledge(at(7, 1))).toBe(true);
    expect(unstable.durable).toBe(7);
    expect(unstable.acknowledge(at(4, 1))).toBe(false);
    unstable.handOut(at(5001, 1));
    expect(unstable.acknowledge(at(5000, 1))).toBe(true);
    expect(unstable.acknowledge(at(5001, 1))).toBe(true);
    expect(unstable.durable).toBe(5001);
  });

  test('append ABA race: a report from among writes that are one does not stand for a later twin', () => {
    const unstable = new Unstable(3);
    unstable.handOut(at(5, 1));
    unstable.handOut(at(6, 1));
    unstable.truncated(4);
    unstable.handOut(at(5, 2));
    unstable.truncated(4);
    unstable.handOut(at(5, 1));
    // The disk has the first write: a truncation of all that it holds above 3 is on its way.
    expect(unstable.acknowledge(at(5, 1))).toBe(false);
    expect(unstable.durable).toBe(3);
    expect(unstable.acknowledge(at(6, 1))).toBe(false);
    expect(unstable.acknowledge(at(5, 2))).toBe(false);
    expect(unstable.durable).toBe(3);
    expect(unstable.acknowledge(at(5, 1))).toBe(true);
    expect(unstable.durable).toBe(5);
  });

  test('a truncation that a report has passed caps nothing any more', () => {
    const unstable = new Unstable(5);
    unstable.truncated(3);
    unstable.handOut(at(4, 2));
    unstable.handOut(at(8, 2));
    expect(unstable.acknowledge(at(4, 2))).toBe(true);
    expect(unstable.durable).toBe(4);
    expect(unstable.acknowledge(at(8, 2))).toBe(true);
    expect(unstable.durable).toBe(8);
  });

  test('agrees with a disk that does one write after the other, whatever is overwritten', () => {
    for (let seed = 1; seed <= 300; seed += 1) {
      const unstable = storm(seed, () => true);
      expect({ seed, durable: unstable.durable }).toEqual({ seed, durable: unstable.handed });
    }
  });

  test('never says too much where reports are left out', () => {
    for (let seed = 1; seed <= 300; seed += 1) storm(seed, (random) => random.below(3) > 0);
  });

  test('terms that nobody reports are a bug of the caller', () => {
    const unstable = new Unstable(0);
    expect(() => {
      for (let index = 1; index < 2000; index += 1) unstable.handOut(at(index, index));
    }).toThrow('syncs are reported');
  });
});

interface ModelWrite {
  readonly from: number;
  readonly terms: readonly number[];
}

/**
 * A log of few indexes and terms, so that twins abound, beside a disk that carries out what is handed out in
 * order. What is said to be durable must be on the disk, and stay there whatever of the writes under way is
 * carried out before a crash.
 */
function storm(seed: number, isReported: (random: Random) => boolean): Unstable {
  const random = seededRandom(seed);
  const unstable = new Unstable(0);
  const waiting: ModelWrite[] = [];
  let log: readonly number[] = [];
  let disk: readonly number[] = [];
  const handOut = (): void => {
    if (unstable.handed >= log.length) return;
    const from = unstable.truncateFrom ?? unstable.handed + 1;
    waiting.push({ from, terms: log.slice(from - 1) });
    unstable.handOut(at(log.length, log.at(-1) ?? 0));
  };
  const carryOut = (): void => {
    const done = waiting.shift();
    if (done === undefined) return;
    disk = after(disk, done);
    if (isReported(random)) unstable.acknowledge(at(disk.length, disk.at(-1) ?? 0));
  };
  const moves = [
    () => {
      const index = 1 + random.below(log.length + 1);
      if (index <= log.length) unstable.truncated(index);
      log = grown(log.slice(0, index - 1), random);
    },
    () => (log = grown(log, random)),
    handOut,
    handOut,
    carryOut,
  ];
  for (let step = 0; step < 80; step += 1) {
    moves[random.below(moves.length)]?.();
    if (isOnDisk(log, unstable.durable, [disk, ...waiting])) continue;
    throw new Error(`seed ${seed}, step ${step}: not on disk up to ${unstable.durable}`);
  }
  handOut();
  while (waiting.length > 0) carryOut();
  return unstable;
}

const after = (disk: readonly number[], { from, terms }: ModelWrite): readonly number[] => [
  ...disk.slice(0, from - 1),
  ...terms,
];

/** One to three more entries, of a term that is not below the last. */
function grown(log: readonly number[], random: Random): readonly number[] {
  const inTerm = Math.max(log.at(-1) ?? 1, 1 + random.below(3));
  return [...log, ...Array.from({ length: 1 + random.below(3) }, () => inTerm)];
}

/** That what is durable by its word is on the disk, now and whatever of the writes under way comes first. */
function isOnDisk(
  log: readonly number[],
  durable: number,
  [disk, ...waiting]: readonly [readonly number[], ...ModelWrite[]],
): boolean {
  let left = disk;
  for (const write of [null, ...waiting]) {
    if (write !== null) left = after(left, write);
    for (let i = 0; i < durable; i += 1) if (left[i] !== log[i]) return false;
  }
  return true;
}
