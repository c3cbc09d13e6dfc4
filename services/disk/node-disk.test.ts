import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { describeDisk } from './conformance.ts';
import { NodeDisk } from './node-disk.ts';

const makeRoot = (): Promise<string> => mkdtemp(join(tmpdir(), 'minikv-disk-'));

describeDisk('NodeDisk', async () => {
  const root = await makeRoot();
  return {
    disk: new NodeDisk(),
    root,
    cleanUp: () => rm(root, { recursive: true, force: true }),
  };
});

test('only the owner may read files and folders', async () => {
  const root = await makeRoot();
  const disk = new NodeDisk();
  await disk.makeFolder(join(root, 'x/y'));
  await (await disk.open(join(root, 'x/a'), 'create')).close();
  expect((await stat(join(root, 'x'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(root, 'x/a'))).mode & 0o777).toBe(0o600);
  await rm(root, { recursive: true });
});

test('a lock held by another process is seen, and ends when that process is killed', async () => {
  const root = await makeRoot();
  const disk = new NodeDisk();
  const program = join(root, 'holder.mts');
  await writeFile(
    program,
    `import { NodeDisk } from ${JSON.stringify(join(import.meta.dirname, 'node-disk.ts'))};
     await new NodeDisk().lock(process.argv[2]);
     console.log('held');
     setInterval(() => {}, 1000);`,
  );
  const holder = spawn(process.execPath, ['--no-warnings', program, root], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  await expect(disk.lock(root)).rejects.toMatchObject({ code: 'LOCKED' });
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  await (await disk.lock(root)).release();
  await rm(root, { recursive: true });
});
