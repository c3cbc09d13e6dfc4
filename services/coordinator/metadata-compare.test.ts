/**
 * By what the state of a node is judged: digests at the same indexes as everywhere, and what is really
 * stored against what was applied, on a real LevelDB.
 */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Level } from 'level';
import { utf8 } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { recordKey } from '../metadata/keys.ts';
import { openBench } from '../testing/metadata-bench.ts';
import { removeTempDirs, tempDir } from '../testing/temp-dir.ts';
import type { ReplicatedMetadata } from './metadata-machine.ts';
import type { StateDigest } from './state-exchange.ts';

afterEach(removeTempDirs);

describe('what the state is compared by', () => {
  test('its digest is told at each 1024th index, however entries were batched', async () => {
    const { b, machine } = await openBench();
    const other = await b.open(join(await tempDir(), 'state'));
    const told: [ReplicatedMetadata, StateDigest[]][] = [machine, other].map((node) => {
      const digests: StateDigest[] = [];
      node.onDigest((digest) => digests.push(digest));
      return [node, digests];
    });
    while (b.world.index < 2050) {
      b.put(`k${b.world.index % 50}`, b.world.index + 1);
      if (b.world.index % 7 === 0) b.feed(other);
    }
    b.feed(machine);
    b.feed(other);
    const [[, first] = [], [, second] = []] = told;
    expect(first?.map(({ index }) => index)).toEqual([1024, 2048]);
    expect(second).toEqual(first);
    expect(first?.[0]?.digest).not.toBe(first?.[1]?.digest);
    await machine.close();
    await other.close();
  });

  test('a scrub shows one flushed state, whatever is applied meanwhile', async () => {
    const { b, machine } = await openBench();
    for (let i = 0; i < 1200; i += 1) b.put(`k${i}`, i + 1);
    b.feed(machine);
    await machine.flush();
    const { flushed } = machine;
    const pace = async (): Promise<void> => {
      b.put('k5', b.world.index + 5000);
      b.feed(machine);
      await machine.flush();
    };
    expect(await machine.scrub(pace)).toEqual({ index: flushed.index, isSound: true });
    expect(machine.flushed.index).toBeGreaterThan(flushed.index);
    await machine.close();
  });

  test.each([true, false])(
    'given up, the next start begins anew if others have it: %s',
    async (isReplaceable) => {
      const { b, path, machine } = await openBench();
      b.put('k', 1);
      b.feed(machine);
      await machine.flush();
      machine.giveUp(new KvError('STATE_DIVERGED', 'another state'), isReplaceable);
      expect(machine.isTrusted).toBe(false);
      await b.stopped.promise;
      expect(b.fatal).toMatchObject([{ code: 'STATE_DIVERGED' }]);
      await machine.close();
      const again = await b.open(path);
      expect(again.applied.index).toBe(isReplaceable ? 0 : b.world.index);
      await again.close();
    },
  );
});

describe('scrub', () => {
  const noPause = (): Promise<void> => Promise.resolve();
  /** Opens the table behind the machine's back, while it is closed. */
  const tampered = async (
    path: string,
    change: (db: Level<Uint8Array, Uint8Array>) => Promise<void>,
  ): Promise<void> => {
    const encodings = { keyEncoding: 'view', valueEncoding: 'view', compression: false } as const;
    const db = new Level<Uint8Array, Uint8Array>(join(path, 'metadata-1'), encodings);
    await change(db);
    await db.close();
  };

  test('passes over a state that is what was applied, with young rows or without', async () => {
    const { b, machine } = await openBench();
    for (let i = 0; i < 20; i += 1) b.put(`k${i}`, i);
    b.feed(machine);
    await machine.scrub(noPause);
    b.put('young', 1);
    b.feed(machine, false);
    await machine.scrub(noPause);
    expect(b.fatal).toEqual([]);
    await machine.close();
  });

  test('is told where a row is gone that no checksum misses', async () => {
    const { b, path, machine } = await openBench();
    for (let i = 0; i < 20; i += 1) b.put(`k${i}`, i);
    b.feed(machine);
    await machine.close();
    await tampered(path, (db) => db.del(recordKey(utf8('k7'))));
    const harmed = await b.open(path);
    expect(b.damage).toEqual([]);
    expect((await harmed.scrub(noPause)).isSound).toBe(false);
    expect(b.fatal).toEqual([]);
    await harmed.close();
  });

  test.each([true, false])(
    'a snapshot that lacks a row ends the process; thrown away if others have it: %s',
    async (othersAgree) => {
      const { b, path, machine } = await openBench();
      for (let i = 0; i < 20; i += 1) b.put(`k${i}`, i);
      b.feed(machine);
      await machine.close();
      await tampered(path, (db) => db.del(recordKey(utf8('k7'))));
      const harmed = await b.open(path);
      harmed.othersAgree = () => othersAgree;
      const snapshot = await harmed.openSnapshot();
      const read = async (): Promise<void> => {
        for await (const _ of snapshot.chunks);
      };
      await expect(read()).rejects.toMatchObject({ code: 'STATE_DIVERGED' });
      await snapshot.close();
      await b.stopped.promise;
      await harmed.close();
      expect(b.fatal).toMatchObject([{ code: 'STATE_DIVERGED' }]);
      const anew = await b.open(path);
      expect(anew.applied.index).toBe(othersAgree ? 0 : b.world.index);
      await anew.close();
    },
  );

  test('ends the process where a table file decays under it', async () => {
    const { b, path, machine } = await openBench();
    for (let i = 0; i < 20; i += 1) b.put(`k${i}`, i);
    b.feed(machine);
    await machine.close();
    const running = await b.open(path);
    const folder = join(path, 'metadata-1');
    const name = (await readdir(folder)).find((file) => file.endsWith('.ldb')) ?? '';
    const bytes = await readFile(join(folder, name));
    const at = bytes.indexOf('k7');
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(join(folder, name), bytes);
    await running.scrub(noPause).catch(() => undefined);
    await b.stopped.promise;
    expect(b.fatal).toMatchObject([{ code: 'CORRUPT' }]);
    await running.close();
  });
});
