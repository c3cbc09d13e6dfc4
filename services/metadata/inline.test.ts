/** Values that the state keeps itself, beside those that lie on volumes. */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { clusterId, diskId, nodeId, session } from '../common/ids.ts';
import { blob, copy, hash, MetadataWorld, remove } from '../testing/metadata-world.ts';
import type { Condition } from './commands.ts';

function world(): MetadataWorld {
  const made = new MetadataWorld();
  made.register(3);
  return made;
}

const k = utf8('k');

describe('an inline value', () => {
  const stored = { blobId: blob(7), size: 5, digest: hash(7), copies: [], headers: [] };

  test('is part of its record: no disk is asked for, and no key is thin', () => {
    const w = world();
    w.apply({
      kind: 'init-cluster',
      clusterId: clusterId('c'.repeat(32)),
      members: [1, 2].map((n) => ({ node: nodeId(n), name: `c${n}`, address: '' })),
      redirectKey: '',
    });
    const applied = w.apply(w.commit([w.inline({ blob: 7, data: 'value' })], { need: 5, want: 3 }));
    expect(applied).toMatchObject({
      outcome: { kind: 'applied', results: [{ effect: 'created', copyCount: 2, blobId: blob(7) }] },
    });
    const version = { index: w.index, ordinal: 0 };
    expect(w.state.record(k)).toEqual({ ...stored, version, data: utf8('value') });
    expect(w.state.counters).toMatchObject({ keys: 1, bytes: 5, underReplicated: 0, lost: 0 });
  });

  test('takes the place of one on volumes, whose copies become garbage, and gives it up again', () => {
    const w = world();
    w.apply(w.commit([w.put({ blob: 1, disks: [1, 2] })]));
    expect(w.state.counters.underReplicated).toBe(1);
    w.apply(w.commit([w.inline({ blob: 7, data: 'value' })]));
    expect(w.state.counters).toMatchObject({ bytes: 5, garbage: 2, underReplicated: 0 });
    w.apply(w.commit([w.put({ blob: 2, size: 10 })]));
    expect(w.state.record(k)).toMatchObject({ blobId: blob(2), data: null });
    expect(w.state.counters).toMatchObject({ bytes: 10, garbage: 2 });
    expect(w.recount().counters).toEqual(w.state.counters);
    expect(w.scannedDigest()).toBe(w.state.digest());
  });

  test('meets conditions like any other, and goes by a delete', () => {
    const w = world();
    const put = (condition: Condition) => w.inline({ blob: 8, data: 'next', condition });
    w.apply(w.commit([w.inline({ blob: 7, data: 'value' })]));
    expect(w.decide(w.commit([put({ kind: 'absent' })]))).toBe('precondition-failed');
    const match = { kind: 'match', blobIds: [blob(7)] } as const;
    expect(w.decide(w.commit([put(match)]))).toBe('applied');
    w.apply(w.commit([remove()]));
    expect(w.state.record(k)).toBeUndefined();
    expect(w.state.counters).toMatchObject({ keys: 0, bytes: 0, garbage: 0 });
  });

  test('has no copy that could be moved, added or suspected', () => {
    const w = world();
    w.apply(w.commit([w.inline({ blob: 7, data: 'value' })]));
    const before = w.state.record(k);
    const to = { disk: diskId(1), session: session(1), copyId: copy(9) };
    const move = { kind: 'move', txnId: w.freshTxn(), key: k, blobId: blob(7), want: 3 } as const;
    expect(w.apply({ ...move, from: null, to })).toMatchObject({
      outcome: { kind: 'refused', reason: 'record-changed' },
    });
    w.apply({ kind: 'suspect', key: k, blobId: blob(7), disk: diskId(1), copyId: copy(7) });
    expect(w.state.record(k)).toEqual(before);
    expect(w.state.counters.underReplicated).toBe(0);
  });
});
