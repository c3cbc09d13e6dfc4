/** The volume's part of two-phase commit over the real engine on a disk in memory. */
import { describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { bytesOfHex, diskId, session } from '../common/ids.ts';
import type { DataReply, DataRequest } from '../rpc/generated/volume.ts';
import type { StorageEngine } from '../storage/types.ts';
import { StorageRig, turns, type Value } from '../testing/storage-rig.ts';
import { answer, type OpenCopies, type ParticipantParts, type SessionView } from './participant.ts';
import { Unnamed } from './unnamed.ts';

type RequestBody = NonNullable<DataRequest['body']>;

const hex = (text: string): Buffer => Buffer.from(bytesOfHex(text));
const SERVING: SessionView = { disk: diskId(4), session: session(9), accepting: true };

class Desk {
  readonly open: OpenCopies = new Set();
  view = SERVING;
  pulls = 0;
  readonly #parts: ParticipantParts;

  constructor(engine: StorageEngine) {
    const pull = async (): Promise<void> => {
      this.pulls += 1;
    };
    const unnamed = new Unnamed(engine);
    this.#parts = { engine, session: () => this.view, puller: { pull }, unnamed };
  }

  async ask(body: RequestBody | undefined): Promise<NonNullable<DataReply['body']>> {
    const reply = await answer(this.#parts, this.open, { requestId: 7, body });
    expect(reply.requestId).toBe(7);
    if (reply.body === undefined) throw new Error('a reply without a body');
    return reply.body;
  }
}

async function desk(): Promise<{ rig: StorageRig; engine: StorageEngine; desk: Desk }> {
  const rig = new StorageRig();
  const engine = await rig.open();
  return { rig, engine, desk: new Desk(engine) };
}

const wholeOf = ({ end, data }: Value): RequestBody => ({
  $case: 'stageWhole',
  value: {
    copyId: hex(end.copyId),
    txnId: hex(end.txnId),
    owner: Buffer.from(end.owner),
    digest: hex(end.digest),
    data: Buffer.from(data),
  },
});

const chunkOf = ({ id, data }: Value): RequestBody => ({
  $case: 'stageChunk',
  value: {
    copyId: hex(id),
    chunkNo: 0,
    offset: 0,
    data: Buffer.from(data),
    crc: crc32(data),
    declaredBytes: data.length,
  },
});

const endOf = ({ end }: Value): RequestBody => ({
  $case: 'stageEnd',
  value: {
    copyId: hex(end.copyId),
    txnId: hex(end.txnId),
    owner: Buffer.from(end.owner),
    sizeBytes: end.sizeBytes,
    digest: hex(end.digest),
  },
});

const settleOf = (action: number, ids: readonly string[]): RequestBody => ({
  $case: 'settle',
  value: { action, copyIds: ids.map(hex) },
});

const fetchOf = (id: string, offset: number, length: number): RequestBody => ({
  $case: 'fetch',
  value: { copyId: hex(id), offset, length },
});

const failure = (code: string) => ({ $case: 'failure', value: { code } });
const VOTE = { $case: 'vote', value: { disk: 4, session: 9 } };

describe('answer', () => {
  test('a vote names disk and session, whole or in chunks, and a repeat votes again', async () => {
    const { rig, desk: d } = await desk();
    const small = rig.value(100);
    expect(await d.ask(wholeOf(small))).toEqual(VOTE);
    expect(await d.ask(wholeOf(small))).toEqual(VOTE);
    const large = rig.value(5000);
    expect(await d.ask(chunkOf(large))).toEqual({ $case: 'written', value: {} });
    expect([...d.open]).toEqual([large.id]);
    expect(await d.ask(endOf(large))).toEqual(VOTE);
    expect([...d.open]).toEqual([]);
  });

  test('a copy that is discarded, or whose chunk or end is refused, is no longer open', async () => {
    const { rig, engine, desk: d } = await desk();
    for (const action of [2, 3]) {
      const gone = rig.value(1000);
      await d.ask(chunkOf(gone));
      expect(await d.ask(settleOf(action, [gone.id]))).toMatchObject({ value: { results: [0] } });
      expect([...d.open]).toEqual([]);
    }
    const torn = rig.value(1000);
    await d.ask(chunkOf(torn));
    expect(await d.ask(chunkOf(torn))).toMatchObject(failure('OUT_OF_RANGE'));
    expect([...d.open]).toEqual([]);
    expect((await engine.info(torn.id))?.state).toBe('dropped');
    for (const change of [{ sizeBytes: 999 }, { owner: Buffer.alloc(1025) }]) {
      const wrong = rig.value(1000);
      await d.ask(chunkOf(wrong));
      const end = endOf({ ...wrong, end: { ...wrong.end, ...change } });
      expect(await d.ask(end)).toMatchObject({ $case: 'failure' });
      expect([...d.open]).toEqual([]);
      expect((await engine.info(wrong.id))?.state).toBe('dropped');
    }
    const refused = rig.value(1000);
    engine.stageChunk = () => Promise.reject(new KvError('NO_SPACE', 'full'));
    expect(await d.ask(chunkOf(refused))).toMatchObject(failure('NO_SPACE'));
    expect([...d.open]).toEqual([]);
  });

  test('without a session nothing is staged', async () => {
    const { rig, engine, desk: d } = await desk();
    d.view = { ...SERVING, session: session(0) };
    const value = rig.value(100);
    for (const body of [wholeOf(value), chunkOf(value), endOf(value)]) {
      expect(await d.ask(body)).toMatchObject(failure('STALE_SESSION'));
    }
    expect(await engine.info(value.id)).toBeUndefined();
  });

  test('while stopping an open copy may end and nothing new begins', async () => {
    const { rig, desk: d } = await desk();
    const begun = rig.value(1000);
    await d.ask(chunkOf(begun));
    d.view = { ...SERVING, accepting: false };
    expect(await d.ask(endOf(begun))).toEqual(VOTE);
    const late = rig.value(100);
    expect(await d.ask(wholeOf(late))).toMatchObject(failure('STOPPING'));
    expect(await d.ask(chunkOf(late))).toMatchObject(failure('STOPPING'));
  });

  test('finalize, discard and drop answer for each copy', async () => {
    const { rig, engine, desk: d } = await desk();
    const [kept, gone] = [await rig.whole(engine, 10), await rig.whole(engine, 10)];
    const unknown = rig.value(1).id;
    expect(await d.ask(settleOf(1, [kept.id, unknown]))).toEqual({
      $case: 'settled',
      value: { results: [0, 1] },
    });
    expect(await d.ask(settleOf(2, [gone.id]))).toMatchObject({ value: { results: [0] } });
    expect((await engine.info(kept.id))?.state).toBe('committed');
    expect(await d.ask(fetchOf(gone.id, 0, 10))).toMatchObject(failure('NOT_FOUND'));
    expect(await d.ask(settleOf(9, [kept.id]))).toMatchObject(failure('INVALID_ARGUMENT'));
    expect(await d.ask(settleOf(3, [kept.id]))).toMatchObject({ value: { results: [0] } });
    expect(await d.ask(fetchOf(kept.id, 0, 10))).toMatchObject(failure('NOT_FOUND'));
  });

  test('fetches a part with its checksum and the size of the whole', async () => {
    const { rig, engine, desk: d } = await desk();
    const { id, data } = await rig.whole(engine, 300);
    const part = data.subarray(50, 150);
    const reply = await d.ask(fetchOf(id, 50, 100));
    expect(reply).toMatchObject({ $case: 'chunk', value: { sizeBytes: 300, crc: crc32(part) } });
    expect(reply.$case === 'chunk' && Buffer.from(part).equals(reply.value.data)).toBe(true);
    expect(await d.ask(fetchOf(id, 0, 1 << 21))).toMatchObject(failure('INVALID_ARGUMENT'));
  });

  test('a read that the disk refuses is told apart from a bad copy, and the copy stays sound', async () => {
    const { rig, engine, desk: d } = await desk();
    const { id } = await rig.whole(engine, 300);
    rig.disk.failNext('read', '.seg');
    expect(await d.ask(fetchOf(id, 0, 300))).toMatchObject(failure('UNREADABLE'));
    expect(await engine.info(id)).toMatchObject({ sound: true });
    expect(engine.usage().corruptRecords).toBe(0);
    expect(await d.ask(fetchOf(id, 0, 300))).toMatchObject({ $case: 'chunk' });
  });

  test('what cannot be understood is refused and nothing happens', async () => {
    const { desk: d } = await desk();
    const short = { ...settleOf(3, []), value: { action: 3, copyIds: [Buffer.alloc(3)] } };
    for (const body of [undefined, short as RequestBody]) {
      expect(await d.ask(body)).toMatchObject(failure('INVALID_ARGUMENT'));
    }
    expect(d.pulls).toBe(0);
  });

  test('the code of a failed engine reaches the sender', async () => {
    const { rig, engine, desk: d } = await desk();
    const value = rig.value(10);
    engine.stageWhole = () => Promise.reject(new KvError('NO_SPACE', 'full'));
    expect(await d.ask(wholeOf(value))).toMatchObject(failure('NO_SPACE'));
  });

  test('says of each copy whether it is here and sound, in its session', async () => {
    const { rig, engine, desk: d } = await desk();
    const check = (ids: readonly string[]): RequestBody => ({
      $case: 'checkCopies',
      value: { copyIds: ids.map(hex), endsWalkOf: 0 },
    });
    const staged = await rig.whole(engine, 100);
    const committed = await rig.chunked(engine, 3000, 1000);
    await engine.finalize(committed.id);
    const dropped = await rig.whole(engine, 100);
    await engine.drop(dropped.id);
    const begun = rig.value(1000);
    await d.ask(chunkOf(begun));
    const ids = [staged.id, committed.id, dropped.id, begun.id, rig.value(1).id];
    expect(await d.ask(check(ids))).toEqual({
      $case: 'conditions',
      value: { disk: 4, session: 9, conditions: [0, 0, 1, 1, 1] },
    });
    const many = Array.from({ length: 1000 }, (_, i) => ids[i % 2] ?? '');
    expect(await d.ask(check(many))).toMatchObject({ value: { conditions: Array(1000).fill(0) } });
    expect(await d.ask(check([...many, staged.id]))).toMatchObject(failure('INVALID_ARGUMENT'));
    d.view = { ...SERVING, session: session(0) };
    expect(await d.ask(check(ids))).toMatchObject(failure('STALE_SESSION'));
  });

  test('the end of a walk counts in the session that was walked, and in no other', async () => {
    const { rig, engine } = await desk();
    const value = await rig.whole(engine, 100);
    await engine.close();
    const [file = ''] = await rig.segments();
    // Nobody can be asked any more what became of it.
    rig.disk.flipBit(file, Buffer.from(await rig.bytesOf(file)).indexOf(value.end.owner));
    const again = await rig.open();
    const next = new Desk(again);
    const ended = (endsWalkOf: number): RequestBody => ({
      $case: 'checkCopies',
      value: { copyIds: [], endsWalkOf },
    });
    await next.ask(ended(8));
    expect(await again.info(value.id)).toMatchObject({ state: 'staged', sound: false });
    await next.ask(ended(9));
    expect(await again.info(value.id)).toMatchObject({ state: 'dropped' });
  });

  test('a copy that is known unsound is bad and not absent', async () => {
    const { rig, engine } = await desk();
    const value = await rig.whole(engine, 5000);
    await engine.finalize(value.id);
    await engine.close();
    const [file] = await rig.segments();
    const bytes = await rig.bytesOf(file ?? '');
    rig.disk.flipBit(file ?? '', Buffer.from(bytes).indexOf(Buffer.from(value.data)) + 9);
    const again = await rig.open();
    expect((await again.read(value.id, 0, 5000)).kind).toBe('corrupt');
    const reply = await new Desk(again).ask({
      $case: 'checkCopies',
      value: { copyIds: [hex(value.id)], endsWalkOf: 0 },
    });
    expect(reply).toMatchObject({ value: { conditions: [2] } });
  });

  test('refusals of a moment condemn nobody: the copies are sound during them and after', async () => {
    const { rig, engine, desk: d } = await desk();
    const values = [await rig.whole(engine, 900), await rig.whole(engine, 900)];
    const check = checkOf(values);
    // Both looks at both heads.
    for (let i = 0; i < 4; i += 1) rig.disk.failNext('read', '.seg');
    expect(await d.ask(check)).toMatchObject({ value: { conditions: [0, 0] } });
    expect(await rig.metrics.print()).toMatch(/\{kind="refused_read"\} 2/);
    expect(await d.ask(check)).toMatchObject({ value: { conditions: [0, 0] } });
  });

  test('a copy whose record cannot be read is bad once scrub has said so, and no other one is', async () => {
    const { rig, engine, desk: d } = await desk();
    const values = [await rig.whole(engine, 9000), await rig.whole(engine, 9000)];
    const check = checkOf(values);
    const [file = ''] = await rig.segments();
    const at = Buffer.from(await rig.bytesOf(file)).indexOf(values[0]!.end.owner);
    rig.disk.refuse(file, at, 1);
    // It may be the only one.
    expect(await d.ask(check)).toMatchObject({ value: { conditions: [0, 0] } });
    const scrubbed = engine.scrub(1e9, new AbortController().signal);
    for (let i = 0; i < 20; i += 1) {
      await turns(5);
      await rig.clock.advance(1000);
    }
    await scrubbed;
    expect(await d.ask(check)).toMatchObject({ value: { conditions: [2, 0] } });
  });

  test('a copy whose head was read and does not verify is bad', async () => {
    const { rig, engine, desk: d } = await desk();
    const values = [await rig.whole(engine, 900), await rig.whole(engine, 900)];
    const [file = ''] = await rig.segments();
    const at = Buffer.from(await rig.bytesOf(file)).indexOf(values[1]!.end.owner);
    rig.disk.flipBit(file, at);
    expect(await d.ask(checkOf(values))).toMatchObject({ value: { conditions: [0, 2] } });
  });
});

const checkOf = (values: readonly Value[]): RequestBody => ({
  $case: 'checkCopies',
  value: { copyIds: values.map(({ id }) => hex(id)), endsWalkOf: 0 },
});
