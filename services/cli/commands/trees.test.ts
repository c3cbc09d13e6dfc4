/** Import and export where single items fail, and where only what stands beside the bytes differs. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KvClient } from '../../client/kv-client.ts';
import { KvError } from '../../common/errors.ts';
import { FakeKvServer, refuse } from '../../testing/kv-server.ts';
import type { Tally } from '../progress.ts';
import type { Terminal } from '../terminal.ts';
import { exportTree } from './export.ts';
import { importTree } from './import.ts';

let server: FakeKvServer;
let client: KvClient;
let folder: string;
let root: string;
let back: string;
let said: string;
let terminal: Terminal;

beforeEach(async () => {
  server = await FakeKvServer.start();
  client = new KvClient([server.url], { deadlineMs: 100 });
  folder = mkdtempSync(join(tmpdir(), 'minikv-trees-'));
  chmodSync(folder, 0o755);
  root = join(folder, 'tree');
  back = join(folder, 'back');
  mkdirSync(root);
  said = '';
  const stderr = new PassThrough().on('data', (piece: Buffer) => {
    said += piece.toString();
  });
  terminal = {
    stdin: Readable.from([]),
    stdout: new PassThrough().resume(),
    stderr,
    interactive: false,
    env: {},
  };
});
afterEach(async () => {
  await client.close();
  await server.stop();
  rmSync(folder, { recursive: true });
});

const imports = (): Promise<Tally> =>
  importTree(client, terminal, { folder: root, prefix: '', concurrency: 2 });
const exports = (): Promise<Tally> =>
  exportTree(client, terminal, { prefix: '', folder: back, concurrency: 2 });
const write = (name: string, text: string): void => writeFileSync(join(root, name), text);
const told = async (): Promise<string> => {
  await new Promise((settle) => setImmediate(settle));
  return said;
};

const NOBODY = 65_534;

/** Root may read everything: as somebody else a folder can be closed. */
async function asNobody<T>(work: () => Promise<T>): Promise<T> {
  if (process.geteuid?.() !== 0) return work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}

describe('one bad item', () => {
  test.each([
    ['that cannot be listed', 0o000],
    ['whose files cannot be looked at', 0o744],
  ])('a folder %s fails, and the rest is imported', async (_how, mode) => {
    write('a', 'a');
    mkdirSync(join(root, 'lost'));
    write('lost/f', 'f');
    write('z', 'z');
    chmodSync(join(root, 'lost'), mode);
    const tally = await asNobody(imports).finally(() => chmodSync(join(root, 'lost'), 0o755));
    expect(tally).toMatchObject({ moved: 2, skipped: 0, failed: 1 });
    expect(await told()).toMatch(/^minikv: lost(\/f)?: (Error: )?EACCES.* \(FAILED\)\n$/);
  });

  test('a name that is not UTF-8 fails, even where its stand-in is there as well', async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.of(0xff)]), 'no text');
    write('\ufffd', 'text');
    expect(await imports()).toMatchObject({ moved: 1, skipped: 0, failed: 1 });
    expect(await told()).toBe('minikv: \ufffd: its name is not UTF-8 (INVALID_KEY)\n');
  });

  test('a folder that is not there at all is an error of the whole', async () => {
    rmSync(root, { recursive: true });
    await expect(imports()).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a file that goes before it is read fails alone', async () => {
    write('a', 'a');
    write('b', 'b');
    server.fault = () => {
      rmSync(join(root, 'a'), { force: true });
      return false;
    };
    expect(await imports()).toMatchObject({ moved: 1, failed: 1 });
  });

  test('a key without a copy in reach fails alone', async () => {
    for (const key of ['a', 'b', 'c', 'd']) server.store(key, Buffer.from(key));
    server.fault = (_request, response, { url }) => {
      if (url !== '/kv/b') return false;
      refuse(response, new KvError('REPLICAS_UNAVAILABLE', 'no copy'));
      return true;
    };
    expect(await exports()).toMatchObject({ moved: 3, failed: 1 });
    expect(await told()).toBe('minikv: b: no copy (REPLICAS_UNAVAILABLE)\n');
    expect(execFileSync('ls', ['-A', back]).toString()).toBe('a\nc\nd\n');
  });

  test('a key whose bytes break off each time fails alone', async () => {
    for (const key of ['a', 'b', 'c', 'd']) server.store(key, Buffer.from(key));
    server.fault = (_request, response, { url }) => {
      if (url !== '/kv/b') return false;
      response.writeHead(200, { 'content-length': 9, 'x-content-blake3': 'f'.repeat(64) });
      response.write('half');
      setImmediate(() => response.destroy());
      return true;
    };
    expect(await exports()).toMatchObject({ moved: 3, failed: 1 });
    expect(await told()).toContain('minikv: b: the bytes of "b" broke off');
  });

  test('a cluster that cannot serve still ends the whole', async () => {
    for (const key of ['a', 'b']) server.store(key, Buffer.from(key));
    server.fault = (_request, response, { url }) => {
      if (!url.startsWith('/kv/')) return false;
      refuse(response, new KvError('NO_LEADER', 'none leads'));
      return true;
    };
    await expect(exports()).rejects.toMatchObject({ code: 'NO_LEADER' });
  });
});

describe('the same bytes', () => {
  const kept = (key: string): Readonly<Record<string, string>> =>
    server.values.get(key)?.headers ?? {};

  test('with another mode are imported again, once', async () => {
    write('tool', '#!/bin/sh\n');
    await imports();
    chmodSync(join(root, 'tool'), 0o755);
    expect(await imports()).toMatchObject({ moved: 1, unchanged: 0 });
    expect(kept('tool')).toMatchObject({ 'x-minikv-meta-mode': '755' });
    expect(await imports()).toMatchObject({ moved: 0, unchanged: 1 });
    chmodSync(join(root, 'tool'), 0o644);
    expect(await imports()).toMatchObject({ moved: 1, unchanged: 0 });
    expect(kept('tool')).not.toHaveProperty('x-minikv-meta-mode');
  });

  test('as a file instead of a link are imported again', async () => {
    symlinkSync('target', join(root, 'l'));
    await imports();
    rmSync(join(root, 'l'));
    write('l', 'target');
    expect(await imports()).toMatchObject({ moved: 1 });
    expect(kept('l')['content-type']).not.toBe('inode/symlink');
    expect(await imports()).toMatchObject({ unchanged: 1 });
  });

  test('under a content type that another client chose are left alone', async () => {
    server.store('page', Buffer.from('<p>'), { 'content-type': 'text/html' });
    write('page', '<p>');
    expect(await imports()).toMatchObject({ moved: 0, unchanged: 1 });
  });

  test('with another mode are exported again, once', async () => {
    server.store('tool', Buffer.from('#!'));
    await exports();
    server.store('tool', Buffer.from('#!'), { 'x-minikv-meta-mode': '755' });
    expect(await exports()).toMatchObject({ moved: 1, unchanged: 0 });
    expect(statSync(join(back, 'tool')).mode & 0o111).not.toBe(0);
    expect(await exports()).toMatchObject({ moved: 0, unchanged: 1 });
    server.store('tool', Buffer.from('#!'));
    expect(await exports()).toMatchObject({ moved: 1, unchanged: 0 });
    expect(statSync(join(back, 'tool')).mode & 0o111).toBe(0);
  });

  test('as a link instead of a file, and back, are exported again', async () => {
    server.store('l', Buffer.from('target'));
    await exports();
    server.store('l', Buffer.from('target'), { 'content-type': 'inode/symlink' });
    expect(await exports()).toMatchObject({ moved: 1, failed: 0 });
    expect(readlinkSync(join(back, 'l'))).toBe('target');
    server.store('l', Buffer.from('target'));
    expect(await exports()).toMatchObject({ moved: 1, failed: 0 });
    expect(lstatSync(join(back, 'l')).isFile()).toBe(true);
    expect(readFileSync(join(back, 'l'), 'utf8')).toBe('target');
  });
});
