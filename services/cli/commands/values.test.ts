/** `minikv get` to a file, beside what other runs left or are writing. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { KvClient } from '../../client/kv-client.ts';
import { FakeKvServer } from '../../testing/kv-server.ts';
import { getValue, type Session } from './values.ts';

let server: FakeKvServer;
let folder: string;
let session: Session;

beforeEach(async () => {
  server = await FakeKvServer.start();
  folder = mkdtempSync(join(tmpdir(), 'minikv-get-'));
  const sink = (): PassThrough => new PassThrough().resume();
  session = {
    client: new KvClient([server.url]),
    terminal: {
      stdin: Readable.from([]),
      stdout: sink(),
      stderr: sink(),
      interactive: false,
      env: {},
    },
    form: 'text',
  };
});
afterEach(async () => {
  await session.client.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('a part that an interrupted run left is in nobody’s way, and stays', async () => {
  server.store('k', Buffer.from('value'));
  const file = join(folder, 'out');
  writeFileSync(`${file}.minikv-part`, 'left behind');
  await getValue(session, 'k', file);
  expect(readFileSync(file, 'utf8')).toBe('value');
  expect(readFileSync(`${file}.minikv-part`, 'utf8')).toBe('left behind');
});

test('two that write one file at once both succeed', async () => {
  const bytes = Buffer.alloc(2_000_000, 'large');
  server.store('k', bytes);
  const file = join(folder, 'out');
  await Promise.all([getValue(session, 'k', file), getValue(session, 'k', file)]);
  expect(readFileSync(file).equals(bytes)).toBe(true);
  expect(readdirSync(folder)).toEqual(['out']);
});
