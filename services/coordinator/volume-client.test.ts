import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { digestOf } from '../common/digest.ts';
import { KvError } from '../common/errors.ts';
import { copyId, diskId, hexOf, session, txnId } from '../common/ids.ts';
import type { DataReplies, DataRequest, DataRequests } from '../rpc/generated/volume.ts';
import { helloTo } from '../rpc/hello.ts';
import type { LinkOptions } from '../rpc/link.ts';
import type { Link, StreamEvents } from '../rpc/types.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { FakeVolumes } from '../testing/fake-volumes.ts';
import { introductionOf } from '../testing/introductions.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { LIMITS } from './limits.ts';
import { VolumeStreams } from './volume-client.ts';

const COPY = copyId('1'.repeat(32));
const TXN = txnId('2'.repeat(32));
const self = introductionOf('coordinator', 1);

/** The far end of one link, played by the test. */
class FarEnd implements Link {
  readonly options: LinkOptions<DataRequests, DataReplies>;
  readonly sent: DataRequests[] = [];
  events: StreamEvents<DataReplies> | null = null;
  hasRoom = true;
  isClosed = false;
  dials = 0;

  constructor(options: LinkOptions<DataRequests, DataReplies>) {
    this.options = options;
  }

  get connected(): boolean {
    return this.events !== null;
  }

  redial(): void {
    this.dials += 1;
    const dropped = this.events;
    this.events = null;
    dropped?.onClosed(new Error('dropped'));
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.events = this.options.onOpen({
      send: (message) => {
        this.sent.push(message);
        return this.hasRoom;
      },
      close: () => undefined,
      remote: 'far',
    });
  }

  greet(from = 1, clusterId = self.clusterId, bootId = 1): void {
    const who = { role: 'volume', name: 'v', from, to: 1, clusterId, bootId };
    const hello = { ...helloTo(self, 1), ...who };
    this.events?.onMessage({ hello, replies: [] });
  }

  get requests(): readonly DataRequest[] {
    return this.sent.flatMap(({ requests }) => requests);
  }

  reply(body: DataReplies['replies'][number]['body'], at = -1): void {
    const requestId = this.requests.at(at)?.requestId ?? 0;
    this.events?.onMessage({ hello: undefined, replies: [{ requestId, body }] });
  }
}

function setUp() {
  const clock = new ManualClock();
  const directory = new FakeVolumes(clock);
  directory.add(1, session(5));
  const ends: FarEnd[] = [];
  const streams = new VolumeStreams({
    clock,
    logger: silentLogger,
    directory,
    introduce: () => self,
    openLink: (options) => {
      const end = new FarEnd(options);
      ends.push(end);
      return end;
    },
  });
  streams.start();
  const end = (): FarEnd => ends.at(-1)!;
  const connect = (): void => {
    end().open();
    end().greet();
  };
  const finalize = () => streams.settle(diskId(1), 'finalize', [COPY]);
  return { clock, directory, streams, ends, end, connect, finalize };
}

const whole = {
  copyId: COPY,
  txnId: TXN,
  owner: utf8('k'),
  digest: digestOf(utf8('v')),
  data: utf8('v'),
};

const staged = (streams: VolumeStreams): Promise<unknown> =>
  new Promise((voted, failed) => streams.stageWhole(diskId(1), whole, { voted, failed }));

async function code(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'done';
  } catch (error) {
    return error instanceof KvError ? error.code : String(error);
  }
}

describe('the stream to a volume', () => {
  test('begins with hello; requests wait for it and then leave together', async () => {
    const { clock, streams, end } = setUp();
    const first = staged(streams);
    const second = streams.stageChunk(diskId(1), {
      copyId: COPY,
      chunkNo: 0,
      offset: 0,
      data: utf8('ab'),
      crc: crc32(utf8('ab')),
      declaredBytes: 2,
    });
    await clock.flush();
    end().open();
    expect(end().sent.map(({ hello }) => hello?.to)).toEqual([1]);
    end().greet();
    expect(end().sent).toHaveLength(2);
    const [wholeRequest, chunkRequest] = end().requests;
    expect(wholeRequest?.body?.$case).toBe('stageWhole');
    expect(chunkRequest?.body).toMatchObject({
      $case: 'stageChunk',
      value: { crc: crc32(utf8('ab')) },
    });
    end().reply({ $case: 'vote', value: { disk: 1, session: 5 } }, 0);
    end().reply({ $case: 'written', value: {} }, 1);
    expect(await first).toEqual({ disk: 1, session: 5 });
    await second;
  });

  test('requests do not wait long for a stream that does not come', async () => {
    const { clock, finalize } = setUp();
    const waiting = code(finalize());
    await clock.advance(1500);
    expect(await waiting).toBe('DEADLINE_EXCEEDED');
  });

  test('another disk, or another cluster, at the address is refused', () => {
    const { end } = setUp();
    end().open();
    expect(() => {
      end().greet(2);
    }).toThrow(expect.objectContaining({ code: 'WRONG_NODE' }));
    expect(() => {
      end().greet(1, 'd'.repeat(32));
    }).toThrow(expect.objectContaining({ code: 'WRONG_CLUSTER' }));
  });

  test('a stream that breaks fails what waits, at once', async () => {
    const { clock, end, connect, finalize } = setUp();
    connect();
    const waiting = code(finalize());
    await clock.advance(LIMITS.settleLingerMs);
    end().events?.onClosed(new Error('gone'));
    expect(await waiting).toBe('UNAVAILABLE');
    connect();
    const again = finalize();
    await clock.advance(LIMITS.settleLingerMs);
    end().reply({ $case: 'settled', value: { results: [0] } });
    expect(await again).toEqual([true]);
  });

  test('nothing is sent while the stream is congested', async () => {
    const { clock, end, connect, finalize } = setUp();
    connect();
    end().hasRoom = false;
    void code(finalize());
    await clock.advance(LIMITS.settleLingerMs);
    void code(finalize());
    await clock.advance(LIMITS.settleLingerMs);
    expect(end().requests).toHaveLength(1);
    end().hasRoom = true;
    end().events?.onDrain?.();
    expect(end().requests).toHaveLength(2);
  });

  test('a vote that is waited for fails with its stream, and by its deadline', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const broken = code(staged(streams));
    await clock.flush();
    end().events?.onClosed(new Error('gone'));
    expect(await broken).toBe('UNAVAILABLE');
    connect();
    const late = code(staged(streams));
    await clock.advance(31_000);
    expect(await late).toBe('DEADLINE_EXCEEDED');
  });

  test('a value for a disk that is not heard fails, but not before the call has returned', async () => {
    const { clock, streams } = setUp();
    let failure = '';
    streams.stageWhole(diskId(9), whole, {
      voted: () => undefined,
      failed: (error) => {
        failure = error instanceof KvError ? error.code : String(error);
      },
    });
    expect(failure).toBe('');
    await clock.flush();
    expect(failure).toBe('UNAVAILABLE');
  });

  test('follows the directory: a gone volume fails, a moved one is dialled at once', async () => {
    const { clock, directory, end, connect, streams, finalize } = setUp();
    connect();
    const waiting = code(finalize());
    await clock.advance(LIMITS.settleLingerMs);
    directory.at(1).isHeard = false;
    directory.changed();
    expect(end().isClosed).toBe(true);
    expect(await waiting).toBe('UNAVAILABLE');
    expect(await code(streams.fetch(diskId(1), COPY, { offset: 0, length: 1, timeoutMs: 1 }))).toBe(
      'UNAVAILABLE',
    );
    directory.at(1).isHeard = true;
    directory.changed();
    expect(end().isClosed).toBe(false);
    expect(end().options.address()).toBe('host-1:6001');
  });

  test('a volume that moved is dialled at once where it said that it is, in turn with its name', () => {
    const { directory, ends, end, connect } = setUp();
    connect();
    const volume = directory.at(1);
    volume.directAddress = '10.0.0.9:6001';
    volume.bootId = 2;
    directory.changed();
    expect([ends.length, end().dials]).toEqual([1, 1]);
    const tries = [1, 2, 3].map(() => end().options.address());
    expect(tries).toEqual(['10.0.0.9:6001', 'host-1:6001', '10.0.0.9:6001']);
    directory.changed();
    expect(end().dials).toBe(1);
  });

  test('a volume that started anew without closing anything is dialled again, one already met is not', () => {
    const { directory, end, connect } = setUp();
    connect();
    directory.at(1).bootId = 2;
    directory.changed();
    expect(end().dials).toBe(1);
    end().open();
    end().greet(1, self.clusterId, 2);
    directory.changed();
    expect(end().dials).toBe(1);
  });
});

describe('requests', () => {
  test('settlements that come within a moment leave as one request for each disk and action', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const other = copyId('3'.repeat(32));
    const results = [
      streams.settle(diskId(1), 'finalize', [COPY]),
      streams.settle(diskId(1), 'discard', [COPY]),
      streams.settle(diskId(1), 'finalize', [other, COPY]),
    ];
    await clock.advance(LIMITS.settleLingerMs);
    expect(end().requests).toHaveLength(2);
    expect(end().requests[0]?.body).toMatchObject({ $case: 'settle', value: { action: 1 } });
    end().reply({ $case: 'settled', value: { results: [0, 1, 0] } }, 0);
    end().reply({ $case: 'settled', value: { results: [0] } }, 1);
    expect(await Promise.all(results)).toEqual([[true], [true], [false, true]]);
  });

  test('settlements do not linger where a value leaves for the same disk', async () => {
    const { clock, end, connect, streams, finalize } = setUp();
    connect();
    void code(finalize());
    await clock.flush();
    expect(end().requests).toEqual([]);
    void code(staged(streams));
    await clock.flush();
    const [, message] = end().sent;
    const kinds = message?.requests.map(({ body }) => body?.$case) ?? [];
    expect(kinds.sort()).toEqual(['settle', 'stageWhole']);
    await clock.advance(LIMITS.settleLingerMs);
    expect(end().requests).toHaveLength(2);
  });

  test('a failure has the code of the volume; nonsense is not believed', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const failing = code(staged(streams));
    await clock.flush();
    end().reply({ $case: 'failure', value: { code: 'NO_SPACE', message: 'full' } });
    expect(await failing).toBe('NO_SPACE');
    const foreign = code(staged(streams));
    await clock.flush();
    end().reply({ $case: 'vote', value: { disk: 2, session: 5 } });
    expect(await foreign).toBe('WRONG_NODE');
    const odd = code(staged(streams));
    await clock.flush();
    end().reply({ $case: 'written', value: {} });
    expect(await odd).toBe('INTERNAL');
  });

  test('a chunk with a wrong checksum is a bad copy; a slow one is not', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const range = { offset: 0, length: 2, timeoutMs: 1000 };
    const data = Buffer.from('ab');
    const good = streams.fetch(diskId(1), COPY, range);
    await clock.flush();
    end().reply({ $case: 'chunk', value: { data, sizeBytes: 9, crc: crc32(data) } });
    expect(await good).toMatchObject({ sizeBytes: 9 });
    const bad = code(streams.fetch(diskId(1), COPY, range));
    await clock.flush();
    end().reply({ $case: 'chunk', value: { data, sizeBytes: 9, crc: 1 } });
    expect(await bad).toBe('CORRUPT');
    const slow = code(streams.fetch(diskId(1), COPY, range));
    await clock.advance(1200);
    expect(await slow).toBe('DEADLINE_EXCEEDED');
  });

  test('what a disk says of copies names its session; a reply that is not understood says nothing', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const other = copyId('3'.repeat(32));
    const check = async (value: { disk: number; conditions: number[] }): Promise<unknown> => {
      const asked = streams
        .check(diskId(1), [COPY, other], session(6))
        .catch((error: unknown) => error);
      await clock.flush();
      end().reply({ $case: 'conditions', value: { session: 6, ...value } });
      return asked;
    };
    expect(await check({ disk: 1, conditions: [2, 1] })).toEqual({
      session: 6,
      conditions: ['bad', 'absent'],
    });
    const body = end().requests[0]?.body;
    expect(body).toMatchObject({ value: { endsWalkOf: 6 } });
    expect(body?.$case === 'checkCopies' ? body.value.copyIds.map(hexOf) : []).toEqual([
      COPY,
      other,
    ]);
    const nonsense = expect.objectContaining({ code: 'INTERNAL' });
    expect(await check({ disk: 1, conditions: [0, 3] })).toEqual(nonsense);
    expect(await check({ disk: 1, conditions: [0] })).toEqual(nonsense);
    expect(await check({ disk: 2, conditions: [0, 0] })).toEqual(nonsense);
  });

  test('a pull names its source', async () => {
    const { clock, end, connect, streams } = setUp();
    connect();
    const order = {
      copyId: COPY,
      txnId: TXN,
      owner: utf8('k'),
      sizeBytes: 1,
      digest: whole.digest,
      sourceDisk: diskId(2),
      sourceCopyId: COPY,
    };
    const pulled = streams.pull(diskId(1), order);
    await clock.flush();
    const body = end().requests[0]?.body;
    expect(
      body?.$case === 'pull' ? [body.value.sourceDisk, hexOf(body.value.sourceCopyId)] : [],
    ).toEqual([2, COPY]);
    end().reply({ $case: 'vote', value: { disk: 1, session: 6 } });
    expect(await pulled).toEqual({ disk: 1, session: 6 });
  });
});
