import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '../testing/manual-clock.ts';
import { CoordinatorFinder } from './coordinator-finder.ts';

/** A finder over names that the test holds; `seen` is what it has told, newest last. */
function setting(names: Record<string, readonly string[]>, configured = Object.keys(names)) {
  const clock = new ManualClock();
  const seen: string[][] = [];
  const links = { isWhole: true };
  let lookups = 0;
  const finder = new CoordinatorFinder(
    {
      clock,
      resolve: async (name) => {
        lookups += 1;
        const found = names[name];
        if (found === undefined) throw new Error(`no ${name}`);
        return found;
      },
    },
    {
      names: configured,
      changed: (addresses) => seen.push([...addresses]),
      isWhole: () => links.isWhole,
    },
  );
  return { clock, seen, links, finder, lookups: () => lookups };
}

describe('the addresses of the coordinators', () => {
  test('are all those behind one name, each once', async () => {
    const { clock, seen, finder } = setting({ 'c:1': ['10.0.0.1:1', '10.0.0.2:1', '10.0.0.1:1'] });
    finder.start();
    await clock.flush();
    expect(seen).toEqual([['10.0.0.1:1', '10.0.0.2:1']]);
  });

  test('are looked up again every five seconds', async () => {
    const names = { 'c:1': ['10.0.0.1:1'] };
    const { clock, seen, finder } = setting(names);
    finder.start();
    await clock.flush();
    names['c:1'] = ['10.0.0.9:1'];
    await clock.advance(4999);
    expect(seen).toHaveLength(1);
    await clock.advance(1);
    expect(seen.at(-1)).toEqual(['10.0.0.9:1']);
  });

  test('are looked up at once when a link is lost, and often until it is back', async () => {
    const names = { 'c:1': ['10.0.0.1:1'] };
    const { clock, seen, links, finder, lookups } = setting(names);
    finder.start();
    await clock.flush();
    links.isWhole = false;
    await finder.refresh();
    expect(lookups()).toBe(2);
    names['c:1'] = ['10.0.0.9:1'];
    await clock.advance(500);
    expect(seen.at(-1)).toEqual(['10.0.0.9:1']);
    links.isWhole = true;
    await clock.advance(500);
    await clock.advance(4000);
    expect(lookups()).toBe(4);
  });

  test('of a name that does not resolve yet are looked up often: a volume may start before it', async () => {
    const names: Record<string, readonly string[]> = {};
    const { clock, seen, finder } = setting(names, ['c:1']);
    finder.start();
    await clock.flush();
    expect(seen).toEqual([[]]);
    names['c:1'] = ['10.0.0.1:1'];
    await clock.advance(500);
    expect(seen.at(-1)).toEqual(['10.0.0.1:1']);
  });

  test('of a name that does not resolve now stay what they were', async () => {
    const names: Record<string, readonly string[]> = { 'c:1': ['10.0.0.1:1'], 'd:1': [] };
    const { clock, seen, finder } = setting(names);
    finder.start();
    await clock.flush();
    delete names['c:1'];
    names['d:1'] = ['10.0.0.2:1'];
    await clock.advance(5000);
    expect(seen.at(-1)).toEqual(['10.0.0.1:1', '10.0.0.2:1']);
    finder.stop();
    await clock.advance(20_000);
    expect(seen).toHaveLength(2);
  });

  test('are looked up five seconds after the last look, whatever caused it', async () => {
    const { clock, finder, lookups } = setting({ 'c:1': ['10.0.0.1:1'] });
    finder.start();
    await clock.advance(3000);
    await finder.refresh();
    await clock.advance(4900);
    expect(lookups()).toBe(2);
    await clock.advance(200);
    expect(lookups()).toBe(3);
    finder.stop();
  });

  test('are looked up once at a time, and an answer after a stop is nothing', async () => {
    const clock = new ManualClock();
    const slow = Promise.withResolvers<readonly string[]>();
    const seen: string[][] = [];
    let lookups = 0;
    const resolve = (): Promise<readonly string[]> => {
      lookups += 1;
      return slow.promise;
    };
    const changed = (addresses: ReadonlySet<string>): void => void seen.push([...addresses]);
    const finder = new CoordinatorFinder(
      { clock, resolve },
      { names: ['c:1'], changed, isWhole: () => true },
    );
    finder.start();
    void finder.refresh();
    await clock.flush();
    expect(lookups).toBe(1);
    finder.stop();
    slow.resolve(['10.0.0.1:1']);
    await clock.advance(60_000);
    expect([seen, lookups]).toEqual([[], 1]);
  });
});
