/** Plans are drawn from their seed alone, are all different, and hold faults that stand in time and place. */
import { describe, expect, it } from '@jest/globals';
import { Atlas, type Standing } from './atlas.ts';
import type { Fault, FaultAction } from './fault-types.ts';
import { LinkTable } from './links.ts';
import { planOf } from './plan.ts';
import type { LinkFaults } from './types.ts';

const seeds = Array.from({ length: 300 }, (_, n) => n + 1);

describe('plans', () => {
  it('are the same for the same seed, and others for another one', () => {
    expect(planOf(7, 'within')).toEqual(planOf(7, 'within'));
    const texts = new Set(seeds.map((seed) => JSON.stringify(planOf(seed, 'within').faults)));
    expect(texts.size).toBeGreaterThan(290);
  });

  it('hold every kind of fault, in the order of time, between hosts of the cluster', () => {
    const kinds = new Set<string>();
    const wrong: Fault[] = [];
    for (const seed of seeds) {
      const { faults, coordinators, volumes, durationMs } = planOf(seed, 'within');
      const names = new Set([
        ...Array.from({ length: coordinators }, (_, n) => `coord-${n}`),
        ...Array.from({ length: volumes }, (_, n) => `volume-${n}`),
      ]);
      faults.forEach((fault, place) => {
        kinds.add(fault.kind);
        const links = 'links' in fault ? fault.links.flat() : [];
        const hosts = 'hosts' in fault ? fault.hosts : 'host' in fault ? [fault.host] : [];
        const before = faults[place - 1]?.atMs ?? 0;
        const isRight =
          fault.id === place &&
          fault.atMs >= before &&
          fault.atMs < durationMs &&
          [...links, ...hosts].every((name) => names.has(name));
        if (!isRight) wrong.push(fault);
      });
    }
    expect(wrong).toEqual([]);
    expect(kinds.size).toBe(14);
  });

  it('bring at least five faults to most runs', () => {
    const counts = seeds.map((seed) => planOf(seed, 'within').faults.length);
    expect(counts.filter((count) => count >= 5).length / counts.length).toBeGreaterThan(0.85);
  });
});

const fault = (action: FaultAction): Fault => ({ ...action, id: 0, atMs: 0 });
const wipe = (host: string): Fault => fault({ kind: 'wipe', host, downMs: 1 });
const decay = (host: string, files: 'log' | 'segments'): Fault =>
  fault({ kind: 'damage', host, files, how: 'flip', file: 0, place: 0, bit: 0, downMs: 1 });

describe('the atlas', () => {
  const standing = (more: Partial<Standing> = {}): Standing => ({
    coordinators: ['coord-0', 'coord-1', 'coord-2'],
    volumes: ['volume-0', 'volume-1', 'volume-2'],
    minReplicas: 2,
    isSynced: true,
    isWhole: () => false,
    ...more,
  });

  it('lets one volume lose its bytes, and the next one once all is whole', () => {
    let isWhole = false;
    const atlas = new Atlas(standing({ isWhole: () => isWhole }), 'within');
    expect(atlas.admit(wipe('volume-1'))).toEqual(['volume-1']);
    expect(atlas.admit(wipe('volume-2'))).toEqual([]);
    expect(atlas.admit(wipe('volume-1'))).toEqual(['volume-1']);
    isWhole = true;
    expect(atlas.admit(wipe('volume-2'))).toEqual(['volume-2']);
  });

  it('never moves on from a volume whose bytes have decayed unseen', () => {
    const atlas = new Atlas(standing({ isWhole: () => true }), 'within');
    expect(atlas.admit(decay('volume-1', 'segments'))).toEqual(['volume-1']);
    expect(atlas.admit(wipe('volume-2'))).toEqual([]);
  });

  it('lets fewer than a majority of coordinators lose their logs', () => {
    const atlas = new Atlas(standing(), 'within');
    expect(atlas.admit(decay('coord-1', 'log'))).toEqual(['coord-1']);
    expect(atlas.admit(decay('coord-2', 'log'))).toEqual([]);
  });

  it('cuts the power of all volumes only where acknowledged bytes are synced', () => {
    const hosts = ['coord-0', 'coord-1', 'coord-2', 'volume-0', 'volume-1', 'volume-2'];
    const cut = fault({ kind: 'power-cut', hosts, downMs: 1 });
    expect(new Atlas(standing(), 'within').admit(cut)).toEqual(hosts);
    const unsynced = new Atlas(standing({ isSynced: false }), 'within').admit(cut);
    expect(unsynced).toEqual(hosts.slice(0, 4));
  });

  it('admits everything beyond', () => {
    const atlas = new Atlas(standing({ minReplicas: 1 }), 'beyond');
    for (const host of ['volume-0', 'volume-1', 'volume-2']) {
      expect(atlas.admit(wipe(host))).toEqual([host]);
    }
  });
});

describe('faults of links', () => {
  it('overlap: the worst is in force, and the link is well when all are over', () => {
    const links = new Map<string, Partial<LinkFaults>>();
    const table = new LinkTable({
      set: (from, to, faults) =>
        links.set(`${from}>${to}`, { ...links.get(`${from}>${to}`), ...faults }),
    });
    const endCut = table.add([['a', 'b']], { isCut: true });
    const endSlow = table.add(
      [
        ['a', 'b'],
        ['b', 'a'],
      ],
      { delayMsMin: 50, delayMsMean: 9 },
    );
    expect(links.get('a>b')).toMatchObject({ isCut: true, delayMsMin: 50 });
    endCut();
    expect(links.get('a>b')).toMatchObject({ isCut: false, delayMsMin: 50, delayMsMean: 9 });
    endSlow();
    expect(links.get('a>b')).toMatchObject({ isCut: false, delayMsMin: 0, resetChance: 0 });
    expect(links.get('b>a')).toMatchObject({ isCut: false, delayMsMin: 0 });
  });
});
