import { describe, expect, test } from '@jest/globals';
import { concatBytes, utf8 } from '../common/bytes.ts';
import { digestOf } from '../common/digest.ts';
import { blobId, type DiskId, logIndex, nodeId } from '../common/ids.ts';
import { checkRedirect } from '../common/redirect-token.ts';
import { MIB } from '../common/units.ts';
import { CoordinatorWorld, patterned } from '../testing/coordinator-world.ts';
import type { FakeVolume } from '../testing/fake-volumes.ts';
import { BlobCache } from './blob-cache.ts';

const key = utf8('k');
const small = utf8('a small value');
const large = patterned(5 * MIB + 777);

/** A world that holds `value` under k and, if small, not in its cache. */
async function holding(value: Uint8Array, options = {}): Promise<CoordinatorWorld> {
  const world = new CoordinatorWorld(options);
  await world.done(world.put('k', value));
  world.cache.resize(0);
  return world;
}

const copyOn = (volume: FakeVolume) => [...volume.copies.values()][0]!;
const each = (world: CoordinatorWorld, change: (volume: FakeVolume) => void): void => {
  for (const volume of world.volumes.all()) change(volume);
};
const fetches = (world: CoordinatorWorld): number =>
  world.volumes.all().flatMap(({ calls }) => calls.filter((call) => call === 'fetch')).length;

/** Reads all and answers the digest, as comparing megabytes is slow. */
const read = async (world: CoordinatorWorld): Promise<string> => digestOf(await world.get('k'));

describe.each([
  ['a small value', small],
  ['a large value', large],
])('%s', (_, value) => {
  test('is read from any one copy that is left', async () => {
    for (const left of [1, 2, 3]) {
      const world = await holding(value);
      each(world, (volume) => {
        if (volume.disk !== left) volume.mood = 'failing';
      });
      expect(await world.done(read(world))).toBe(digestOf(value));
    }
  });

  test('a silent volume costs a second and is avoided afterwards', async () => {
    const world = await holding(value);
    world.volumes.at(1).mood = 'silent';
    world.volumes.at(2).mood = 'silent';
    const reading = read(world);
    expect(await world.done(reading, 2100)).toBe(digestOf(value));
    expect(await world.done(read(world))).toBe(digestOf(value));
  });

  test('absent or bad copies are reported and the next is read', async () => {
    const world = await holding(value);
    world.volumes.at(1).copies.clear();
    copyOn(world.volumes.at(2)).isBad = true;
    expect(await world.done(read(world))).toBe(digestOf(value));
    const reported = world.consensus.commandsOf('suspect').map(({ disk }) => disk);
    for (const disk of reported) expect([1, 2]).toContain(disk);
    const again: string[] = [];
    for (let i = 0; i < 8; i += 1) again.push(await world.done(read(world)));
    expect(new Set(again)).toEqual(new Set([digestOf(value)]));
    expect(new Set(world.consensus.commandsOf('suspect').map(({ disk }) => disk))).toEqual(
      new Set([1, 2]),
    );
  });

  test('wrong bytes are never given out as if they were right', async () => {
    const world = await holding(value);
    each(world, (volume) => {
      const copy = copyOn(volume);
      copy.parts = [concatBytes([value.subarray(0, value.length - 1), Uint8Array.of(0xff)])];
    });
    expect(await world.code(world.get('k'))).toBe('DATA_LOSS');
    expect(world.cache.bytes).toBe(0);
  });

  test('all copies absent or bad: DATA_LOSS, never 404', async () => {
    const world = await holding(value);
    each(world, (volume) => volume.copies.clear());
    expect(await world.code(world.get('k'))).toBe('DATA_LOSS');
    expect(world.consensus.commandsOf('suspect')).toHaveLength(3);
  });

  test('one copy merely unreachable: 503, never 404 and no DATA_LOSS', async () => {
    const world = await holding(value);
    each(world, (volume) => volume.copies.clear());
    world.volumes.at(2).mood = 'failing';
    expect(await world.code(world.get('k'))).toBe('REPLICAS_UNAVAILABLE');
    world.volumes.at(2).mood = 'well';
    world.volumes.at(2).isHeard = false;
    expect(await world.code(world.get('k'))).toBe('REPLICAS_UNAVAILABLE');
    each(world, (volume) => {
      volume.isHeard = false;
    });
    expect(await world.code(world.get('k'))).toBe('REPLICAS_UNAVAILABLE');
  });

  test('a copy that its disk refuses to read is not lost: 503, and nothing is suspected', async () => {
    const world = await holding(value);
    each(world, (volume) => {
      copyOn(volume).isRefused = true;
    });
    expect(await world.code(world.get('k'))).toBe('REPLICAS_UNAVAILABLE');
    expect(world.consensus.commandsOf('suspect')).toHaveLength(0);
    expect(world.volumes.all().map(({ suspected }) => suspected)).toEqual([false, false, false]);
  });

  test('a copy that its disk refuses to read is made anew once another one has served', async () => {
    const world = await holding(value);
    for (const disk of [1, 2]) copyOn(world.volumes.at(disk)).isRefused = true;
    const reported = () => new Set(world.consensus.commandsOf('suspect').map(({ disk }) => disk));
    for (let i = 0; i < 8; i += 1) expect(await world.done(read(world))).toBe(digestOf(value));
    expect(reported()).toEqual(new Set([1, 2]));
  });

  test('absent copies are not believed without a fresh barrier', async () => {
    const world = await holding(value);
    const found = await world.done(world.gateway.find(key, world.reading()));
    each(world, (volume) => volume.copies.clear());
    world.consensus.isCutOff = true;
    const opened = world.gateway.open(found, null, key, world.reading());
    expect(await world.code(opened)).toBe('REPLICAS_UNAVAILABLE');
    expect(world.consensus.commandsOf('suspect')).toHaveLength(0);
  });

  test('replaced meanwhile: starts over with the new value, reports nothing', async () => {
    const world = await holding(value);
    const found = await world.done(world.gateway.find(key, world.reading()));
    each(world, (volume) => volume.copies.clear());
    await world.done(world.put('k', utf8('newer')));
    const opened = await world.done(world.gateway.open(found, null, key, world.reading()));
    expect(opened.whole).toEqual(utf8('newer'));
    expect(opened.found.record.blobId).not.toBe(found.record.blobId);
    expect(world.consensus.commandsOf('suspect')).toHaveLength(0);
  });

  test('deleted meanwhile: 404, by a fresh barrier', async () => {
    const world = await holding(value);
    const found = await world.done(world.gateway.find(key, world.reading()));
    each(world, (volume) => volume.copies.clear());
    await world.done(world.gateway.delete(key, null, world.mutation()));
    const opened = world.gateway.open(found, null, key, world.reading());
    expect(await world.code(opened)).toBe('KEY_NOT_FOUND');
  });
});

describe('a large value', () => {
  test('the last piece is withheld until the digest of the whole is right', async () => {
    const world = await holding(large);
    each(world, (volume) => {
      const wrong = large.slice();
      wrong[10] = (wrong[10] ?? 0) ^ 1;
      copyOn(volume).parts = [wrong];
    });
    const opened = await world.done(world.open('k'));
    let given = 0;
    const reading = (async () => {
      for await (const part of opened.body) given += part.length;
    })();
    expect(await world.code(reading)).toBe('DATA_LOSS');
    expect(given).toBeLessThan(large.length);
    expect(given).toBeGreaterThan(0);
  });

  test('a volume that dies in the middle is replaced at the byte where it stopped', async () => {
    const world = await holding(large);
    const opened = await world.done(world.open('k'));
    const used = world.volumes.all().find(({ calls }) => calls.includes('fetch'));
    if (used !== undefined) used.mood = 'failing';
    const parts: Uint8Array[] = [];
    const reading = (async () => {
      for await (const part of opened.body) parts.push(part);
    })();
    await world.done(reading);
    expect(digestOf(concatBytes(parts))).toBe(digestOf(large));
    expect(used?.suspected).toBe(true);
  });

  test('no more than a few pieces are fetched ahead of the reader', async () => {
    const world = await holding(patterned(12 * MIB));
    const opened = await world.done(world.open('k'));
    await world.settle();
    expect(fetches(world)).toBeLessThanOrEqual(9);
    const iterator = opened.body[Symbol.asyncIterator]();
    await iterator.return?.();
  });

  test('a range gives just its bytes', async () => {
    const world = await holding(large);
    const found = await world.done(world.gateway.find(key, world.reading()));
    for (const [offset, length] of [
      [0, 1],
      [MIB - 3, 7],
      [large.length - 5, 5],
      [100, 3 * MIB],
    ] as const) {
      const opened = await world.done(
        world.gateway.open(found, { offset, length }, key, world.reading()),
      );
      const parts: Uint8Array[] = [];
      const reading = (async () => {
        for await (const part of opened.body) parts.push(part);
      })();
      await world.done(reading);
      expect(digestOf(concatBytes(parts))).toBe(digestOf(large.subarray(offset, offset + length)));
    }
    const outside = world.gateway.open(
      found,
      { offset: large.length, length: 1 },
      key,
      world.reading(),
    );
    expect(await world.code(outside)).toBe('INVALID_RANGE');
  });
});

describe('a lookup', () => {
  test('R17: waits for a barrier unless stale is asked for', async () => {
    const world = await holding(small);
    world.consensus.isCutOff = true;
    expect(await world.code(world.gateway.find(key, world.reading()))).toBe('NO_LEADER');
    const stale = world.gateway.find(key, world.reading({ consistency: 'stale' }));
    expect((await world.done(stale)).readIndex).toBe(world.metadata.appliedIndex);
    const ahead = logIndex(world.metadata.appliedIndex + 1);
    const later = world.gateway.find(key, world.reading({ consistency: 'stale', minIndex: ahead }));
    expect(await world.code(later)).toBe('DEADLINE_EXCEEDED');
  });

  test('an absent key is 404 only at a barrier', async () => {
    const world = new CoordinatorWorld();
    expect(await world.code(world.get('none'))).toBe('KEY_NOT_FOUND');
    world.consensus.isCutOff = true;
    expect(await world.code(world.get('none'))).toBe('NO_LEADER');
  });

  test('one barrier serves find and open', async () => {
    const world = await holding(small);
    const before = world.consensus.barriers;
    await world.done(world.get('k'));
    expect(world.consensus.barriers).toBe(before + 1);
  });

  test('listing waits for a barrier', async () => {
    const world = await holding(small);
    const none = new Uint8Array(0);
    const request = { prefix: none, start: none, end: none, after: null, limit: 10 };
    const page = await world.done(world.gateway.list(request, world.reading()));
    expect(page.entries.map(({ size }) => size)).toEqual([small.length]);
    world.consensus.isCutOff = true;
    expect(await world.code(world.gateway.list(request, world.reading()))).toBe('NO_LEADER');
  });
});

describe('the cache', () => {
  test('serves small values that were read before, and holds none for having been written', async () => {
    const world = new CoordinatorWorld();
    await world.done(world.put('k', small));
    expect(world.cache.bytes).toBe(0);
    for (let i = 0; i < 3; i += 1) {
      expect(await world.done(world.get('k'))).toEqual(small);
      expect(fetches(world)).toBe(1);
    }
  });

  test('never serves what an overwrite replaced', async () => {
    const world = new CoordinatorWorld();
    for (let i = 0; i < 20; i += 1) {
      await world.done(world.put('k', utf8(`value ${i}`)));
      expect(await world.done(world.get('k'))).toEqual(utf8(`value ${i}`));
    }
  });

  test('does not see later changes of the bytes that it was given', () => {
    const cache = new BlobCache({ bytesMax: 2 ** 20 });
    const given = small.slice();
    const id = blobId('1'.repeat(32));
    cache.insert(id, given);
    given.fill(0);
    expect(cache.find(id)).toEqual(small);
  });

  test('lets the least recently used go', () => {
    const cache = new BlobCache({ bytesMax: 3 * (100 + 256) });
    const ids = ['1', '2', '3', '4'].map((digit) => digit.repeat(32)) as never[];
    const [a, b, c, d] = ids as [never, never, never, never];
    for (const id of [a, b, c]) cache.insert(id, new Uint8Array(100));
    cache.find(a);
    cache.insert(d, new Uint8Array(100));
    expect(ids.map((id) => cache.find(id) !== undefined)).toEqual([true, false, true, true]);
    expect(cache.bytes).toBe(3 * 356);
    cache.insert('5'.repeat(32) as never, new Uint8Array(2 ** 20));
    expect(cache.bytes).toBe(3 * 356);
  });

  test('keeps what is in use through many times its size, within its bytes', () => {
    const bytesMax = 2 ** 20;
    const cache = new BlobCache({ bytesMax });
    const id = (i: number): never => String(i).padStart(32, '0') as never;
    for (let i = 0; i < 6000; i += 1) {
      cache.insert(id(i), Uint8Array.of(i & 0xff, i >> 8));
      expect(cache.find(id(0))).toEqual(Uint8Array.of(0, 0));
      if (i >= 1000)
        expect(cache.find(id(i - 1000))).toEqual(Uint8Array.of((i - 1000) & 0xff, (i - 1000) >> 8));
      expect(cache.bytes).toBeLessThanOrEqual(bytesMax);
    }
    expect(cache.find(id(1001))).toBeUndefined();
  });
});

test('a redirect names a live volume with a token that it accepts', async () => {
  const world = await holding(small);
  world.volumes.at(1).isHeard = false;
  world.volumes.at(2).suspected = true;
  const found = await world.done(world.gateway.find(key, world.reading()));
  const url = new URL(world.gateway.redirect(found)?.url ?? '');
  expect(url.host).toBe('host-3:6000');
  const copyId = found.record.copies.find(({ disk }) => disk === 3)?.copyId;
  expect(url.pathname).toBe(`/blob/${copyId}`);
  const expiresMs = Number(url.searchParams.get('expires'));
  const disk = Number(url.searchParams.get('disk')) as DiskId;
  const token = url.searchParams.get('token') ?? '';
  const { redirectKey } = world.metadata.cluster;
  const grant = { copyId: copyId!, disk, expiresMs };
  expect(checkRedirect(redirectKey, grant, token, world.clock.wallMs())).toBe(true);
  expect(checkRedirect(redirectKey, grant, token, expiresMs + 1)).toBe(false);
  each(world, (volume) => {
    volume.isHeard = false;
  });
  expect(() => world.gateway.redirect(found)).toThrow(
    expect.objectContaining({ code: 'REPLICAS_UNAVAILABLE' }),
  );
});

test('a transaction is decided, pending, refused by the fence, or forgotten', async () => {
  const world = new CoordinatorWorld();
  const { txnId } = await world.done(world.put('k', small));
  expect(await world.done(world.gateway.transaction(txnId, 1000))).toMatchObject({
    kind: 'decided',
  });
  world.consensus.mode = 'lose';
  const lost = await world.end(world.put('k', small, { context: { timeoutMs: 100 } }), 300);
  const unknown = lost.kind === 'failed' ? String(lost.error.detail['txnId']) : '';
  const ask = () => world.gateway.transaction(unknown as never, 1000);
  expect(await world.done(ask())).toEqual({ kind: 'pending' });
  const advance = (forget: boolean) => {
    const to = logIndex(world.metadata.appliedIndex + 1);
    const marks = { fence: to, reclaim: logIndex(0), forget: forget ? to : logIndex(0), timeMs: 0 };
    world.consensus.apply({ kind: 'advance', ...marks });
  };
  advance(false);
  expect(await world.done(ask())).toEqual({ kind: 'not-applied' });
  advance(true);
  expect(await world.done(ask())).toEqual({ kind: 'unknown' });
  world.consensus.leader = nodeId(0);
  world.consensus.isCutOff = true;
  expect(await world.code(ask())).toBe('NO_LEADER');
});
