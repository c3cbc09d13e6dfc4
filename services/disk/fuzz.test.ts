/** Frame logs and two-slot files whose bytes anything may have happened to: a reader judges, and never throws. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { seededRandom } from '../common/random.ts';
import { anyDamage, awaitedOr, damaged, harmed } from '../testing/arbitrary-damage.ts';
import { contentOf } from './content.ts';
import { readFrame, sealFrame } from './frame.ts';
import { FrameLog } from './frame-log.ts';
import { MemoryDisk } from './memory-disk.ts';
import { TwoSlotFile } from './two-slot-file.ts';

test('a frame comes back where it was sealed, and noise is none', () => {
  const rules = { bodyBytesMax: 64, seed: 7 };
  const framed = (body: Uint8Array): Uint8Array => {
    const bytes = new Uint8Array(8 + body.length);
    bytes.set(body, 8);
    sealFrame(bytes, 0, body.length, rules.seed);
    return bytes;
  };
  const body = fc.uint8Array({ minLength: 1, maxLength: 64 });
  fc.assert(
    fc.property(body, (wanted) => {
      const read = readFrame(framed(wanted), 0, rules);
      expect(read).toEqual({ kind: 'frame', body: wanted, next: 8 + wanted.length });
    }),
  );
  fc.assert(
    fc.property(body, damaged(body.map(framed)), (_, bytes) => {
      const read = readFrame(bytes, 0, rules);
      if (read.kind === 'frame') expect(read.next).toBeLessThanOrEqual(bytes.length);
    }),
    { numRuns: 300 },
  );
});

const PATH = '/log';

async function openLog(disk: MemoryDisk, read: string[] = []): Promise<FrameLog> {
  return FrameLog.open(
    { disk, random: seededRandom(5) },
    {
      path: PATH,
      segmentBytes: 400,
      payloadBytesMax: 200,
      durableTo: 0,
      head: (position) => Buffer.from(`head ${position}`),
      onFrame: ({ payload }) => read.push(Buffer.from(payload).toString()),
      beforeRepair: () => Promise.resolve(),
    },
  );
}

async function replace(disk: MemoryDisk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, (await disk.exists(path)) ? 'write' : 'create');
  await file.truncate(0);
  await file.write(0, [bytes]);
  await file.close();
}

test('whatever happens to one segment, a log opens with frames that it once had, and goes on', async () => {
  const whole = new MemoryDisk();
  const log = await openLog(whole);
  const written = Array.from({ length: 24 }, (_, i) => `frame ${i} ${'x'.repeat(i)}`);
  for (const payload of written) await log.append([Buffer.from(payload)]);
  await log.close();
  const names = (await whole.list(PATH)).filter((name) => name.endsWith('.log'));
  expect(names.length).toBeGreaterThan(2);
  const files = new Map<string, Uint8Array>();
  for (const name of names) files.set(name, await contentOf(whole, `${PATH}/${name}`));
  const segment = fc.constantFrom(...files.keys());
  await fc.assert(
    fc.asyncProperty(segment, anyDamage, async (target, damage) => {
      const disk = new MemoryDisk();
      await disk.makeFolder(PATH);
      for (const [name, content] of files) {
        const bytes = name === target ? harmed(content, damage) : content;
        await replace(disk, `${PATH}/${name}`, bytes);
      }
      const read: string[] = [];
      const again = await openLog(disk, read);
      const frames = read.filter((payload) => !payload.startsWith('head'));
      // Without its front a log may begin anywhere; from there on nothing is left out.
      const start = frames[0] === undefined ? 0 : written.indexOf(frames[0]);
      expect(frames).toEqual(written.slice(start, start + frames.length));
      await again.append([Buffer.from('later')]);
      await again.close();
      const last: string[] = [];
      await (await openLog(disk, last)).close();
      expect(last.filter((payload) => !payload.startsWith('head'))).toEqual([...frames, 'later']);
    }),
    { numRuns: 200 },
  );
});

test('whatever happens to a two-slot file, it holds one of the last two records or says damage', async () => {
  const options = { path: '/two', slotBytes: 4096 };
  const whole = new MemoryDisk();
  await whole.makeFolder('/');
  const file = await TwoSlotFile.open(whole, options);
  for (const text of ['one', 'two', 'three']) await file.write(Buffer.from(text));
  await file.close();
  const sound = await contentOf(whole, '/two');
  await fc.assert(
    fc.asyncProperty(damaged(fc.constant(sound)), async (bytes) => {
      const disk = new MemoryDisk();
      await replace(disk, '/two', bytes);
      const opened = await awaitedOr(['CORRUPT', 'DISK_FAILED'], () =>
        TwoSlotFile.open(disk, options),
      );
      const found = opened?.found;
      if (found?.kind !== 'record') return;
      expect(['two', 'three']).toContain(Buffer.from(found.record).toString());
    }),
    { numRuns: 200 },
  );
});
