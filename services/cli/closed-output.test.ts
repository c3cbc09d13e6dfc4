/** A reader of our output that leaves: most commands end, a supervisor goes on without it. */
import { Writable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { ClosedOutput } from './closed-output.ts';

const fault = (code: string): Error => Object.assign(new Error(code), { code });

/** As the real standard output: every write fails anew, and none destroys it. */
const closedBy = (code: string): Writable =>
  new Writable({ autoDestroy: false, write: (_piece, _encoding, done) => done(fault(code)) });

async function exitsOf(code: string, work: (output: ClosedOutput, to: Writable) => void) {
  const exits: number[] = [];
  const [stdout, stderr] = [closedBy(code), closedBy(code)];
  const output = new ClosedOutput({ stdout, stderr }, (exit) => exits.push(exit));
  work(output, stdout);
  stderr.write('a complaint');
  await new Promise((settle) => setImmediate(settle));
  return exits;
}

test('a reader that has seen enough is no failure, any other fault is', async () => {
  expect(await exitsOf('EPIPE', (_output, stdout) => stdout.write('x'))).toEqual([0]);
  expect(await exitsOf('EIO', (_output, stdout) => stdout.write('x'))).toEqual([1]);
});

test('complaints that nobody can read end nothing', async () => {
  expect(await exitsOf('EPIPE', () => undefined)).toEqual([]);
});

test.each(['EPIPE', 'EIO'])('who must go on drops what it says after %s', async (code) => {
  const exits = await exitsOf(code, (output, stdout) => {
    output.goOnWithout();
    stdout.write('x');
    stdout.write('y');
  });
  expect(exits).toEqual([]);
});
