import { describe, expect, test } from '@jest/globals';
import { KIB, MIB } from '../common/units.ts';
import { Proposals } from './proposals.ts';

const ignore = (): void => undefined;
const sizes = (proposals: Proposals): readonly (readonly number[])[] =>
  proposals.depart().map(({ commands }) => commands.map(({ length }) => length));

describe('proposals of one turn', () => {
  test('are one, in order, and nothing is left behind', () => {
    const proposals = new Proposals();
    for (const length of [3, 1, 2]) proposals.add(new Uint8Array(length), ignore);
    expect(sizes(proposals)).toEqual([[3, 1, 2]]);
    expect(sizes(proposals)).toEqual([]);
  });

  test('are as many as it takes to keep each below the limit; a large command goes alone', () => {
    const proposals = new Proposals();
    for (const kib of [300, 200, 100, 3000, 500, 12, 1]) {
      proposals.add(new Uint8Array(kib * KIB), ignore);
    }
    const kibs = sizes(proposals).map((lengths) => lengths.map((length) => length / KIB));
    expect(kibs).toEqual([[300, 200], [100], [3000], [500, 12], [1]]);
  });

  test('one that no message could carry is refused, whatever else there is', () => {
    const proposals = new Proposals();
    const told: string[] = [];
    proposals.add(new Uint8Array(3 * MIB + 1), (reason) => told.push(reason));
    expect(told).toEqual(['overloaded']);
    proposals.add(new Uint8Array(3 * MIB), ignore);
    expect(sizes(proposals)).toEqual([[3 * MIB]]);
  });

  test('a refusal reaches those of its own proposal, once', () => {
    const proposals = new Proposals();
    const told: string[] = [];
    for (const name of ['a', 'b', 'c']) {
      proposals.add(new Uint8Array(250 * KIB), (reason) => told.push(`${name} ${reason}`));
    }
    const [first, second] = proposals.depart();
    expect([first?.commands.length, second?.commands.length]).toEqual([2, 1]);
    proposals.refused(second?.proposalId ?? 0, 'not-leader');
    proposals.refused(second?.proposalId ?? 0, 'not-leader');
    expect(told).toEqual(['c not-leader']);
    proposals.refused(first?.proposalId ?? 0, 'overloaded');
    expect(told).toEqual(['c not-leader', 'a overloaded', 'b overloaded']);
  });

  test('a refusal that comes very late is told to nobody else', () => {
    const proposals = new Proposals();
    const told: number[] = [];
    const ids = Array.from({ length: 1025 }, (_, at) => {
      proposals.add(new Uint8Array(1), () => told.push(at));
      return proposals.depart()[0]?.proposalId ?? 0;
    });
    proposals.refused(ids[0] ?? 0, 'not-leader');
    expect(told).toEqual([]);
    proposals.refused(ids[1] ?? 0, 'not-leader');
    proposals.refused(ids[1024] ?? 0, 'not-leader');
    expect(told).toEqual([1, 1024]);
  });

  test('beyond what a link would queue, in number or in bytes, are refused at once', () => {
    const proposals = new Proposals();
    const told: string[] = [];
    const refused = (reason: string): number => told.push(reason);
    for (let i = 0; i < 7; i += 1) proposals.add(new Uint8Array(MIB), refused);
    expect(told).toEqual(['overloaded']);
    expect(proposals.depart()).toHaveLength(6);
    proposals.add(new Uint8Array(MIB), refused);
    for (let i = 0; i < 10_000; i += 1) proposals.add(new Uint8Array(1), refused);
    expect(told).toHaveLength(2);
  });

  test('that have not left are refused when the node stops', () => {
    const proposals = new Proposals();
    const told: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      proposals.add(new Uint8Array(400 * KIB), (reason) => told.push(reason));
    }
    proposals.stop();
    expect(told).toEqual(['stopping', 'stopping', 'stopping']);
    expect(proposals.depart()).toEqual([]);
  });
});
