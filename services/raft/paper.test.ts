/**
 * Goal: the sentences of the Raft paper and thesis that an implementation is judged by, each quoted
 * with its section. Method: one core, messages written by hand, its Ready read. The rules of figures 2
 * and 13 stand in figures.test.ts.
 */
import { describe, expect, test } from '@jest/globals';
import { utf8 } from '../common/bytes.ts';
import { logIndex, type NodeId, nodeId, term } from '../common/ids.ts';
import { append, at, entry, from, kinds, LIMITS, Probe, to, vote } from '../testing/raft-probe.ts';
import { RaftCore } from './core.ts';
import type { Message, VoteRequest } from './messages.ts';
import type { Entry, LogPoint } from './types.ts';

const ALIVE = { kind: 'heartbeat-reply', recovering: false, stopping: false } as const;

describe('paper 5.1: terms', () => {
  test('"if one server\'s current term is smaller than the other\'s, then it updates its current term to the larger value"', () => {
    const probe = new Probe();
    probe.receive(append(2, 7, at(0, 0)));
    expect(probe.core.status()).toMatchObject({ term: 7, leader: 2 });
    expect(probe.readies.at(0)?.hardState).toEqual({ term: 7, vote: 0 });
  });

  test.each(['candidate', 'leader'])(
    '"if a candidate or leader discovers that its term is out of date, it immediately reverts to follower state" (%s)',
    (role) => {
      const probe = new Probe();
      if (role === 'leader') probe.lead();
      else {
        probe.tick(10);
        probe.receive({ ...from(2, 1), kind: 'vote-reply', pre: true, granted: true });
      }
      expect(probe.core.status().role).toBe(role);
      probe.receive({ ...from(3, 5), kind: 'vote-reply', pre: false, granted: false });
      expect(probe.core.status()).toMatchObject({ role: 'follower', term: 5 });
    },
  );

  test('"if a server receives a request with a stale term number, it rejects the request"', () => {
    const probe = new Probe(3, [entry(1, 4)], 4);
    const [reply] = probe.receive(append(2, 3, at(1, 4), { entries: [entry(2, 3)] }));
    expect(reply).toMatchObject({ kind: 'append-reply', success: false, term: 4 });
    expect(probe.core.status().lastIndex).toBe(1);
    expect(probe.receive(vote(2, 3, at(9, 9)))).toMatchObject([{ granted: false, term: 4 }]);
  });
});

describe('paper 5.2: leader election', () => {
  test('"when servers start up, they begin as followers"', () => {
    expect(new Probe().core.status()).toMatchObject({ role: 'follower', leader: 0, term: 0 });
  });

  test('"if a follower receives no communication over a period of time called the election timeout" it begins an election', () => {
    const probe = new Probe();
    expect(probe.tick(9)).toEqual([]);
    expect(kinds(probe.tick(1))).toEqual(['vote-request', 'vote-request']);
  });

  test('a follower that is heard from its leader in time never campaigns', () => {
    const probe = new Probe();
    for (let round = 0; round < 10; round += 1) {
      expect(probe.tick(9)).toEqual([]);
      probe.receive(append(2, 1, at(0, 0)));
    }
    expect(probe.core.status()).toMatchObject({ role: 'follower', term: 1 });
  });

  test.each([
    [1, 0],
    [2, 1],
    [3, 1],
    [4, 2],
    [5, 2],
    [7, 3],
  ])(
    '"a candidate wins an election if it receives votes from a majority": of %i it needs %i more',
    (size, others) => {
      const probe = new Probe(size);
      probe.tick(10);
      for (const pre of [true, false]) {
        for (let node = 2; node < 2 + others; node += 1) {
          expect(probe.core.status().role).toBe(pre ? 'pre-candidate' : 'candidate');
          probe.receive({ ...from(node, 1), kind: 'vote-reply', pre, granted: true });
        }
      }
      expect(probe.core.status()).toMatchObject({ role: 'leader', term: 1 });
    },
  );

  test('"each server will vote for at most one candidate in a given term, on a first-come-first-served basis"', () => {
    const probe = new Probe();
    expect(probe.receive(vote(2, 1, at(0, 0)))).toMatchObject([{ granted: true }]);
    expect(probe.receive(vote(3, 1, at(0, 0)))).toMatchObject([{ granted: false }]);
    expect(probe.receive(vote(3, 2, at(0, 0)))).toMatchObject([{ granted: true }]);
  });

  test('"once a candidate wins an election, it then sends heartbeat messages to all of the other servers"', () => {
    const probe = new Probe().lead();
    const sent = probe.readies.flatMap((ready) => ready.messages);
    expect(sent.filter((message) => message.kind === 'append-request')).toHaveLength(2);
    expect(kinds(probe.tick(2))).toEqual(['heartbeat-request', 'heartbeat-request']);
  });

  test.each([
    [5, 'follower'],
    [1, 'follower'],
  ])(
    'a candidate of term 1 that hears a leader of term %i "recognizes the leader as legitimate"',
    (leaderTerm, role) => {
      const probe = new Probe();
      probe.tick(10);
      probe.receive({ ...from(2, 1), kind: 'vote-reply', pre: true, granted: true });
      probe.receive(append(3, leaderTerm, at(0, 0)));
      expect(probe.core.status()).toMatchObject({ role, leader: 3, term: leaderTerm });
    },
  );

  test('"election timeouts are chosen randomly from a fixed interval", anew for each attempt', () => {
    const bounds: number[] = [];
    const core = new RaftCore(
      {
        self: nodeId(1),
        voters: [nodeId(1), nodeId(2), nodeId(3)],
        bootId: 1,
        heartbeatTicks: 2,
        electionTicksMin: 10,
        randomBelow: (bound) => {
          bounds.push(bound);
          return bounds.length % bound;
        },
        limits: LIMITS,
      },
      {
        hardState: { term: term(0), vote: nodeId(0) },
        base: at(0, 0),
        entries: [],
        applied: logIndex(0),
        recovering: false,
      },
    );
    for (let i = 0; i < 100; i += 1) core.tick();
    expect(bounds.length).toBeGreaterThan(5);
    expect(bounds.every((bound) => bound === 10)).toBe(true);
  });
});

describe('paper 5.3: log replication', () => {
  test('"the leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel"', () => {
    const probe = new Probe().lead();
    probe.accept(2, 1);
    probe.accept(3, 1);
    probe.core.propose(1, [utf8('a'), utf8('b')]);
    const sent = probe.drain().filter((message) => message.kind === 'append-request');
    expect(sent.map((message) => message.to)).toEqual([2, 3]);
    expect(sent.map((message) => message.entries.length)).toEqual([2, 2]);
    expect(sent[0]?.entries).toEqual(sent[1]?.entries);
    expect(probe.readies.at(-1)?.entries).toEqual(sent[0]?.entries);
  });

  test('"a log entry is committed once the leader that created the entry has replicated it on a majority of the servers"', () => {
    const probe = new Probe(5).lead();
    probe.core.propose(1, [utf8('a')]);
    probe.drain();
    probe.accept(2, 2);
    expect(probe.core.status().commit).toBe(0);
    probe.accept(3, 2);
    expect(probe.core.status().commit).toBe(2);
    const committed = probe.readies.flatMap((ready) => ready.committed);
    expect(committed.map((one) => one.kind)).toEqual(['noop', 'command']);
  });

  test('"this also commits all preceding entries in the leader\'s log, including entries created by previous leaders"', () => {
    const probe = new Probe(3, [entry(1, 1, 'x'), entry(2, 2, 'y')]).lead();
    probe.accept(2, 3);
    const committed = probe.readies.flatMap((ready) => ready.committed);
    expect(committed.map((one) => one.index)).toEqual([1, 2, 3]);
  });

  test('"once a follower learns that a log entry is committed, it applies the entry (in log order)"', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0), { entries: [entry(1, 1, 'a'), entry(2, 1, 'b')] }));
    probe.receive(append(2, 1, at(2, 1), { commit: 1 }));
    probe.receive(append(2, 1, at(2, 1), { commit: 2 }));
    const committed = probe.readies.map((ready) => ready.committed.map((one) => one.index));
    expect(committed.filter((indexes) => indexes.length > 0)).toEqual([[1], [2]]);
  });

  test.each([
    ['holds it', at(2, 2), true],
    ['another term', at(2, 1), false],
    ['beyond the log', at(3, 2), false],
    ['before the log', at(0, 0), true],
  ] as const)(
    '"if the follower does not find an entry with the same index and term, it refuses the new entries": %s',
    (_name, previous, success) => {
      const probe = new Probe(3, [entry(1, 1), entry(2, 2)]);
      expect(probe.receive(append(2, 2, previous))).toMatchObject([{ success }]);
    },
  );

  // Figure 7 of the paper; the leader of term 8 has terms 1 1 1 4 4 5 5 6 6 6.
  test.each([
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b', [1, 1, 1, 4]],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e', [1, 1, 1, 4, 4, 4, 4]],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ])(
    '"the leader handles inconsistencies by forcing the followers\' logs to duplicate its own": figure 7 (%s)',
    (_name, followerTerms) => {
      const logOf = (terms: readonly number[]): Entry[] => terms.map((t, i) => entry(i + 1, t));
      const leader = new Probe(3, logOf([1, 1, 1, 4, 4, 5, 5, 6, 6, 6]), 7).lead();
      const follower = new Probe(3, logOf(followerTerms), 7);
      const opening = leader.readies.flatMap((ready) => ready.messages);
      let sent: readonly Message[] = to(opening, 2).filter(
        (message) => message.kind === 'append-request',
      );
      let rounds = 0;
      while (sent.length > 0 && rounds < 10) {
        rounds += 1;
        const answers = sent.flatMap((message) => follower.receive(between(message, 2, 1)));
        sent = answers.flatMap((message) => to(leader.receive(between(message, 2, 1)), 2));
      }
      expect(follower.core.status()).toMatchObject({ lastIndex: 11, commit: 11 });
      // The hints skip whole terms: no follower of figure 7 takes a round an entry.
      expect(rounds).toBeLessThan(7);
    },
  );

  test('"a leader never overwrites or deletes entries in its own log"', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 1)]).lead();
    const before = probe.core.status().lastIndex;
    probe.receive(append(2, 1, at(0, 0), { entries: [entry(1, 2)] }));
    expect(probe.core.status().lastIndex).toBe(before);
    expect(probe.readies.every((ready) => ready.truncateFrom === null)).toBe(true);
  });
});

describe('paper 5.4: safety', () => {
  test.each([
    ['older last term', at(9, 1), false],
    ['same term, shorter', at(1, 2), false],
    ['same term, same length', at(2, 2), true],
    ['same term, longer', at(3, 2), true],
    ['newer last term, shorter', at(1, 3), true],
  ] as const)(
    '5.4.1 "the voter denies its vote if its own log is more up-to-date than that of the candidate": %s',
    (_name, last, granted) => {
      const probe = new Probe(3, [entry(1, 1), entry(2, 2)], 3);
      expect(probe.receive(vote(2, 4, last))).toMatchObject([{ granted }]);
    },
  );

  test('5.4.2 "Raft never commits log entries from previous terms by counting replicas" (figure 8)', () => {
    const probe = new Probe(3, [entry(1, 1), entry(2, 2)]).lead();
    probe.accept(2, 2);
    probe.accept(3, 2);
    expect(probe.core.status().commit).toBe(0);
    probe.accept(2, 3);
    expect(probe.core.status().commit).toBe(3);
  });
});

describe('thesis 3.10: leadership transfer', () => {
  const behind = (): Probe => {
    const probe = new Probe().lead();
    probe.accept(2, 1);
    probe.core.propose(1, [utf8('a')]);
    probe.drain();
    return probe;
  };

  test('"the prior leader fully updates the target server\'s log", then "sends a TimeoutNow request"', () => {
    const probe = behind();
    probe.core.transferLeadership(nodeId(2));
    expect(kinds(probe.drain())).not.toContain('timeout-now');
    expect(to(probe.accept(2, 2), 2)).toContainEqual(
      expect.objectContaining({ kind: 'timeout-now' }),
    );
  });

  test('"the prior leader stops accepting new client requests", and takes them again after an election timeout', () => {
    const probe = behind();
    probe.core.transferLeadership(nodeId(3));
    probe.core.propose(5, [utf8('b')]);
    probe.drain();
    expect(probe.readies.at(-1)?.refusedProposals).toEqual([
      { proposalId: 5, reason: 'transferring' },
    ]);
    probe.tick(5);
    probe.accept(2, 2);
    probe.tick(5);
    probe.core.propose(6, [utf8('c')]);
    probe.drain();
    expect(probe.core.status()).toMatchObject({ role: 'leader', lastIndex: 3, transferTarget: 0 });
  });

  test('without a named target the most complete live follower is chosen', () => {
    const probe = behind();
    probe.accept(3, 2);
    probe.core.transferLeadership(nodeId(0));
    expect(probe.core.status().transferTarget).toBe(3);
  });

  test('nobody is chosen who is about to end, and one that says so meanwhile is given up', () => {
    const probe = behind();
    probe.receive({ ...from(3, 1), ...ALIVE, readToken: 0 });
    probe.core.transferLeadership(nodeId(0));
    expect(probe.core.status().transferTarget).toBe(2);
    probe.receive({ ...from(2, 1), ...ALIVE, stopping: true, readToken: 0 });
    expect(probe.core.status().transferTarget).toBe(0);
    probe.core.transferLeadership(nodeId(0));
    expect(probe.core.status().transferTarget).toBe(3);
  });

  test('a follower counts as live also in the moment after a check of the quorum', () => {
    const probe = behind();
    probe.accept(3, 2);
    // The check forgets who was heard; the next heartbeat is not answered yet.
    probe.tick(10);
    expect(probe.core.status().role).toBe('leader');
    expect(probe.core.status().peers.map(({ recentlyActive }) => recentlyActive)).toContain(true);
    probe.core.transferLeadership(nodeId(0));
    expect(probe.core.status().transferTarget).toBe(3);
  });

  test('the target starts "a new election (incrementing its term and becoming a candidate)" at once', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    const asked = probe.receive({ ...from(2, 1), kind: 'timeout-now' });
    expect(probe.core.status()).toMatchObject({ role: 'candidate', term: 2 });
    expect(asked).toMatchObject([{ transfer: true, pre: false }, { transfer: true }]);
  });

  test('a recovering node refuses TimeoutNow', () => {
    const probe = new Probe(3, [], 0, true);
    probe.receive({ ...append(2, 1, at(0, 0)), lastIndex: logIndex(5) });
    expect(probe.core.status()).toMatchObject({ recovering: true, leader: 2 });
    expect(probe.receive({ ...from(2, 1), kind: 'timeout-now' })).toEqual([]);
    expect(probe.core.status()).toMatchObject({ role: 'follower', term: 1 });
  });

  test('a stopping node refuses TimeoutNow', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    probe.core.beginStop();
    expect(probe.drain()).toMatchObject([{ kind: 'heartbeat-reply', to: 2, stopping: true }]);
    expect(probe.receive({ ...from(2, 1), kind: 'timeout-now' })).toEqual([]);
    expect(probe.tick(40)).toEqual([]);
  });
});

describe('thesis 6.4: reads without log entries', () => {
  const reads = (probe: Probe): unknown => probe.readies.flatMap((ready) => ready.reads);

  test('"if the leader has not yet marked an entry from its current term committed, it waits until it has done so"', () => {
    const probe = new Probe().lead();
    probe.core.read(7);
    expect(kinds(probe.drain())).not.toContain('heartbeat-request');
    expect(kinds(probe.accept(2, 1))).toContain('heartbeat-request');
  });

  test('"the leader issues a new round of heartbeats and waits for their acknowledgments from a majority"', () => {
    const probe = new Probe(5).lead();
    probe.accept(2, 1);
    probe.accept(3, 1);
    probe.core.read(7);
    probe.core.read(8);
    const [heartbeat] = probe.drain();
    expect(heartbeat).toMatchObject({ kind: 'heartbeat-request', readToken: 1 });
    const answer = { ...ALIVE, readToken: 1 } as const;
    probe.receive({ ...from(2, 1), ...answer });
    probe.receive({ ...from(2, 1), ...answer });
    expect(reads(probe)).toEqual([]);
    probe.receive({ ...from(4, 1), ...answer });
    expect(reads(probe)).toEqual([
      { readId: 7, index: 1 },
      { readId: 8, index: 1 },
    ]);
  });

  test('a later token confirms the earlier rounds too', () => {
    const probe = new Probe().lead();
    probe.accept(2, 1);
    for (const readId of [7, 8]) {
      probe.core.read(readId);
      probe.drain();
    }
    probe.receive({ ...from(3, 1), ...ALIVE, readToken: 2 });
    expect(reads(probe)).toHaveLength(2);
  });

  test('a follower asks once for all the reads that wait', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    probe.core.read(7);
    probe.core.read(8);
    expect(probe.drain()).toMatchObject([{ kind: 'read-request', requestId: 1, to: 2, term: 1 }]);
    probe.receive({ ...from(2, 1), kind: 'read-reply', requestId: 1, index: logIndex(5) });
    expect(reads(probe)).toEqual([
      { readId: 7, index: 5 },
      { readId: 8, index: 5 },
    ]);
  });

  test('a read that nobody answers is lost after an election timeout', () => {
    const probe = new Probe();
    probe.core.beginStop();
    probe.core.read(7);
    probe.receive(append(2, 1, at(0, 0)));
    probe.core.read(8);
    probe.tick(20);
    expect(probe.readies.flatMap((ready) => ready.lostReads)).toEqual([7, 8]);
  });
});

describe('thesis 9.6: pre-vote', () => {
  const preVote = (node: NodeId, last: LogPoint): VoteRequest => ({
    ...vote(node, 2, last),
    pre: true,
  });

  test('"a candidate only increments its term if it first learns from a majority of the cluster that they would be willing to grant the candidate their votes"', () => {
    const probe = new Probe();
    probe.tick(10);
    expect(probe.core.status()).toMatchObject({ role: 'pre-candidate', term: 0 });
    probe.tick(100);
    expect(probe.core.status().term).toBe(0);
    probe.receive({ ...from(3, 1), kind: 'vote-reply', pre: true, granted: true });
    expect(probe.core.status()).toMatchObject({ role: 'candidate', term: 1 });
  });

  test('willing only if "they have not received heartbeats from a valid leader for at least a baseline election timeout"', () => {
    const probe = new Probe();
    probe.receive(append(2, 1, at(0, 0)));
    expect(probe.receive(preVote(nodeId(3), at(0, 0)))).toEqual([]);
    // Past the timeout; it asks itself by now, and is willing nevertheless.
    probe.tick(10);
    expect(probe.receive(preVote(nodeId(3), at(0, 0)))).toMatchObject([{ granted: true, term: 2 }]);
    expect(probe.core.status().term).toBe(1);
  });

  test('willing only if "the candidate\'s log is sufficiently up-to-date"', () => {
    const probe = new Probe(3, [entry(1, 1)]);
    expect(probe.receive(preVote(nodeId(3), at(0, 0)))).toMatchObject([{ granted: false }]);
  });

  test('a pre-vote binds nobody: several candidates may have it', () => {
    const probe = new Probe();
    for (const node of [2, 3]) {
      expect(probe.receive(preVote(nodeId(node), at(0, 0)))).toMatchObject([{ granted: true }]);
    }
    expect(probe.core.status()).toMatchObject({ term: 0, vote: 0 });
  });
});

/** The message as if its ends were swapped: both probes call themselves node 1. */
function between(message: Message, sender: number, receiver: number): Message {
  return { ...message, from: nodeId(sender), to: nodeId(receiver) };
}
