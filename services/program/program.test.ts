/** How a server process ends, seen from outside: what stands last on stderr, and its exit code. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';

const PROGRAM = join(import.meta.dirname, 'program.ts');
const ERRORS = join(import.meta.dirname, '../common/errors.ts');

/** Runs a program that does `serve`, in a process where `before` has been done. */
function run(serve: string, before = ''): { status: number | null; lastLine: string | undefined } {
  const source = `
    const { runProgram } = await import(${JSON.stringify(PROGRAM)});
    const { KvError } = await import(${JSON.stringify(ERRORS)});
    ${before}
    const options = { logLevel: 'fatal', terminationLog: null };
    await runProgram({
      name: 'minikv-test',
      role: 'test',
      labels: () => ({}),
      read: async () => ({ kind: 'serve', loaded: { options } }),
      serve: async ({ onStop }) => { ${serve} },
    });
    setTimeout(() => process.exit(9), 20_000);
  `;
  const argv = ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source];
  const { status, stderr } = spawnSync(process.execPath, argv, { encoding: 'utf8' });
  return { status, lastLine: stderr.trimEnd().split('\n').at(-1) };
}

const REFUSED = "new KvError('DISK_FAILED', 'the disk is gone')";
const LAST_WORDS = { status: 1, lastLine: 'minikv-test: the disk is gone (DISK_FAILED)' };
/** What the loader of a WebAssembly module does when it is imported. */
const LOADER = `
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (reason) => { throw reason; });
  }`;

describe('the last words of a program', () => {
  test.each([
    ['start fails', `throw ${REFUSED};`],
    ['nobody awaits a promise that fails', `setImmediate(() => void Promise.reject(${REFUSED}));`],
    ['a callback throws', `setImmediate(() => { throw ${REFUSED}; });`],
  ])('stand last where %s', (_name, serve) => {
    expect(run(serve)).toEqual(LAST_WORDS);
    expect(run(serve, LOADER)).toEqual(LAST_WORDS);
  });

  test('of settings that are refused tell usage', () => {
    const serve = "throw new KvError('INVALID_ARGUMENT', 'no such setting');";
    expect(run(serve)).toEqual({
      status: 2,
      lastLine: 'minikv-test: no such setting (INVALID_ARGUMENT)',
    });
  });

  test('are not said after a stop in good order', () => {
    const serve =
      "onStop(async () => {}); setImmediate(() => process.kill(process.pid, 'SIGTERM'));";
    expect(run(serve)).toEqual({ status: 0, lastLine: '' });
  });
});
