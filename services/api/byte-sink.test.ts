import { EventEmitter } from 'node:events';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { KIB, MIB } from '../common/units.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { type ByteSink, sendPieces } from './byte-sink.ts';

const PIECE_BYTES = 256 * KIB;
const STALL_MS = 1000;

/** A response to a reader who takes what waits only when told to. */
class SlowSink extends EventEmitter implements ByteSink {
  destroyed = false;
  writableLength = 0;
  writableNeedDrain = false;

  write(bytes: Uint8Array): boolean {
    this.writableLength += bytes.length;
    this.writableNeedDrain = true;
    return false;
  }

  take(): void {
    this.writableLength = 0;
    this.writableNeedDrain = false;
    this.emit('drain');
  }
}

let clock: ManualClock;
let sink: SlowSink;
let asked: number;
let begun: number;

beforeEach(() => {
  clock = new ManualClock();
  sink = new SlowSink();
  asked = 0;
  begun = 0;
});

async function* pieces(count: number): AsyncGenerator<Uint8Array> {
  for (let no = 0; no < count; no += 1) {
    asked += 1;
    yield await Promise.resolve(new Uint8Array(PIECE_BYTES));
  }
}

function send(body: AsyncIterable<Uint8Array>): { outcome: () => unknown } {
  let outcome: unknown = 'under way';
  const begin = (): void => void (begun += 1);
  sendPieces(sink, body, { clock, stallMs: STALL_MS, begin }).then(
    (bytes) => (outcome = bytes),
    (error: unknown) => (outcome = error instanceof KvError ? error.code : error),
  );
  return { outcome: () => outcome };
}

describe('a body', () => {
  test('is asked for piece by piece while no more than its bound waits for the reader', async () => {
    const sending = send(pieces(100));
    await clock.flush();
    expect(sink.writableLength).toBe(MIB);
    expect(asked).toBe(MIB / PIECE_BYTES);
    sink.take();
    await clock.flush();
    expect(sink.writableLength).toBe(MIB);
    expect([asked, begun]).toEqual([(2 * MIB) / PIECE_BYTES, 1]);
    expect(sending.outcome()).toBe('under way');
  });

  test('counts as sent only once the socket has its end, and then all of its bytes', async () => {
    const sending = send(pieces(2));
    await clock.advance(STALL_MS - 1);
    expect(sending.outcome()).toBe('under way');
    sink.take();
    await clock.flush();
    expect(sending.outcome()).toBe(2 * PIECE_BYTES);
  });

  test.each([1, 100])('of %i pieces is given up when the reader stalls', async (count) => {
    const sending = send(pieces(count));
    await clock.advance(STALL_MS);
    expect(sending.outcome()).toBe('CLIENT_CLOSED');
    expect(sink.listenerCount('drain') + sink.listenerCount('close')).toBe(0);
  });

  test('is not waited for again when the reader took it while the next piece was fetched', async () => {
    const { promise: fetched, resolve: fetch } = Promise.withResolvers<void>();
    const sending = send(
      (async function* () {
        yield* pieces(8);
        await fetched;
      })(),
    );
    await clock.flush();
    for (let turn = 0; turn < 2; turn += 1) {
      sink.take();
      await clock.flush();
    }
    fetch();
    await clock.flush();
    expect(sending.outcome()).toBe(8 * PIECE_BYTES);
  });

  test('that fails before its first piece leaves nothing said; an empty one is begun all the same', async () => {
    const failing = send(
      (async function* () {
        yield* pieces(0);
        throw await Promise.resolve(new KvError('DATA_LOSS', 'gone'));
      })(),
    );
    await clock.flush();
    expect([failing.outcome(), begun]).toEqual(['DATA_LOSS', 0]);
    const empty = send(pieces(0));
    await clock.flush();
    expect([empty.outcome(), begun]).toEqual([0, 1]);
  });
});
