/** Goal: a report of a finished sync counts for what the disk holds now, and for nothing else. */
import { describe, expect, test } from '@jest/globals';
import { logIndex, term } from '../common/ids.ts';
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

  test('writes that nobody reports are a bug of the caller', () => {
    const unstable = new Unstable(0);
    expect(() => {
      for (let index = 1; index < 2000; index += 1) unstable.handOut(at(index, 1));
    }).toThrow('syncs are reported');
  });
});
