/** Waits that a user of a store feels: until writes go on without the leader, and after a restart. */
import { setTimeout as pause } from 'node:timers/promises';
import { asError } from '../../common/errors.ts';
import { MINUTE_MS, SECOND_MS } from '../../common/units.ts';
import type { Target } from '../load/connection.ts';
import { LoadGenerator } from '../load/generator.ts';
import { type Member, type Running, type Stage, withCast } from './cast.ts';
import { settleDisk } from './machine.ts';
import type { Door } from './peer.ts';
import { type Waits, waitsOf } from './results.ts';
import { isStored, putOnce, putRequest } from './single.ts';

/** An attempt begins every so often, whatever became of those before it. */
const ATTEMPT_EVERY_MS = 10;
const WAIT_MS_MAX = 2 * MINUTE_MS;
const REST_MS = 2 * SECOND_MS;
const VALUE = Buffer.from('probe');

/** From SIGKILL of the leader to the first acknowledgement of a write that began after it. */
export function measureFailOver(
  members: readonly Member[],
  times: number,
  stage: Stage,
): Promise<readonly Waits[]> {
  const led = members.filter(({ installed }) => installed.leader !== undefined);
  return withCast(led, stage, (cast) => eachOf(cast, times, stage, failOver));
}

export interface RestartOptions {
  readonly times: number;
  readonly keys: number;
}

/** From the start of all processes, after a stop in good order, to the first right read. */
export function measureRestart(
  members: readonly Member[],
  { times, keys }: RestartOptions,
  stage: Stage,
): Promise<readonly Waits[]> {
  const linearizable = members.filter(({ installed }) => installed.leader !== undefined);
  return withCast(linearizable, stage, async (cast) => {
    const filled: Running[] = [];
    const failed: Waits[] = [];
    for (const running of cast) {
      const door = running.doors[0];
      if (door === undefined) continue;
      stage.say(`${door.name}: storing ${keys.toLocaleString('en-US')} keys of 100 B ...`);
      try {
        await fill(door, keys);
        filled.push(running);
      } catch (error) {
        stage.signal.throwIfAborted();
        failed.push(waitsOf(door.name, [], asError(error).message));
      }
    }
    return [...(await eachOf(filled, times, stage, restart)), ...failed];
  });
}

type Measure = (running: Running, door: Door, turn: Turn) => Promise<number>;

interface Turn {
  readonly name: string;
  readonly signal: AbortSignal;
}

/** Interleaved: each peer once, then each again. */
async function eachOf(
  cast: readonly Running[],
  times: number,
  stage: Stage,
  measure: Measure,
): Promise<readonly Waits[]> {
  const waits = new Map<Running, number[]>(cast.map((running) => [running, []]));
  const gaps = new Map<Running, string>();
  for (let i = 0; i < times; i += 1) {
    for (const running of cast) {
      const door = running.doors[0];
      if (door === undefined || gaps.has(running)) continue;
      await settleDisk();
      try {
        const turn = { name: nameOf(i), signal: stage.signal };
        const ms = await measure(running, door, turn);
        waits.get(running)?.push(ms);
        stage.say(`  ${door.name}: ${Math.round(ms)} ms`);
      } catch (error) {
        stage.signal.throwIfAborted();
        gaps.set(running, asError(error).message);
        stage.say(`  ${door.name} has no figure: ${asError(error).message}`);
      }
    }
  }
  return [...waits].flatMap(([running, all]) =>
    running.doors.slice(0, 1).map(({ name }) => waitsOf(name, all, gaps.get(running) ?? null)),
  );
}

const nameOf = (turn: number): string => `0000fffffffe${turn.toString(16).padStart(4, '0')}`;

async function failOver(running: Running, door: Door, { name, signal }: Turn): Promise<number> {
  const { installed, processes, site } = running;
  const leader = (await installed.leader?.(site)) ?? '';
  // The signal is sent before `kill` waits for the end, and so before the first attempt.
  const killed = processes.kill(leader);
  const gapMs = await firstSuccess(door, signal, (target, turn, any) =>
    putOnce(putRequest(door, target, { name, value: Buffer.from(`${turn}`) }), any),
  );
  await killed;
  processes.start(leader);
  await allAccept(door, name, signal);
  await pause(REST_MS);
  return gapMs;
}

async function restart(running: Running, door: Door, { name, signal }: Turn): Promise<number> {
  const { processes } = running;
  const [target] = door.targets;
  if (target === undefined) throw new Error('there is no process to talk to');
  if (!(await putOnce(putRequest(door, target, { name, value: VALUE }), signal))) {
    throw new Error('the key to read was not stored');
  }
  await processes.stop();
  await processes.startAll();
  const waitMs = await firstSuccess(door, signal, (asked, _turn, any) =>
    isStored(door, asked, { name, value: VALUE, signal: any }),
  );
  await allAccept(door, name, signal);
  return waitMs;
}

type Attempt = (target: Target, turn: number, signal: AbortSignal) => Promise<boolean>;

/**
 * Milliseconds until the first of many overlapping attempts succeeds: one that hangs, because it was
 * sent on to a process that is gone, holds up no other.
 */
async function firstSuccess(door: Door, signal: AbortSignal, attempt: Attempt): Promise<number> {
  const beganMs = performance.now();
  const over = new AbortController();
  const any = AbortSignal.any([signal, over.signal]);
  const succeeded = Promise.withResolvers<number>();
  let turn = 0;
  const begin = (): void => {
    const target = door.targets[turn % door.targets.length];
    turn += 1;
    if (target === undefined) return;
    void attempt(target, turn, any).then((good) => {
      if (good) succeeded.resolve(performance.now() - beganMs);
    });
  };
  const timer = setInterval(begin, ATTEMPT_EVERY_MS);
  const late = pause(WAIT_MS_MAX, undefined, { signal: any }).then(() => {
    throw new Error(`nothing was answered within ${WAIT_MS_MAX / SECOND_MS} s`);
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([succeeded.promise, late]);
  } finally {
    clearInterval(timer);
    over.abort();
  }
}

async function allAccept(door: Door, name: string, signal: AbortSignal): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  for (const target of door.targets) {
    while (!(await putOnce(putRequest(door, target, { name, value: VALUE }), signal))) {
      signal.throwIfAborted();
      if (performance.now() > endMs) throw new Error('a restarted process takes no writes');
      await pause(ATTEMPT_EVERY_MS * 5);
    }
  }
}

const FILL_SIZE = 100;
const FILL_CONNECTIONS = 128;

async function fill({ targets, dialect }: Door, keys: number): Promise<void> {
  const generator = await LoadGenerator.start({
    ...{ targets, dialect, keys, connections: FILL_CONNECTIONS },
    ...{ sizeBytes: FILL_SIZE, firstSpace: 0 },
  });
  try {
    await generator.fill(keys);
  } finally {
    generator.stop();
  }
}
