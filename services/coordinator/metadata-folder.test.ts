/** The pointer to the present table: whatever stands in it, a folder opens, and says what was wrong. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { utf8 } from '../common/bytes.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { publishFile } from '../disk/publish.ts';
import { hostile } from '../testing/arbitrary-damage.ts';
import { MetadataFolder } from './metadata-folder.ts';

const PATH = '/node/metadata';
const POINTER = `${PATH}/metadata.current`;

test('a pointer with a flipped bit is damage, not the end of the process', async () => {
  const disk = new MemoryDisk();
  await MetadataFolder.open(disk, PATH);
  disk.flipBit(POINTER, 0, 7);
  const folder = await MetadataFolder.open(disk, PATH);
  expect(folder.found).toMatchObject({ damage: 'pointer' });
  expect((await MetadataFolder.open(disk, PATH)).found).toMatchObject({ damage: 'missing' });
});

test('whatever stands in the pointer, a folder opens', async () => {
  await fc.assert(
    fc.asyncProperty(hostile(fc.constant(utf8('metadata-1\n'))), async (bytes) => {
      const disk = new MemoryDisk();
      await MetadataFolder.open(disk, PATH);
      await publishFile(disk, POINTER, [bytes]);
      const folder = await MetadataFolder.open(disk, PATH);
      const isSame = folder.current === `${PATH}/metadata-1`;
      expect(folder.found === null).toBe(isSame);
    }),
  );
});
