/** The rules of the protocol one by one: each refusal, each order of checks (docs/guarantees.md). */
import { describe, expect, test } from '@jest/globals';
import { compareBytes, utf8 } from '../common/bytes.ts';
import { diskId, logIndex, session } from '../common/ids.ts';
import {
  blob,
  check,
  copy,
  hash,
  MetadataWorld,
  registerOf,
  remove,
  txn,
} from '../testing/metadata-world.ts';
import { MetadataState } from './apply.ts';
import type { Move } from './commands.ts';
import { RowDigest } from './digest.ts';
import { diskKey } from './keys.ts';
import { TIME_STEP_MS_MAX } from './limits.ts';
import { MemoryStore } from './memory-store.ts';

function world(disks = 4): MetadataWorld {
  const made = new MetadataWorld();
  made.register(disks);
  return made;
}

const k = utf8('k');

describe('Commit', () => {
  test('creates, replaces and deletes, and says so', () => {
    const w = world();
    const effects = [
      w.commit([w.put({ blob: 1 })]),
      w.commit([w.put({ blob: 2 })]),
      w.commit([remove()]),
      w.commit([remove()]),
    ].map((command) => {
      const applied = w.apply(command);
      return applied.kind === 'txn' && applied.outcome.kind === 'applied'
        ? applied.outcome.results[0]?.effect
        : 'refused';
    });
    expect(effects).toEqual(['created', 'replaced', 'deleted', 'absent']);
    expect(w.state.record(k)).toBeUndefined();
  });

  test('stores the version, the copies and the headers of a put', () => {
    const w = world();
    w.apply(w.commit([remove('other'), w.put({ blob: 7, size: 5 })]));
    expect(w.state.record(k)).toEqual({
      blobId: blob(7),
      size: 5,
      digest: hash(7),
      version: { index: w.index, ordinal: 1 },
      copies: [1, 2, 3].map((n) => ({ disk: n, copyId: copy(7) })),
      headers: [],
      data: null,
    });
  });

  test('R29: repeats its first outcome over an intervening put and delete, changing nothing', () => {
    const w = world();
    const first = w.commit([w.put({ blob: 1 })]);
    const answered = w.apply(first);
    w.apply(w.commit([w.put({ blob: 2 })]));
    expect(w.apply(first)).toEqual(answered);
    expect(w.state.record(k)?.blobId).toBe(blob(2));
    w.apply(w.commit([remove()]));
    expect(w.apply(first)).toEqual(answered);
    expect(w.state.record(k)).toBeUndefined();
  });

  test('is expired behind the fence, forgotten behind the forget mark, malformed before its birth', () => {
    const w = world();
    w.advance({ fence: 4 });
    expect(w.decide(w.commit([w.put({ blob: 1 })], { txnId: txn(3, 1) }))).toBe('expired');
    expect(w.decide(w.commit([w.put({ blob: 1 })], { txnId: txn(4, 1) }))).toBe('applied');
    w.advance({ fence: 5, forget: 5 });
    expect(w.decide(w.commit([w.put({ blob: 1 })], { txnId: txn(4, 1) }))).toBe('forgotten');
    expect(w.decide(w.commit([], { txnId: txn(w.index + 2, 1) }))).toBe('malformed');
  });

  test('a decided one stays decided after the fence has passed its birth', () => {
    const w = world();
    const command = w.commit([w.put({ blob: 1 })]);
    w.apply(command);
    w.advance({ fence: w.index });
    expect(w.decide(command)).toBe('applied');
  });

  test('refuses a key that occurs twice', () => {
    const w = world();
    expect(w.decide(w.commit([w.put({ blob: 1 }), remove()]))).toBe('malformed');
  });

  test('strikes votes of ended sessions and gone disks, and needs enough distinct others', () => {
    const w = world();
    const stale = w.commit([w.put({ blob: 1 })]);
    w.apply(registerOf({ disk: 1, boots: 2, nonce: 'again' }));
    w.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
    expect(w.apply(stale)).toMatchObject({ outcome: { kind: 'no-replicas', confirmed: 1 } });
    const doubled = w.commit([w.put({ blob: 2, disks: [3, 3, 3] })]);
    expect(w.apply(doubled)).toMatchObject({ outcome: { kind: 'no-replicas', confirmed: 1 } });
    const enough = w.commit([w.put({ blob: 3, disks: [1, 2, 3, 9] })]);
    expect(w.decide(enough)).toBe('applied');
    expect(w.state.record(k)?.copies.map(({ disk }) => disk)).toEqual([1, 3]);
  });

  test('counts replicas before it looks at conditions', () => {
    const w = world();
    const op = w.put({ blob: 1, disks: [1], condition: { kind: 'exists' } });
    expect(w.decide(w.commit([op]))).toBe('no-replicas');
  });

  test.each([
    ['exists', { kind: 'exists' }, false, true],
    ['absent', { kind: 'absent' }, true, false],
    ['match', { kind: 'match', blobIds: [blob(9), blob(1)] }, false, true],
    ['match of another', { kind: 'match', blobIds: [blob(9)] }, false, false],
    ['none-match', { kind: 'none-match', blobIds: [blob(9)] }, true, true],
    ['none-match of the present', { kind: 'none-match', blobIds: [blob(1)] }, true, false],
  ] as const)('condition %s', (_name, condition, whenAbsent, whenPresent) => {
    const w = world();
    const answer = (met: boolean) => (met ? 'applied' : 'precondition-failed');
    expect(w.decide(w.commit([check('k', condition)]))).toBe(answer(whenAbsent));
    w.apply(w.commit([w.put({ blob: 1 })]));
    expect(w.decide(w.commit([check('k', condition)]))).toBe(answer(whenPresent));
  });

  test('a failed condition of one op stops all of them and is named', () => {
    const w = world();
    const ops = [w.put({ key: 'a', blob: 1 }), check('b', { kind: 'exists' })];
    expect(w.apply(w.commit(ops))).toMatchObject({
      outcome: { kind: 'precondition-failed', failedOp: 1 },
    });
    expect(w.state.record(utf8('a'))).toBeUndefined();
  });

  test('of many that want an absent key one wins', () => {
    const w = world();
    const commands = [1, 2, 3].map((n) =>
      w.commit([w.put({ blob: n, condition: { kind: 'absent' } })]),
    );
    expect(commands.map((command) => w.decide(command))).toEqual([
      'applied',
      'precondition-failed',
      'precondition-failed',
    ]);
  });

  test('queues the copies that a replacement or a delete leaves behind', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })]));
    w.apply(w.commit([w.put({ blob: 2, disks: [2, 3, 4] })]));
    expect(w.state.counters).toMatchObject({ keys: 1, bytes: 10, garbage: 3 });
    expect(w.state.disks().map(({ refs }) => refs)).toEqual([0, 1, 1, 1]);
    w.apply(w.commit([remove()]));
    expect(w.state.counters).toMatchObject({ keys: 0, bytes: 0, garbage: 6 });
  });

  test('below the wanted copies a key is thin until it is replaced', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1, disks: [1, 2] })]));
    expect(w.state.counters.underReplicated).toBe(1);
    w.apply(w.commit([w.put({ blob: 2 })]));
    expect(w.state.counters.underReplicated).toBe(0);
  });
});

describe('Idempotency', () => {
  const asked = { principal: 'p', key: 'once', requestHash: hash(1) };

  test('a retry under a new txnId gets the first answer and writes nothing', () => {
    const w = world();
    const first = w.apply(w.commit([w.put({ blob: 1 })], { idempotency: asked }));
    w.apply(w.commit([remove()]));
    const retry = w.commit([w.put({ blob: 2 })], { idempotency: asked });
    const again = w.apply(retry);
    expect(again).toMatchObject({ outcome: first.kind === 'txn' ? first.outcome : {} });
    expect(w.state.record(k)).toBeUndefined();
    expect(w.state.outcome(retry.txnId)).toEqual(again.kind === 'txn' ? again.outcome : null);
  });

  test('the same key with another request is a mismatch', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })], { idempotency: asked }));
    const other = { ...asked, requestHash: hash(2) };
    expect(w.decide(w.commit([remove()], { idempotency: other }))).toBe('idempotency-mismatch');
    expect(w.state.record(k)).toBeDefined();
    const stranger = { ...other, principal: 'q' };
    expect(w.decide(w.commit([remove()], { idempotency: stranger }))).toBe('applied');
  });

  test('a failed precondition is remembered, too few replicas are not', () => {
    const w = world();
    const absent = w.put({ blob: 1, condition: { kind: 'exists' } });
    const few = w.put({ blob: 2, disks: [1] });
    w.apply(w.commit([few], { idempotency: asked }));
    w.apply(w.commit([absent], { idempotency: asked }));
    w.apply(w.commit([w.put({ blob: 3 })]));
    expect(w.decide(w.commit([absent], { idempotency: asked }))).toBe('precondition-failed');
  });

  test('the newest of a principal are kept', () => {
    const w = new MetadataWorld({ idempotencyRowsMax: 2 });
    w.register(3);
    const ask = (key: string) => w.apply(w.commit([remove()], { idempotency: { ...asked, key } }));
    const first = ask('1');
    ask('2');
    ask('1');
    ask('3');
    expect(ask('1')).not.toMatchObject({ outcome: first.kind === 'txn' ? first.outcome : {} });
  });
});

describe('Abort', () => {
  test('ends an open transaction, and changes no decided one', () => {
    const w = world();
    const command = w.commit([w.put({ blob: 1 })]);
    expect(w.decide({ kind: 'abort', txnId: command.txnId })).toBe('aborted');
    expect(w.decide(command)).toBe('aborted');
    const other = w.commit([w.put({ blob: 2 })]);
    w.apply(other);
    expect(w.decide({ kind: 'abort', txnId: other.txnId })).toBe('applied');
    w.advance({ fence: w.index });
    expect(w.decide({ kind: 'abort', txnId: txn(1, 9) })).toBe('expired');
  });
});

describe('Move', () => {
  function moveOf(w: MetadataWorld, change: Partial<Move>): Move {
    const target = { disk: diskId(4), copyId: copy(100) };
    return {
      kind: 'move',
      txnId: w.freshTxn(),
      key: k,
      blobId: blob(1),
      from: { disk: diskId(1), copyId: copy(1) },
      to: { ...target, session: session(w.state.disk(target.disk)?.session ?? 0) },
      want: 3,
      ...change,
    };
  }

  function stored(): MetadataWorld {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })]));
    return w;
  }

  const refusalOf = (w: MetadataWorld, move: Move): unknown => {
    const applied = w.apply(move);
    return applied.kind === 'txn' && applied.outcome.kind === 'refused'
      ? applied.outcome.reason
      : applied;
  };

  test('puts the new copy in the place of the old, which becomes garbage', () => {
    const w = stored();
    expect(w.decide(moveOf(w, {}))).toBe('applied');
    expect(w.state.record(k)?.copies).toEqual([
      { disk: 4, copyId: copy(100) },
      { disk: 2, copyId: copy(1) },
      { disk: 3, copyId: copy(1) },
    ]);
    expect(w.state.record(k)?.blobId).toBe(blob(1));
    expect(w.state.counters.garbage).toBe(1);
    expect(w.state.disks().map(({ refs }) => refs)).toEqual([0, 1, 1, 1]);
  });

  test('is refused when the value changed or the source is not listed', () => {
    const w = stored();
    expect(refusalOf(w, moveOf(w, { blobId: blob(2) }))).toBe('record-changed');
    const from = { disk: diskId(1), copyId: copy(2) };
    expect(refusalOf(w, moveOf(w, { from }))).toBe('copy-unknown');
    w.apply(w.commit([remove()]));
    expect(refusalOf(w, moveOf(w, {}))).toBe('record-changed');
  });

  test('is refused when the session of the target has ended', () => {
    const w = stored();
    const move = moveOf(w, {});
    w.apply(registerOf({ disk: 4, volume: 'volume-4', boots: 2, nonce: 'again' }));
    expect(refusalOf(w, move)).toBe('stale-session');
  });

  test('puts no second copy on a disk, but may renew the copy of the same disk', () => {
    const w = stored();
    const session2 = session(w.state.disk(diskId(2))?.session ?? 0);
    const to = { disk: diskId(2), copyId: copy(100), session: session2 };
    expect(refusalOf(w, moveOf(w, { to }))).toBe('copy-count');
    const from = { disk: diskId(2), copyId: copy(1) };
    expect(w.decide(moveOf(w, { from, to }))).toBe('applied');
  });

  test('adds only below the wanted count and removes only above it', () => {
    const w = stored();
    expect(refusalOf(w, moveOf(w, { from: null }))).toBe('copy-count');
    expect(w.decide(moveOf(w, { from: null, want: 4 }))).toBe('applied');
    expect(refusalOf(w, moveOf(w, { to: null, want: 4 }))).toBe('copy-count');
    expect(w.decide(moveOf(w, { to: null, want: 3 }))).toBe('applied');
    expect(refusalOf(w, moveOf(w, { from: null, to: null }))).toBe('copy-count');
  });

  test('takes no copy away while one of the rest is suspect', () => {
    const w = stored();
    w.apply(moveOf(w, { from: null, want: 4 }));
    w.apply({
      kind: 'suspect',
      key: k,
      blobId: blob(1),
      disk: diskId(2),
      copyId: copy(1),
    });
    expect(refusalOf(w, moveOf(w, { to: null }))).toBe('copy-count');
  });

  test('mends a suspect copy and a thin key', () => {
    const w = stored();
    w.apply({
      kind: 'suspect',
      key: k,
      blobId: blob(1),
      disk: diskId(1),
      copyId: copy(1),
    });
    expect(w.state.counters).toMatchObject({ underReplicated: 1, lost: 0 });
    w.apply(moveOf(w, {}));
    expect(w.state.counters.underReplicated).toBe(0);
  });

  test('is expired behind the fence and repeats its outcome', () => {
    const w = stored();
    const late = moveOf(w, {});
    const move = moveOf(w, {});
    w.apply(move);
    w.advance({ fence: w.index });
    expect(w.decide(move)).toBe('applied');
    expect(w.decide(late)).toBe('expired');
  });
});

describe('Suspect', () => {
  test('counts a key as lost when all its copies are suspect, each once', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1, disks: [1, 2] })]));
    const suspect = (n: number) =>
      w.apply({
        kind: 'suspect',
        key: k,
        blobId: blob(1),
        disk: diskId(n),
        copyId: copy(1),
      });
    suspect(1);
    suspect(1);
    expect(w.state.counters).toMatchObject({ underReplicated: 1, lost: 0 });
    suspect(3);
    expect(w.state.counters.lost).toBe(0);
    suspect(2);
    expect(w.state.counters).toMatchObject({ underReplicated: 1, lost: 1 });
    w.apply(w.commit([remove()]));
    expect(w.state.counters).toMatchObject({ underReplicated: 0, lost: 0 });
  });
});

describe('Register and SetDisk', () => {
  test('numbers new folders once and answers a retry alike', () => {
    const w = world(0);
    const first = w.apply(registerOf({ nonce: 'a' }));
    expect(first).toMatchObject({ result: { kind: 'accepted', disk: 1, session: 1 } });
    expect(w.apply(registerOf({ nonce: 'a' }))).toEqual(first);
    expect(w.apply(registerOf({ nonce: 'b' }))).toMatchObject({ result: { disk: 2, session: 3 } });
  });

  test('a new boot supersedes the session, its retry does not', () => {
    const w = world(1);
    const boot = registerOf({ disk: 1, boots: 2, nonce: 'b' });
    const accepted = w.apply(boot);
    expect(accepted).toMatchObject({ result: { kind: 'accepted', disk: 1, session: 2 } });
    expect(w.apply(boot)).toEqual(accepted);
  });

  test('an unclean start, or one that does not follow the last known, owes a reconcile', () => {
    const w = world(1);
    const reconciled = (): boolean | undefined => w.state.disk(diskId(1))?.reconciled;
    const start = (boots: number, clean: boolean): void => {
      w.apply(registerOf({ disk: 1, boots, nonce: `boot ${boots}`, clean }));
    };
    const done = (): void => {
      const session = w.state.disk(diskId(1))?.session;
      if (session !== undefined) w.apply({ kind: 'reconciled', disk: diskId(1), session });
    };
    expect(reconciled()).toBe(true);
    start(2, true);
    expect(reconciled()).toBe(true);
    start(3, false);
    expect(reconciled()).toBe(false);
    // What an unclean start owes outlives clean ones.
    start(4, true);
    expect(reconciled()).toBe(false);
    done();
    expect(reconciled()).toBe(true);
    start(6, true);
    expect(reconciled()).toBe(false);
    done();
    w.apply({ kind: 'reconciled', disk: diskId(9), session: w.state.disk(diskId(1))!.session });
    expect(w.state.disk(diskId(9))).toBeUndefined();
  });

  test('what is reconciled is said of one session, and a retry of Register changes nothing', () => {
    const w = world(1);
    const boot = registerOf({ disk: 1, boots: 2, nonce: 'b', clean: false });
    w.apply(boot);
    const old = w.state.disk(diskId(1))!.session;
    w.apply({ kind: 'reconciled', disk: diskId(1), session: old });
    w.apply(boot);
    expect(w.state.disk(diskId(1))?.reconciled).toBe(true);
    w.apply(registerOf({ disk: 1, boots: 3, nonce: 'c', clean: false }));
    w.apply({ kind: 'reconciled', disk: diskId(1), session: old });
    expect(w.state.disk(diskId(1))?.reconciled).toBe(false);
  });

  test.each([
    ['unknown-disk', { disk: 9 }],
    ['other-volume', { disk: 1, volume: 'stranger' }],
    ['stale-boot', { disk: 1, boots: 1, nonce: 'image' }],
    ['disk-gone', { disk: 2 }],
  ])('refuses %s', (why, change) => {
    const w = world(2);
    w.apply({ kind: 'set-disk', disk: diskId(2), state: 'gone', zone: null });
    expect(w.apply(registerOf(change))).toMatchObject({ result: { kind: 'refused', why } });
  });

  test('keeps the stored zone when none is given, and gone is final', () => {
    const w = world(1);
    w.apply({ kind: 'set-disk', disk: diskId(1), state: 'draining', zone: 'east' });
    w.apply(registerOf({ disk: 1, boots: 2, nonce: 'b' }));
    expect(w.state.disk(diskId(1))).toMatchObject({ zone: 'east', state: 'draining' });
    w.apply({ kind: 'set-disk', disk: diskId(1), state: 'gone', zone: null });
    w.apply({ kind: 'set-disk', disk: diskId(1), state: 'active', zone: null });
    expect(w.state.disk(diskId(1))?.state).toBe('gone');
  });

  test('copies on a gone disk are not queued as garbage', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })]));
    w.apply({ kind: 'set-disk', disk: diskId(1), state: 'gone', zone: null });
    w.apply(w.commit([remove()]));
    expect(w.state.counters.garbage).toBe(2);
    expect(w.state.disk(diskId(1))?.refs).toBe(0);
  });
});

describe('Advance', () => {
  test('marks only rise, forget stays below the fence and none passes its own index', () => {
    const w = world();
    w.advance({ fence: 4, reclaim: 3, forget: 9, timeMs: 1000 });
    expect(w.state.marks).toEqual({ fence: 4, reclaim: 3, forget: 4, timeMs: 1000 });
    w.advance({ fence: 2, reclaim: 1, forget: 1, timeMs: 5 });
    expect(w.state.marks).toEqual({ fence: 4, reclaim: 3, forget: 4, timeMs: 1000 });
    w.advance({ fence: 1000, reclaim: 1000 });
    expect(w.state.marks).toMatchObject({ fence: w.index, reclaim: w.index });
  });

  test('R30: time rises by at most one step', () => {
    const w = world();
    w.advance({ timeMs: 5000 });
    w.advance({ timeMs: 5000 + 2 * TIME_STEP_MS_MAX });
    expect(w.state.marks.timeMs).toBe(5000 + TIME_STEP_MS_MAX);
  });

  test('a pin holds reclaim until it is taken away', () => {
    const w = world();
    w.apply({ kind: 'pin', id: 'backup' });
    const pinned = w.index;
    w.apply({ kind: 'pin', id: 'backup' });
    w.apply(w.commit([]));
    w.advance({ reclaim: w.index });
    expect(w.state.marks.reclaim).toBe(pinned);
    w.apply({ kind: 'unpin', id: 'backup' });
    w.advance({ reclaim: w.index });
    expect(w.state.marks.reclaim).toBe(w.index - 1);
  });

  test('forgotten outcomes are absent at once and their rows go', () => {
    const w = world();
    const old = w.commit([w.put({ blob: 1 })]);
    w.apply(old);
    const kept = w.commit([w.put({ blob: 2 })]);
    w.apply(kept);
    const forget = w.state.forgetMark(1);
    w.advance({ fence: w.index, forget });
    expect(w.state.outcome(old.txnId)).toBeUndefined();
    expect(w.state.outcome(kept.txnId)).toBeDefined();
    w.advance({ fence: w.index, forget: w.index });
    expect(w.scannedDigest()).toBe(w.state.digest());
    const outcomes = w.store.rows().filter(([key]) => key[0] === 'o'.charCodeAt(0));
    expect(outcomes).toHaveLength(0);
  });

  test('stored outcomes are taken up bit by bit, and all of them for whoever asks before', () => {
    const w = world();
    const commits = [1, 2, 3, 4].map((n) => w.commit([w.put({ key: `k${n}`, blob: n })]));
    for (const command of commits) w.apply(command);
    w.state.checkpoint();
    const store = MemoryStore.of(w.store.rows());
    const { rows, outcomes } = store.loadable();
    let left = commits.length;
    const counted = function* () {
      for (const row of outcomes) {
        left -= 1;
        yield row;
      }
    };
    const load = () => MetadataState.load(store, { rows, outcomes: counted() }, w.state.digest());
    const state = load();
    expect(state.record(utf8('k1'))).toBeDefined();
    expect(left).toBe(4);
    expect([state.takeStoredOutcomes(3), left]).toEqual([false, 1]);
    expect([state.takeStoredOutcomes(3), left]).toEqual([true, 0]);
    expect(commits.map(({ txnId }) => state.outcome(txnId)?.kind)).toEqual(
      commits.map(() => 'applied'),
    );
    left = commits.length;
    expect(load().outcome(commits[3]!.txnId)?.kind).toBe('applied');
    expect(left).toBe(0);
  });
});

describe('Questions about bytes', () => {
  const ask = (w: MetadataWorld, disk: number, copyNumber: number, id = txn(1, 99)) =>
    w.state.ask({ disk: diskId(disk), copyId: copy(copyNumber), txnId: id, owner: k });

  test('listed copies stay, garbage goes behind the reclaim mark', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })]));
    expect(ask(w, 1, 1)).toBe('KEEP');
    w.apply(w.commit([remove()]));
    expect(ask(w, 1, 1)).toBe('LATER');
    w.advance({ reclaim: w.index });
    expect(ask(w, 1, 1)).toBe('LATER');
    w.advance({ reclaim: w.index });
    expect(ask(w, 1, 1)).toBe('DROP');
  });

  test('an undecided transaction waits for its outcome or the fence', () => {
    const w = world();
    const id = w.freshTxn();
    expect(ask(w, 1, 5, id)).toBe('LATER');
    w.apply({ kind: 'abort', txnId: id });
    expect(ask(w, 1, 5, id)).toBe('DROP');
    const other = txn(w.index, 77);
    expect(ask(w, 1, 6, other)).toBe('LATER');
    w.apply(w.commit([]));
    w.advance({ fence: w.index });
    expect(ask(w, 1, 6, other)).toBe('DROP');
  });

  test('a struck copy of an applied write may go', () => {
    const w = world();
    const command = w.commit([w.put({ blob: 1, disks: [1, 2, 9] })]);
    w.apply(command);
    expect(ask(w, 9, 1, command.txnId)).toBe('DROP');
  });
});

describe('Reclaimed', () => {
  test('deletes the rows that match, once', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1 })]));
    w.apply(w.commit([remove()]));
    const row = { disk: diskId(1), queuedAt: w.index, copyId: copy(1) };
    const wrong = { ...row, queuedAt: logIndex(1) };
    w.apply({ kind: 'reclaimed', rows: [wrong, row, row] });
    expect(w.state.counters.garbage).toBe(2);
    expect(w.scannedDigest()).toBe(w.state.digest());
  });
});

describe('InitCluster and SetOperatorEpoch', () => {
  test('the first cluster stands, and epochs only rise', () => {
    const w = world(0);
    const members = [{ node: 1, name: 'a', address: 'a:1' }];
    const init = (id: string) =>
      w.apply({
        kind: 'init-cluster',
        clusterId: blob(Number(id)) as never,
        members: members as never,
        redirectKey: id,
      });
    init('1');
    init('2');
    expect(w.state.cluster).toMatchObject({ clusterId: blob(1), redirectKey: '1' });
    w.apply({ kind: 'set-operator-epoch', epoch: 7 });
    w.apply({ kind: 'set-operator-epoch', epoch: 3 });
    expect(w.state.cluster.operatorEpoch).toBe(7);
  });
});

describe('a state that an older build has stored', () => {
  test('keeps a true digest, though its rows are written in another way from now on', () => {
    const w = world(1);
    w.apply(w.commit([w.put({ blob: 1, disks: [1] })], { need: 1 }));
    const disk = w.state.disk(diskId(1))!;
    w.state.checkpoint();
    const key = diskKey(disk.disk);
    const digest = new RowDigest();
    const rows = w.store.rows().map(([rowKey, value]) => {
      const isDisk = compareBytes(rowKey, key) === 0;
      // A disk of version 1 ends before `reconciled`.
      const row = isDisk ? Uint8Array.of(1, ...value.subarray(1, -1)) : value;
      digest.add(rowKey, row);
      return [rowKey, row] as const;
    });
    const stored = MemoryStore.of(rows);
    const loaded = MetadataState.load(stored, stored.loadable(), digest.text());
    loaded.checkpoint();
    const scanned = new RowDigest();
    for (const [rowKey, value] of stored.rows()) scanned.add(rowKey, value);
    expect(loaded.digest()).toBe(scanned.text());
    expect(loaded.digest()).not.toBe(digest.text());
  });
});
