/** Which failures are repeated, where, and for how long. */
import { describe, expect, test } from '@jest/globals';
import { ERRORS, type ErrorCode, KvError, type Outcome } from '../common/errors.ts';
import { seededRandom } from '../common/random.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { type Attempted, type Failure, mayRepeat, Retrier } from './retry.ts';

const failure = (code: ErrorCode, extra: Partial<Failure> = {}): Failure => ({
  error: new KvError(code, 'a sentence'),
  outcome: ERRORS[code].outcome,
  retryable: ERRORS[code].retryable,
  retryAfterMs: 0,
  ...extra,
});

describe('mayRepeat', () => {
  test.each<[ErrorCode, Outcome, boolean, boolean]>([
    ['NO_LEADER', 'not_applied', true, true],
    ['OVERLOADED', 'not_applied', true, true],
    ['DEADLINE_EXCEEDED', 'unknown', false, true],
    ['NO_LEADER', 'unknown', false, true],
    ['NO_LEADER', 'applied', false, false],
    ['FORGOTTEN', 'unknown', false, false],
    ['INTERNAL', 'unknown', false, false],
    ['KEY_NOT_FOUND', 'not_applied', false, false],
    ['PRECONDITION_FAILED', 'not_applied', false, false],
  ])('%s with outcome %s: bare write %s, repeatable %s', (code, outcome, bare, repeatable) => {
    expect(mayRepeat(failure(code, { outcome }), false)).toBe(bare);
    expect(mayRepeat(failure(code, { outcome }), true)).toBe(repeatable);
  });
});

function bench(answers: (url: string, tried: number) => Attempted<string>, deadlineMs = 10_000) {
  const clock = new ManualClock();
  const urls = ['http://a', 'http://b', 'http://c'].map((url) => new URL(url));
  const retrier = new Retrier({ clock, random: seededRandom(1) }, { urls, deadlineMs });
  const asked: { host: string; atMs: number }[] = [];
  const run = (repeatable = false, signal?: AbortSignal) =>
    retrier.run(
      repeatable,
      (url) => {
        asked.push({ host: url.host, atMs: clock.monotonicMs() });
        return Promise.resolve(answers(url.host, asked.length));
      },
      signal,
    );
  return { clock, asked, run, hosts: () => asked.map(({ host }) => host).join('') };
}

const failed = (code: ErrorCode, extra?: Partial<Failure>): Attempted<string> => ({
  kind: 'failed',
  failure: failure(code, extra),
});

describe('Retrier', () => {
  test('goes to the next coordinator at once, and stays with the one that answers', async () => {
    const { run, hosts } = bench((host) =>
      host === 'b' ? { kind: 'done', value: 'ok' } : failed('NO_LEADER'),
    );
    expect(await run()).toBe('ok');
    expect(await run()).toBe('ok');
    expect(hosts()).toBe('abb');
  });

  test('waits longer and longer once all were asked, and gives up at the deadline', async () => {
    const { run, clock, asked } = bench(() => failed('NO_QUORUM'));
    const outcome = run().catch((error: unknown) => (error as KvError).code);
    await clock.advance(20_000);
    expect(await outcome).toBe('NO_QUORUM');
    expect(asked.slice(0, 3).map(({ atMs }) => atMs)).toEqual([0, 0, 0]);
    expect(asked.at(-1)?.atMs).toBeLessThan(10_000);
    expect(asked.at(-1)?.atMs).toBeGreaterThan(8_000);
    expect(asked.length).toBeLessThan(30);
  });

  test('waits as long as a server asks, within reason', async () => {
    const { run, clock, asked } = bench((_host, tried) =>
      tried < 5 ? failed('OVERLOADED', { retryAfterMs: 3_600_000 }) : { kind: 'done', value: 'ok' },
    );
    const done = run();
    await clock.advance(5_000);
    expect(await done).toBe('ok');
    expect(asked.map(({ atMs }) => atMs)).toEqual([0, 0, 0, 2000, 4000]);
  });

  test('does not repeat a write of unknown outcome', async () => {
    const { run, hosts } = bench(() => failed('DEADLINE_EXCEEDED'));
    await expect(run()).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED' });
    expect(hosts()).toBe('a');
  });

  test('an abort ends the waiting', async () => {
    const { run, clock } = bench(() => failed('NO_LEADER'));
    const aborter = new AbortController();
    const done = run(true, aborter.signal).catch((error: unknown) => (error as Error).message);
    await clock.advance(1);
    aborter.abort(new Error('enough'));
    await clock.advance(1);
    expect(await done).toBe('enough');
  });
});
