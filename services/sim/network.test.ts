/** Connections of the simulated network, as the processes at their ends see them. */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import type { Listener, StreamSocket } from '../rpc/network.ts';
import { streamOf } from './draws.ts';
import { Life } from './life.ts';
import { SimulatedNetwork } from './network.ts';
import { Scheduler } from './scheduler.ts';

interface End {
  readonly socket: StreamSocket;
  readonly heard: string[];
}

/** Two machines, a and b, and a listener on b that keeps what it accepts. */
async function pair() {
  const scheduler = new Scheduler();
  const network = new SimulatedNetwork(scheduler, streamOf(1, 'network'));
  network.add('a', '10.0.0.1');
  network.add('b', '10.0.0.2');
  const fail = (error: Error): void => {
    throw error;
  };
  const [lifeA, lifeB] = [new Life(1, fail), new Life(2, fail)];
  const [a, b] = [network.viewOf('a', lifeA), network.viewOf('b', lifeB)];
  const accepted: End[] = [];
  const listener: Listener = await b.listen('10.0.0.2:1', {
    connected: (socket) => accepted.push(watched(socket)),
    failed: fail,
  });
  const run = async (ms = 1000): Promise<void> => {
    await scheduler.drive(scheduler.nowMs + ms, () => false);
  };
  const dial = (): End => watched(a.connect('10.0.0.2:1'));
  return { scheduler, network, lifeA, lifeB, a, b, accepted, listener, run, dial };
}

/** Notes what happens at an end; pieces of data that follow each other are one. */
function watched(socket: StreamSocket): End {
  const heard: string[] = [];
  socket.on('data', (bytes) => {
    const last = heard.at(-1);
    if (last?.startsWith('data ') === true) heard[heard.length - 1] = last + bytes.toString();
    else heard.push(`data ${bytes.toString()}`);
  });
  socket.on('end', () => heard.push('end'));
  socket.on('error', () => heard.push('error'));
  socket.on('close', () => heard.push('close'));
  return { socket, heard };
}

function only(ends: readonly End[]): End {
  const [end] = ends;
  if (end === undefined || ends.length > 1) throw new Error(`${ends.length} connections`);
  return end;
}

describe('a connection', () => {
  test('brings bytes both ways in order, whatever the pieces, and ends at both ends', async () => {
    const { accepted, run, dial } = await pair();
    const near = dial();
    const words = Array.from({ length: 300 }, (_, i) => `${i} `);
    for (const word of words) near.socket.write(utf8(word));
    await run();
    const far = only(accepted);
    expect(far.heard).toEqual([`data ${words.join('')}`]);
    far.socket.write(utf8('yes'));
    far.socket.end();
    await run();
    expect(near.heard).toEqual(['data yes', 'end', 'close']);
    expect(far.heard.slice(1)).toEqual(['end', 'close']);
  });

  test('joins what is written while it is corked', async () => {
    const { scheduler, run, dial } = await pair();
    const { socket } = dial();
    await run();
    const before = scheduler.eventCount;
    socket.cork();
    for (let i = 0; i < 10; i += 1) socket.write(utf8('x'));
    socket.uncork();
    await run();
    expect(scheduler.eventCount).toBe(before + 1);
  });

  test('says that bytes have left at once, and beyond a window only when they are taken', async () => {
    const { lifeB, run, dial } = await pair();
    const { socket } = dial();
    const left: string[] = [];
    socket.write(utf8('small'), () => left.push('small'));
    await run();
    lifeB.isPaused = true;
    expect(socket.write(new Uint8Array(2_000_000), () => left.push('large'))).toBe(false);
    await run();
    expect(left).toEqual(['small']);
    lifeB.isPaused = false;
    for (const fn of lifeB.parked) fn();
    await run();
    expect(left).toEqual(['small', 'large']);
  });

  test('that nobody accepts is refused where the machine has power, and silent where not', async () => {
    const { network, listener, run, dial } = await pair();
    listener.close();
    const refused = dial();
    await run();
    expect(refused.heard).toEqual(['error', 'close']);
    network.losePower('b');
    const silent = dial();
    await run();
    expect(silent.heard).toEqual([]);
  });

  test('is reset when the process at the other end dies, behind what that had sent', async () => {
    const { network, lifeB, accepted, run, dial } = await pair();
    const { heard } = dial();
    await run();
    only(accepted).socket.write(utf8('last words'));
    network.endProcess('b');
    lifeB.end();
    await run();
    expect(heard).toEqual(['data last words', 'error', 'close']);
    expect(only(accepted).heard).toEqual([]);
  });

  test('says nothing when the other machine loses power, until that is back', async () => {
    const { network, lifeB, run, dial } = await pair();
    const { socket, heard } = dial();
    await run();
    network.losePower('b');
    lifeB.end();
    socket.write(utf8('are you there'));
    await run();
    expect(heard).toEqual([]);
    network.viewOf('b', new Life(3, () => undefined));
    socket.write(utf8('and now'));
    await run();
    expect(heard).toEqual(['error', 'close']);
  });

  test('stands still while its link is cut, one way alone, and brings all when it is whole', async () => {
    const { network, accepted, run, dial } = await pair();
    const near = dial();
    await run();
    const far = only(accepted);
    network.set('a', 'b', { isCut: true });
    near.socket.write(utf8('one '));
    near.socket.write(utf8('two'));
    far.socket.write(utf8('back'));
    await run();
    expect([near.heard, far.heard]).toEqual([['data back'], []]);
    network.set('a', 'b', { isCut: false });
    await run();
    expect(far.heard).toEqual(['data one two']);
  });

  test('is reset by chance at both ends', async () => {
    const { network, accepted, run, dial } = await pair();
    const near = dial();
    await run();
    network.set('a', 'b', { resetChance: 1 });
    near.socket.write(utf8('x'));
    await run();
    expect([near.heard, only(accepted).heard]).toEqual([
      ['error', 'close'],
      ['error', 'close'],
    ]);
  });

  test('is slow where the link is', async () => {
    const { network, accepted, run, dial } = await pair();
    const { socket } = dial();
    await run();
    network.set('a', 'b', { delayMsMin: 500 });
    socket.write(utf8('x'));
    await run(499);
    expect(only(accepted).heard).toEqual([]);
    await run(500);
    expect(only(accepted).heard).toEqual(['data x']);
  });

  test('calls when nothing has happened on it for a while', async () => {
    const { accepted, run, dial } = await pair();
    const near = dial();
    await run();
    let idle = 0;
    only(accepted).socket.setTimeout(100, () => {
      idle += 1;
    });
    for (let i = 0; i < 5; i += 1) {
      await run(80);
      near.socket.write(utf8('x'));
    }
    expect(idle).toBe(0);
    await run(200);
    expect(idle).toBe(1);
  });

  test('calls at every instant whose sum with the time allowed is rounded down', async () => {
    const { scheduler, accepted, run, dial } = await pair();
    dial();
    await run(1 / 3);
    await run();
    let called = 0;
    for (let i = 1; i <= 40; i += 1) {
      only(accepted).socket.setTimeout(1000, () => {
        called += 1;
      });
      const manyEvents = scheduler.eventCount + 100;
      const endMs = scheduler.nowMs + 1000 + i / 7;
      await scheduler.drive(endMs, () => scheduler.eventCount > manyEvents);
      expect([called, scheduler.nowMs]).toEqual([i, endMs]);
    }
  });
});

describe('a name', () => {
  test('has the address of its machine, whether or not that runs', async () => {
    const { network, a, run } = await pair();
    network.losePower('b');
    const found = Promise.all([a.resolve('b:7'), a.resolve('10.0.0.2:7')]);
    const unknown = expect(a.resolve('c:7')).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await run();
    expect(await found).toEqual([['10.0.0.2:7'], ['10.0.0.2:7']]);
    await unknown;
  });
});
