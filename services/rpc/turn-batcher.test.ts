import { describe, expect, test } from '@jest/globals';
import { ManualClock } from '../testing/manual-clock.ts';
import { TurnBatcher } from './turn-batcher.ts';

function start(limits = { itemsMax: 100, bytesMax: 1000 }) {
  const clock = new ManualClock();
  const batches: string[][] = [];
  const batcher = new TurnBatcher<string>(clock, (items) => batches.push(items), limits);
  return { clock, batches, batcher };
}

describe('a turn batcher', () => {
  test('sends the items of one turn together, and nothing before its end', async () => {
    const { clock, batches, batcher } = start();
    for (const item of ['a', 'b', 'c']) batcher.push(item);
    expect(batches).toEqual([]);
    await clock.flush();
    batcher.push('d');
    await clock.flush();
    expect(batches).toEqual([['a', 'b', 'c'], ['d']]);
  });

  test('a full batch leaves at once, by count or by bytes', async () => {
    const { clock, batches, batcher } = start({ itemsMax: 2, bytesMax: 100 });
    batcher.push('a');
    batcher.push('b');
    expect(batches).toEqual([['a', 'b']]);
    batcher.push('c', 60);
    batcher.push('d', 60);
    expect(batches).toEqual([['a', 'b'], ['c']]);
    await clock.flush();
    expect(batches).toEqual([['a', 'b'], ['c'], ['d']]);
  });

  test('an item above the limit travels alone', async () => {
    const { clock, batches, batcher } = start({ itemsMax: 9, bytesMax: 10 });
    batcher.push('small', 1);
    batcher.push('huge', 50);
    batcher.push('small too', 1);
    await clock.flush();
    expect(batches).toEqual([['small'], ['huge'], ['small too']]);
  });

  test('cleared, it forgets what waited', async () => {
    const { clock, batches, batcher } = start();
    batcher.push('a');
    batcher.clear();
    await clock.flush();
    expect(batches).toEqual([]);
  });
});
