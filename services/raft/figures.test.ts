/**
 * Goal: every rule of figure 2 of the Raft paper, and of figure 13 for snapshots, holds as it is
 * written there. Method: as in paper.test.ts, whose sections are not repeated here.
 */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { append, at, entry, from, kinds, Probe, to, vote } from '../testing/raft-probe.ts';
import type { HeartbeatRequest, Message } from './messages.ts';

const entriesSent = (messages: readonly Message[]): readonly (readonly number[])[] =>
  messages.flatMap((message) =>
    message.kind === 'append-request' ? [message.entries.map(({ index }) => index)] : [],
  );
const heartbeat = (ofTerm: number, commit = 0): HeartbeatRequest => ({
  ...from(2, ofTerm),
  kind: 'heartbeat-request',
  commit: logIndex(commit),
  readToken: 0,
  lastIndex: logIndex(commit),
});

describe('figure 2, state', () => {
  test('"(updated on stable storage before responding to RPCs)": a vote leaves with the hard state or after it', () => {
    const { core } = new Probe();
    core.receive(vote(2, 3, at(0, 0)));
    const ready = core.takeReady();
    expect(ready?.hardState).toEqual({ term: 3, vote: 2 });
    expect(ready?.messages).toEqual([]);
    expect(ready?.messagesAfterPersist).toMatchObject([{ kind: 'vote-reply', granted: true }]);
  });

  test('"(updated on stable storage before responding to RPCs)": so does an acknowledgement with its entries', () => {
    const { core } = new Probe();
    core.receive(append(2, 3, at(0, 0), { entries: [entry(1, 3)] }));
    const ready = core.takeReady();
    expect(ready?.entries).toHaveLength(1);
    expect(ready?.messages).toEqual([]);
    expect(ready?.messagesAfterPersist).toMatchObject([{ success: true, index: 1 }]);
  });

  test('votedFor: "(or null if none)" in a term that is entered by a message', () => {
    const probe = new Probe();
    probe.receive(vote(2, 1, at(0, 0)));
    probe.receive(append(3, 2, at(0, 0)));
    expect(probe.core.status()).toMatchObject({ term: 2, vote: 0 });
  });

  test('nextIndex: "(initialized to leader last log index + 1)"; matchIndex: "(initialized to 0, increases monotonically)"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)]).lead();
    for (const peer of probe.core.status().peers) expect(peer).toMatchObject({ match: 0, next: 3 });
    const matches = [3, 1, 2, 3].map((index) => {
      probe.accept(2, index);
      return probe.core.status().peers.find(({ node }) => node === 2)?.match;
    });
    expect(matches).toEqual([3, 3, 3, 3]);
  });

  test('commitIndex: "increases monotonically", also over more entries than one Ready holds (R13)', () => {
    const probe = new Probe(
      1,
      Array.from({ length: 5000 }, (_, i) => entry(i + 1, 1)),
    );
    probe.core.tick();
    for (let ticks = 0; probe.core.status().role !== 'leader'; ticks += 1) {
      expect(ticks).toBeLessThan(30);
      probe.core.tick();
    }
    const seen: number[] = [];
    const applied: number[] = [];
    for (let ready = probe.core.takeReady(); ready !== null; ready = probe.core.takeReady()) {
      seen.push(probe.core.status().commit);
      applied.push(...ready.committed.map(({ index }) => index));
      const last = ready.entries.at(-1);
      if (last !== undefined) probe.core.persisted(last);
    }
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(probe.core.status().commit).toBe(5001);
    expect(applied).toEqual(Array.from({ length: 5001 }, (_, i) => i + 1));
  });
});

describe('figure 2, AppendEntries', () => {
  test('2. "reply false if log doesn\'t contain an entry at prevLogIndex whose term matches prevLogTerm": nothing is taken', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)]);
    const [reply] = probe.receive(append(2, 2, at(2, 2), { entries: [entry(3, 2)], commit: 3 }));
    expect(reply).toMatchObject({ success: false, index: 2 });
    expect(probe.core.status()).toMatchObject({ lastIndex: 2, commit: 0 });
  });

  test('3. "if an existing entry conflicts with a new one, delete the existing entry and all that follow it"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1), entry(3, 1), entry(4, 1)]);
    probe.receive(append(2, 2, at(1, 1), { entries: [entry(2, 2)] }));
    expect(probe.core.status().lastIndex).toBe(2);
    const ready = probe.readies.find(({ truncateFrom }) => truncateFrom !== null);
    expect(ready).toMatchObject({ truncateFrom: 2, entries: [{ index: 2, term: 2 }] });
  });

  test.each([
    ['a prefix of the log', at(0, 0), [entry(1, 1)]],
    ['the middle of the log', at(1, 1), [entry(2, 1)]],
    ['no entries', at(2, 1), []],
  ] as const)(
    '3. only a conflict deletes: a late append of %s leaves the log as it is',
    (_name, previous, entries) => {
      const probe = new Probe(3, [entry(1, 1), entry(2, 1), entry(3, 1)]);
      probe.receive(append(2, 1, previous, { entries }));
      expect(probe.core.status().lastIndex).toBe(3);
      expect(probe.readies.every(({ truncateFrom }) => truncateFrom === null)).toBe(true);
    },
  );

  test('4. "append any new entries not already in the log"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)]);
    const request = append(2, 1, at(1, 1), { entries: [entry(2, 1), entry(3, 1)] });
    for (let i = 0; i < 2; i += 1) expect(probe.receive(request)).toMatchObject([{ index: 3 }]);
    const written = probe.readies.flatMap(({ entries }) => entries.map(({ index }) => index));
    expect(written).toEqual([3]);
  });

  test.each([
    [1, 1],
    [2, 2],
    [9, 2],
  ])(
    '5. "if leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)": %i gives %i',
    (leaderCommit, commit) => {
      // Index 3 is of this follower alone: nobody has verified it.
      const probe = new Probe(3, [entry(1, 1), entry(2, 1), entry(3, 1)]);
      probe.receive(append(2, 2, at(1, 1), { entries: [entry(2, 1)], commit: leaderCommit }));
      expect(probe.core.status().commit).toBe(commit);
    },
  );

  test('5. holds for a heartbeat too: it verifies nothing, and commits only what was verified', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)]);
    probe.receive(heartbeat(2, 2));
    expect(probe.core.status().commit).toBe(0);
    probe.receive(append(2, 2, at(1, 1)));
    probe.receive(heartbeat(2, 2));
    expect(probe.core.status().commit).toBe(1);
  });
});

describe('figure 2, RequestVote', () => {
  test('1. "reply false if term < currentTerm"', () => {
    const probe = new Probe(3, [], 4);
    expect(probe.receive(vote(2, 3, at(9, 9)))).toMatchObject([{ granted: false, term: 4 }]);
  });

  test('2. "if votedFor is null or candidateId" also for the same candidate again', () => {
    const probe = new Probe();
    for (let i = 0; i < 2; i += 1) {
      expect(probe.receive(vote(2, 1, at(0, 0)))).toMatchObject([{ granted: true }]);
    }
    expect(probe.receive(vote(3, 1, at(0, 0)))).toMatchObject([{ granted: false }]);
  });
});

describe('figure 2, rules for servers', () => {
  test('followers: "if election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to candidate: convert to candidate"', () => {
    const probe = new Probe();
    probe.tick(9);
    probe.receive(vote(2, 1, at(0, 0)));
    expect(kinds(probe.tick(9))).toEqual([]);
    expect(kinds(probe.tick(1))).toEqual(['vote-request', 'vote-request']);
  });

  test('followers: a vote that was refused does not put the timeout off', () => {
    const probe = new Probe(3, [entry(1, 1)]);
    probe.tick(9);
    expect(probe.receive(vote(2, 2, at(0, 0)))).toMatchObject([{ granted: false }]);
    expect(kinds(probe.tick(1))).toEqual(['vote-request', 'vote-request']);
  });

  test('candidates: "increment currentTerm, vote for self, reset election timer, send RequestVote RPCs to all other servers"', () => {
    const probe = new Probe(5, [entry(1, 4)]);
    probe.tick(10);
    probe.receive({ ...from(2, 5), kind: 'vote-reply', pre: true, granted: true });
    const asked = probe.receive({ ...from(3, 5), kind: 'vote-reply', pre: true, granted: true });
    expect(probe.core.status()).toMatchObject({ role: 'candidate', term: 5, vote: 1 });
    expect(asked.map((message) => message.to)).toEqual([2, 3, 4, 5]);
    for (const message of asked) {
      expect(message).toMatchObject({ pre: false, term: 5, last: { index: 1, term: 4 } });
    }
    expect(probe.readies.at(-1)?.hardState).toEqual({ term: 5, vote: 1 });
  });

  test('candidates: "if election timeout elapses: start new election", by a new pre-vote', () => {
    const probe = new Probe();
    probe.tick(10);
    probe.receive({ ...from(2, 1), kind: 'vote-reply', pre: true, granted: true });
    expect(probe.core.status()).toMatchObject({ role: 'candidate', term: 1 });
    expect(probe.tick(10)).toMatchObject([{ pre: true, term: 2 }, { pre: true }]);
    probe.receive({ ...from(2, 2), kind: 'vote-reply', pre: true, granted: true });
    expect(probe.core.status()).toMatchObject({ role: 'candidate', term: 2, vote: 1 });
  });

  test('leaders: "upon election: send initial empty AppendEntries RPCs", here with the own first entry', () => {
    const probe = new Probe().lead();
    const sent = probe.readies.flatMap(({ messages }) => messages);
    expect(entriesSent(sent)).toEqual([[1], [1]]);
  });

  test('leaders: "if last log index >= nextIndex for a follower: send AppendEntries RPC with log entries starting at nextIndex"', () => {
    const probe = new Probe().lead();
    probe.accept(2, 1);
    probe.core.propose(1, [utf8('a')]);
    expect(entriesSent(to(probe.drain(), 2))).toEqual([[2]]);
    probe.core.propose(2, [utf8('b')]);
    expect(entriesSent(to(probe.drain(), 2))).toEqual([[3]]);
  });

  test('leaders: "if successful: update nextIndex and matchIndex for follower"', () => {
    const probe = new Probe().lead();
    probe.accept(2, 1);
    expect(probe.core.status().peers[0]).toMatchObject({ node: 2, match: 1, next: 2 });
  });

  test('leaders: "if AppendEntries fails because of log inconsistency: decrement nextIndex and retry"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 2)]).lead();
    const refused = {
      ...from(2, 3),
      kind: 'append-reply',
      success: false,
      index: logIndex(2),
      hint: at(1, 1),
      recovering: false,
      stopping: false,
    } as const;
    const [retry] = to(probe.receive(refused), 2);
    expect(retry).toMatchObject({ kind: 'append-request', previous: { index: 1, term: 1 } });
    expect(entriesSent(retry === undefined ? [] : [retry])).toEqual([[2, 3]]);
  });
});

describe('thesis 6.2: a leader without a majority', () => {
  test('"a leader steps down if an election timeout elapses without a successful round of heartbeats to a majority of its cluster"', () => {
    const probe = new Probe(5).lead();
    const answer = {
      kind: 'heartbeat-reply',
      readToken: 0,
      recovering: false,
      stopping: false,
    } as const;
    for (let round = 0; round < 3; round += 1) {
      for (const node of [2, 3]) probe.receive({ ...from(node, 1), ...answer });
      probe.tick(10);
      expect(probe.core.status().role).toBe('leader');
    }
    // Two of five are no majority, though one of the others is heard.
    probe.receive({ ...from(2, 1), ...answer });
    probe.tick(10);
    expect(probe.core.status()).toMatchObject({ role: 'follower', term: 1, leader: 0, vote: 1 });
  });

  test('it refuses proposals afterwards, so that "clients can retry their requests with another server"', () => {
    const probe = new Probe().lead();
    probe.tick(20);
    probe.core.propose(7, [utf8('a')]);
    probe.drain();
    expect(probe.readies.at(-1)?.refusedProposals).toEqual([
      { proposalId: 7, reason: 'no-leader' },
    ]);
  });
});

describe('thesis 4.2.3: disruptive servers', () => {
  test('"if a server receives a RequestVote request within the minimum election timeout of hearing from a current leader, it does not update its term or grant its vote"', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    probe.tick(9);
    expect(probe.receive(vote(3, 8, at(9, 9)))).toEqual([]);
    expect(probe.core.status()).toMatchObject({ term: 1, leader: 2 });
  });

  test('"servers can accept RequestVote requests that have a special flag" of a leadership transfer', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    const asked = { ...vote(3, 2, at(0, 0)), transfer: true };
    expect(probe.receive(asked)).toMatchObject([{ granted: true, term: 2 }]);
  });
});

describe('figure 13 and thesis 5: snapshots', () => {
  const staged = (probe: Probe, index: number, ofTerm: number, sentTerm: number): void => {
    probe.core.snapshotReady(at(index, ofTerm), nodeId(2), term(sentTerm));
    probe.drain();
  };
  const installs = (probe: Probe): readonly unknown[] =>
    probe.readies.flatMap(({ installSnapshot }) => installSnapshot ?? []);

  test('1. "reply immediately if term < currentTerm": the snapshot of a deposed leader is not taken', () => {
    const probe = new Probe(3, [entry(1, 1)], 5);
    staged(probe, 9, 4, 4);
    expect(installs(probe)).toEqual([]);
    expect(probe.core.status()).toMatchObject({ term: 5, leader: 0, lastIndex: 1 });
  });

  test('6. "if existing log entry has same index and term as snapshot\'s last included entry, retain log entries following it and reply"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1), entry(3, 1)]);
    staged(probe, 2, 1, 1);
    expect(installs(probe)).toEqual([]);
    expect(probe.core.status()).toMatchObject({ lastIndex: 3, commit: 2 });
    const replies = probe.readies.flatMap(({ messagesAfterPersist }) => messagesAfterPersist);
    expect(replies).toMatchObject([{ kind: 'append-reply', success: true, index: 2 }]);
  });

  test('7. and 8. "discard the entire log", "reset state machine using snapshot contents"; the term stays', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)], 6);
    staged(probe, 9, 4, 6);
    expect(installs(probe)).toEqual([at(9, 4)]);
    probe.core.snapshotInstalled(at(9, 4));
    probe.drain();
    expect(probe.core.status()).toMatchObject({ term: 6, lastIndex: 9, baseIndex: 9, commit: 9 });
    expect(probe.readies.at(-1)?.messagesAfterPersist).toMatchObject([{ success: true, index: 9 }]);
  });

  test('"the last included index and term are included in the snapshot to support the AppendEntries consistency check for the first log entry following the snapshot"', () => {
    const probe = new Probe(3, [], 6);
    staged(probe, 9, 4, 6);
    probe.core.snapshotInstalled(at(9, 4));
    probe.drain();
    const wrong = append(2, 6, at(9, 5), { entries: [entry(10, 6)] });
    expect(probe.receive(wrong)).not.toMatchObject([{ success: true, index: 10 }]);
    const right = append(2, 6, at(9, 4), { entries: [entry(10, 6)] });
    expect(probe.receive(right)).toMatchObject([{ success: true, index: 10 }]);
  });

  test('"the leader must occasionally send snapshots to followers that lag behind": when "it has already discarded the next log entry that it needs to send"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1), entry(3, 1)]).lead();
    probe.accept(2, 4);
    probe.core.applied(logIndex(4));
    probe.core.compacted(at(3, 1));
    const refused = {
      ...from(3, 2),
      kind: 'append-reply',
      success: false,
      hint: at(0, 0),
      recovering: false,
      stopping: false,
    } as const;
    // The first word of a boot restarts the probe at the end of the log; then it goes back to the base.
    for (const index of [3, 4, 3]) probe.receive({ ...refused, index: logIndex(index) });
    expect(probe.readies.flatMap(({ snapshotRequests }) => snapshotRequests)).toEqual([{ to: 3 }]);
    expect(probe.core.status().peers[1]).toMatchObject({ node: 3, state: 'snapshot' });
    probe.core.snapshotSent(nodeId(3), at(4, 2));
    probe.accept(3, 4);
    expect(probe.core.status().peers[1]).toMatchObject({ node: 3, match: 4, next: 5 });
  });
});
