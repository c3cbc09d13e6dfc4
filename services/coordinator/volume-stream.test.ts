import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { diskId } from '../common/ids.ts';
import { KIB, SECOND_MS } from '../common/units.ts';
import type { DataReplies, DataRequests } from '../rpc/generated/volume.ts';
import { helloTo } from '../rpc/hello.ts';
import type { LinkOptions } from '../rpc/link.ts';
import type { Link, StreamEvents } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { introductionOf } from '../testing/introductions.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LIMITS } from './limits.ts';
import { type RequestBody, VolumeStream } from './volume-stream.ts';

const self = introductionOf('coordinator', 1);
const VALUE_BYTES = 256 * KIB;
const WRITE_MS = 30 * SECOND_MS;

const whole: RequestBody = {
  $case: 'stageWhole',
  value: {
    copyId: Buffer.alloc(16),
    txnId: Buffer.alloc(16),
    owner: Buffer.from('k'),
    digest: Buffer.alloc(32),
    data: Buffer.alloc(VALUE_BYTES),
  },
};

/** A volume that is there once the test lets it, and reads when it likes. */
class FarEnd implements Link {
  readonly connected = false;
  readonly #options: LinkOptions<DataRequests, DataReplies>;
  events: StreamEvents<DataReplies> | null = null;
  hasRoom = true;
  /** Requests that arrived. */
  sent = 0;

  constructor(options: LinkOptions<DataRequests, DataReplies>) {
    this.#options = options;
  }

  redial(): void {}

  close(): void {}

  greet(): void {
    this.events = this.#options.onOpen({
      send: ({ requests }) => {
        this.sent += requests.length;
        return this.hasRoom;
      },
      close: () => undefined,
      remote: 'far:1',
    });
    const who = { role: 'volume', name: 'v', from: 1 };
    this.events.onMessage({ hello: { ...helloTo({ ...self, ...who }, 1) }, replies: [] });
  }

  drain(): void {
    this.hasRoom = true;
    this.events?.onDrain?.();
  }
}

function setUp() {
  const clock = new ManualClock();
  const ends: FarEnd[] = [];
  const stream = new VolumeStream(
    {
      clock,
      logger: silentLogger,
      introduce: () => self,
      openLink: (options) => {
        const end = new FarEnd(options);
        ends.push(end);
        return end;
      },
    },
    {
      disk: diskId(1),
      place: { grpcAddress: 'v:1', directAddress: '', bootId: 1 },
    },
  );
  stream.open();
  const end = ends[0]!;
  const codes: string[] = [];
  const ask = (timeoutMs = WRITE_MS): void => {
    stream.request(whole, VALUE_BYTES, timeoutMs).catch((error: unknown) => {
      codes.push(error instanceof KvError ? error.code : String(error));
    });
  };
  return { clock, stream, end, ask, codes };
}

describe('requests that wait for a stream', () => {
  test('to a volume that cannot be dialled are let go when they fail, and never sent', async () => {
    const { clock, stream, end, ask, codes } = setUp();
    for (let i = 0; i < 100; i += 1) {
      ask();
      await clock.advance(100);
    }
    // Of ten seconds, what was asked for in the last one, and a sweep.
    expect(stream.heldBytes).toBeGreaterThan(0);
    expect(stream.heldBytes).toBeLessThanOrEqual(12 * VALUE_BYTES);
    await clock.advance(2 * SECOND_MS);
    expect(codes).toEqual(Array.from({ length: 100 }, () => 'DEADLINE_EXCEEDED'));
    expect(stream.heldBytes).toBe(0);
    ask();
    await clock.flush();
    end.greet();
    expect(end.sent).toBe(1);
    expect(stream.heldBytes).toBe(0);
  });

  test('of one batch are let go each for itself', async () => {
    const { clock, stream, end, ask } = setUp();
    ask(100);
    ask();
    await clock.advance(300);
    expect(stream.heldBytes).toBeLessThanOrEqual(2 * VALUE_BYTES);
    end.greet();
    expect(end.sent).toBe(1);
  });

  test('on a stream that stays congested are let go when they fail', async () => {
    const { clock, stream, end, ask, codes } = setUp();
    end.greet();
    end.hasRoom = false;
    ask();
    await clock.flush();
    for (let i = 0; i < 10; i += 1) ask();
    await clock.flush();
    expect(stream.heldBytes).toBe(10 * VALUE_BYTES);
    await clock.advance(WRITE_MS + SECOND_MS);
    expect(codes).toHaveLength(11);
    expect(stream.heldBytes).toBe(0);
    end.drain();
    expect(end.sent).toBe(1);
  });

  test('hold about what writes may hold anyway; more is refused', async () => {
    const { clock, stream, end, ask, codes } = setUp();
    const count = LIMITS.writeBytesMax / VALUE_BYTES;
    for (let i = 0; i < count; i += 1) ask();
    await clock.flush();
    expect(codes).toEqual([]);
    for (let i = 0; i < count; i += 1) ask();
    await clock.flush();
    expect(new Set(codes)).toEqual(new Set(['OVERLOADED']));
    expect(stream.heldBytes).toBeLessThan(1.1 * LIMITS.writeBytesMax);
    end.greet();
    expect(end.sent).toBe(2 * count - codes.length);
    expect(stream.heldBytes).toBe(0);
    ask();
    await clock.flush();
    expect(end.sent).toBe(2 * count - codes.length + 1);
  });
});
