/** The command line against a server over real HTTP: words, exit codes, output and whole trees. */

import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { VERSION } from '../common/version.ts';
import { FakeKvServer, refuse } from '../testing/kv-server.ts';
import { type LocalRequest, runProgram } from './program.ts';

let server: FakeKvServer;
let folder: string;
let local: LocalRequest | null;

beforeEach(async () => {
  server = await FakeKvServer.start();
  folder = mkdtempSync(join(tmpdir(), 'minikv-cli-'));
  local = null;
});
afterEach(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function runBare(
  argv: readonly string[],
  given: { stdin?: Uint8Array; env?: Record<string, string> } = {},
): Promise<Ran> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const terminal = {
    stdin: Readable.from(given.stdin === undefined ? [] : [given.stdin]),
    stdout,
    stderr,
    interactive: false,
    env: given.env ?? {},
  };
  const outs: Buffer[] = [];
  const errs: Buffer[] = [];
  stdout.on('data', (piece: Buffer) => outs.push(piece));
  stderr.on('data', (piece: Buffer) => errs.push(piece));
  const code = await runProgram(argv, terminal, (request) => {
    local = request;
    return Promise.resolve(7);
  });
  await new Promise((settle) => setImmediate(settle));
  return { code, out: Buffer.concat(outs).toString(), err: Buffer.concat(errs).toString() };
}

const run = (...argv: string[]): Promise<Ran> =>
  runBare([...argv, '--coordinator', server.url.origin]);
const held = (key: string): string | undefined => server.values.get(key)?.bytes.toString();

describe('put, get, delete, list', () => {
  test('a file goes in and comes out', async () => {
    const file = join(folder, 'f');
    writeFileSync(file, 'hello');
    expect(await run('put', 'a/b', '--file', file)).toMatchObject({
      code: 0,
      out: 'created a/b (5 B, 3/3 copies)\n',
    });
    expect((await run('put', 'a/b', '--file', file)).out).toContain('replaced');
    expect(await run('get', 'a/b')).toEqual({ code: 0, out: 'hello', err: '' });
    expect((await run('list', 'a/')).out).toMatch(/^ +5 {2}[0-9a-f]{12} {2}a\/b\n$/);
    expect((await run('delete', 'a/b')).out).toBe('deleted a/b\n');
    expect(server.values.size).toBe(0);
  });

  test('standard input is a value, also a large one', async () => {
    const url = server.url.origin;
    const large = Buffer.alloc(3_000_000, 'a large value');
    const flags = ['--coordinator', url];
    expect((await runBare(['put', 'k', '-', ...flags], { stdin: Buffer.from('in') })).code).toBe(0);
    expect(held('k')).toBe('in');
    expect((await runBare(['put', 'k', ...flags], { stdin: large })).code).toBe(0);
    expect(server.values.get('k')?.bytes.equals(large)).toBe(true);
    expect((await runBare(['put', 'k', '--file', '-', ...flags])).code).toBe(0);
    expect(held('k')).toBe('');
  });

  test('get writes a file that appears only when it is whole', async () => {
    server.store('k', Buffer.from('v'));
    const file = join(folder, 'out');
    expect((await run('get', 'k', '--output', file)).out).toBe(`wrote ${file} (1 B)\n`);
    expect(readFileSync(file, 'utf8')).toBe('v');
    server.fault = (_request, response) => {
      response.writeHead(200, { 'x-content-blake3': 'f'.repeat(64) }).end('wrong');
      return true;
    };
    const other = join(folder, 'other');
    const failed = await run('get', 'k', '--output-file', other);
    expect(failed).toMatchObject({ code: 1, out: '' });
    expect(failed.err).toBe('minikv: the bytes of "k" arrived damaged (CHECKSUM_MISMATCH)\n');
    expect(execFileSync('ls', [folder]).toString()).toBe('out\n');
  });

  test('--output json, before or after the command; after get it is a file', async () => {
    server.store('k', Buffer.from('v'));
    const after = await run('list', '--output', 'json');
    expect(JSON.parse(after.out)).toMatchObject({ key: 'k', size: 1 });
    expect((await run('--output', 'json', 'list')).out).toBe(after.out);
    const file = join(folder, 'json');
    const got = await run('--output', 'json', 'get', 'k', '--output', file);
    expect(JSON.parse(got.out)).toMatchObject({ key: 'k', file, sizeBytes: 1 });
  });

  test('a name that would move the cursor is listed in quotes', async () => {
    server.store('a\nb\u001b[2J', Buffer.from('v'));
    expect((await run('list')).out).toContain('"a\\nb\\u001b[2J"');
  });
});

describe('exit codes', () => {
  test('1 and one line with a code for what failed', async () => {
    expect(await run('get', 'none')).toEqual({
      code: 1,
      out: '',
      err: 'minikv: there is no such key (KEY_NOT_FOUND)\n',
    });
    expect((await run('put', 'k', '--file', join(folder, 'none'))).err).toMatch(
      /^minikv: .*ENOENT.* \(FAILED\)\n$/,
    );
    expect((await run('put', '', '-')).err).toBe(
      'minikv: a key has at least one byte (INVALID_KEY)\n',
    );
  });

  test.each([
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['get'], "missing required argument 'key'"],
    [['get', 'k', '--nope'], "unknown option '--nope'"],
    [['list', '--output', 'xml'], 'it must be text or json'],
    [['put', 'k', 'file'], 'give a file by --file, or - for standard input'],
    [['put', 'k', '-', '--file', 'f'], 'give a file by --file'],
    [['import', 'd', '--concurrency', '0'], 'it must be a whole number from 1 to 256'],
    [['--coordinator', 'localhost', 'list'], 'localhost is not a URL such as'],
    [['list', '--coordinator', 'http://h/path'], 'http://h/path is not a URL'],
    [['local', '--coordinators', '8'], 'it must be a whole number from 1 to 7'],
  ])('2 for %j', async (argv, sentence) => {
    const ran = await runBare(argv);
    expect(ran.code).toBe(2);
    expect(ran.err).toContain(sentence);
    expect(ran.err).toMatch(/^minikv: .* \(USAGE\)\n/);
  });

  test('2 for a bad MINIKV_COORDINATOR, which else names the coordinators', async () => {
    const bad = await runBare(['list'], { env: { MINIKV_COORDINATOR: 'nope' } });
    expect(bad).toMatchObject({ code: 2, out: '' });
    expect(bad.err).toContain('MINIKV_COORDINATOR: nope is not a URL');
    const env = { MINIKV_COORDINATOR: `http://127.0.0.1:1,${server.url.origin}` };
    expect((await runBare(['list'], { env })).code).toBe(0);
  });

  test('0 for the version, which is all that it prints', async () => {
    expect(await runBare(['--version'])).toMatchObject({ code: 0, out: `${VERSION}\n` });
  });

  test('0 for help, with examples for every command', async () => {
    const commands = ['put', 'get', 'delete', 'list', 'import', 'export', 'status', 'local'];
    for (const command of [[], ...commands.map((name) => [name])]) {
      const ran = await runBare([...command, '--help']);
      expect(ran.code).toBe(0);
      expect(ran.out).toContain('Examples:\n  minikv');
    }
  });
});

describe('status', () => {
  test('shows each coordinator; fails when one or the cluster does not answer', async () => {
    const ran = await run('status');
    expect(ran.code).toBe(1);
    expect(ran.out).toContain('no such route (ROUTE_NOT_FOUND)');
  });
});

describe('local', () => {
  test('has the documented defaults', async () => {
    expect((await runBare(['local'])).code).toBe(7);
    expect(local).toEqual({
      coordinators: 3,
      volumes: 3,
      dataDir: '.minikv',
      basePort: 5000,
      logLevel: 'info',
    });
  });
});

describe('import and export', () => {
  const tree = (): string => {
    const root = join(folder, 'tree');
    mkdirSync(join(root, 'a/b/empty'), { recursive: true });
    mkdirSync(join(root, 'bin'));
    writeFileSync(join(root, 'a/one'), 'one');
    writeFileSync(join(root, 'a/b/ä %2f?#'), 'odd name');
    writeFileSync(join(root, 'a/nothing'), '');
    writeFileSync(join(root, 'large'), Buffer.alloc(2_500_000, 'a large file'));
    writeFileSync(join(root, 'bin/tool'), '#!/bin/sh\n', { mode: 0o755 });
    symlinkSync('../a/one', join(root, 'bin/link'));
    symlinkSync('nowhere', join(root, 'dangling'));
    return root;
  };

  test('a tree comes back identical: links, empty folders and execute bits too', async () => {
    const root = tree();
    const imported = await run('import', root, '--prefix', 'p');
    expect(imported).toMatchObject({ code: 0, err: '' });
    expect(imported.out).toMatch(/^imported 8 \(.*\), 0 already there, 0 skipped, 0 failed\n$/);
    expect(held('p/a/one')).toBe('one');
    server.store('px/other', Buffer.from('not of this folder'));
    const back = join(folder, 'back');
    const exported = await run('export', 'p', back);
    expect(exported).toMatchObject({ code: 0, err: '' });
    expect(exported.out).toMatch(/^exported 8 /);
    execFileSync('diff', ['-r', '--no-dereference', root, back]);
    expect(statSync(join(back, 'bin/tool')).mode & 0o111).not.toBe(0);
  });

  test('a second run moves only what differs', async () => {
    const root = tree();
    await run('import', root);
    expect((await run('import', root)).out).toMatch(/^imported 0 \(0 B\), 8 already there/);
    writeFileSync(join(root, 'a/one'), 'two');
    expect((await run('import', root)).out).toMatch(/^imported 1 \(3 B\), 7 already there/);
    const back = join(folder, 'back');
    await run('export', '', back);
    writeFileSync(join(back, 'a/one'), 'bad');
    rmSync(join(back, 'dangling'));
    expect((await run('export', '', back)).out).toMatch(/^exported 3 /);
    execFileSync('diff', ['-r', '--no-dereference', root, back]);
  });

  test.each(['../out', 'a/../../out', '/etc/out', 'a//b', './x', '.minikv-export/1', '..'])(
    'a key %j is refused by name and the rest goes on',
    async (key) => {
      server.store(key, Buffer.from('evil'));
      server.store('good', Buffer.from('good'));
      const back = join(folder, 'in/back');
      const ran = await run('export', '', back);
      expect(ran.code).toBe(1);
      expect(ran.err).toContain(`minikv: ${key}: `);
      expect(ran.err).toContain('(INVALID_KEY)');
      expect(execFileSync('find', [folder, '-type', 'f']).toString()).toBe(`${back}/good\n`);
    },
  );

  test('nothing is written through a link, not even one that an earlier export made', async () => {
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    server.store('a', Buffer.from(outside), { 'content-type': 'inode/symlink' });
    const back = join(folder, 'back');
    expect((await run('export', '', back)).code).toBe(0);
    server.store('a/b', Buffer.from('evil'));
    const ran = await run('export', '', back);
    expect(ran.code).toBe(1);
    expect(ran.err).toContain('a is there and is not a folder');
    expect(execFileSync('ls', [outside]).toString()).toBe('');
  });

  test('a download that breaks off is fetched again; a damaged one leaves no file', async () => {
    server.store('good', Buffer.from('good'));
    let breaks = 2;
    server.fault = (_request, response, { url }) => {
      if (!url.startsWith('/kv/') || breaks === 0) return false;
      breaks -= 1;
      response.writeHead(200, { 'content-length': 9, 'x-content-blake3': 'f'.repeat(64) });
      response.write('half');
      setImmediate(() => response.destroy());
      return true;
    };
    const back = join(folder, 'back');
    expect((await run('export', '', back)).code).toBe(0);
    expect(readFileSync(join(back, 'good'), 'utf8')).toBe('good');
    server.store('bad', Buffer.from('bad'));
    server.fault = (_request, response, { url }) => {
      if (url !== '/kv/bad') return false;
      response.writeHead(200, { 'x-content-blake3': 'f'.repeat(64) }).end('wrong');
      return true;
    };
    const ran = await run('export', '', back);
    expect(ran.code).toBe(1);
    expect(ran.err).toBe('minikv: bad: the bytes of "bad" arrived damaged (CHECKSUM_MISMATCH)\n');
    expect(execFileSync('ls', ['-A', back]).toString()).toBe('good\n');
  });

  test('a refused file fails by name; a cluster that cannot serve ends the import', async () => {
    const root = tree();
    server.fault = (request, response, { url }) => {
      if (url !== '/kv/a/one') return false;
      request.resume().on('end', () => refuse(response, new KvError('TOO_LARGE', 'too large')));
      return true;
    };
    const ran = await run('import', root);
    expect(ran.code).toBe(1);
    expect(ran.err).toBe('minikv: a/one: too large (TOO_LARGE)\n');
    expect(ran.out).toContain('imported 7');
  });

  test('what is no file is skipped aloud', async () => {
    const root = join(folder, 'odd');
    mkdirSync(root);
    execFileSync('mkfifo', [join(root, 'pipe')]);
    const ran = await run('import', root, '--output', 'json');
    expect(ran.code).toBe(0);
    expect(ran.err).toBe('minikv: skipped pipe: it is neither file, folder nor link\n');
    expect(JSON.parse(ran.out)).toMatchObject({ moved: 0, skipped: 1 });
  });
});
