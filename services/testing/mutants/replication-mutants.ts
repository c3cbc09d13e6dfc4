/** Mistakes in the log, in acknowledging, committing and reading, and around snapshots. */
import type { Mutant } from './mutant.ts';

const REPLICATION = 'services/raft/replication.ts';
const FOLLOWER = 'services/raft/follower.ts';
const LEADER = 'services/raft/leader.ts';
const LOG = 'services/raft/log.ts';
const PROGRESS = 'services/raft/progress.ts';
const UNSTABLE = 'services/raft/unstable.ts';
const SCRIPTS = 'services/raft/script.test.ts';
const PAPER = 'services/raft/paper.test.ts';
const FIGURES = 'services/raft/figures.test.ts';

export const REPLICATION_MUTANTS: readonly Mutant[] = [
  {
    id: 'R2',
    bugs: ['R2'],
    title: 'entries of older terms are committed by counting',
    patches: [
      {
        file: REPLICATION,
        find: 'if (reached <= committed || state.log.termAt(reached) !== state.term) return false;',
        replace: 'if (reached <= committed) return false;',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R9',
    bugs: ['R9'],
    title: 'an append cuts off everything behind its last entry',
    patches: [
      {
        file: LOG,
        find: 'if (first === undefined) return;',
        replace:
          'if (first === undefined) {\n' +
          '      const end = previous.index + entries.length;\n' +
          '      if (end < this.lastIndex && end >= this.#commit) this.#truncate(end + 1);\n' +
          '      return;\n' +
          '    }',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R10',
    bugs: ['R10', 'S5'],
    title: 'entries are pushed to the end of the log, whether it has them or not',
    patches: [
      {
        file: LOG,
        find: 'if (this.termAt(entry.index) !== entry.term) break;\n      fresh += 1;',
        replace: 'if (entry.index < 1) fresh += 1;',
      },
      {
        file: LOG,
        find: 'if (first.index <= this.lastIndex) this.#truncate(first.index);',
        replace: '',
      },
      {
        file: LOG,
        find: 'this.#pushAll(fresh === 0 ? entries : entries.slice(fresh));',
        replace:
          'for (const entry of entries) {\n' +
          '      this.append({ ...entry, index: logIndex(this.lastIndex + 1) });\n' +
          '    }',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R11a',
    bugs: ['R11', 'S5'],
    title: 'the previous entry is compared by index only',
    patches: [
      {
        file: LOG,
        find: 'return this.termAt(point.index) === point.term;',
        replace: 'return this.termAt(point.index) !== null;',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R11b',
    bugs: ['R11'],
    title: 'term 0 matches every entry, also one that is not there',
    patches: [
      {
        file: LOG,
        find: 'return this.termAt(point.index) === point.term;',
        replace: 'return point.term === 0 || this.termAt(point.index) === point.term;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R12a',
    bugs: ['R12'],
    title: 'a heartbeat commits whatever the follower holds',
    patches: [
      {
        file: FOLLOWER,
        find: 'Math.min(request.commit, state.verified)',
        replace: 'Math.min(request.commit, state.log.lastIndex)',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R12b',
    bugs: ['R12'],
    title: 'an append commits whatever the follower holds',
    patches: [
      {
        file: FOLLOWER,
        find: 'log.commitTo(Math.min(request.commit, verified));',
        replace: 'log.commitTo(Math.min(request.commit, log.lastIndex));',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R12c',
    bugs: ['R12', 'S6'],
    title: 'a heartbeat tells the last index as committed',
    patches: [
      {
        file: REPLICATION,
        find: 'commit: logIndex(Math.min(state.log.commit, progress.match)),',
        replace: 'commit: logIndex(state.log.lastIndex),',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R12d',
    bugs: ['R12'],
    title: 'a heartbeat tells a commit index beyond what the follower is known to match',
    patches: [
      {
        file: REPLICATION,
        find: 'commit: logIndex(Math.min(state.log.commit, progress.match)),',
        replace: 'commit: state.log.commit,',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R13a',
    bugs: ['R13'],
    title: 'a lower commit index is taken',
    patches: [
      {
        file: LOG,
        find: 'if (index <= this.#commit) return false;',
        replace: 'if (index === this.#commit) return false;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R13b',
    bugs: ['R13'],
    title: 'after a restart nothing is known to be committed',
    patches: [
      {
        file: LOG,
        find: 'this.#commit = Math.min(applied, base.index + entries.length);',
        replace: 'this.#commit = base.index;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R13c',
    bugs: ['R13'],
    title: 'the commit index falls back to the end of a page of committed entries',
    patches: [
      {
        file: LOG,
        find: 'this.#applying = Math.min(this.#commit, from + countMax);',
        replace:
          'this.#applying = Math.min(this.#commit, from + countMax);\n' +
          '    this.#commit = this.#applying;',
      },
    ],
    tests: [FIGURES],
  },
  {
    id: 'R14a',
    bugs: ['R14'],
    title: 'a late acknowledgement moves match back',
    patches: [
      { file: PROGRESS, find: 'if (grew) this.#match = index;', replace: 'this.#match = index;' },
    ],
    tests: [SCRIPTS, 'services/raft/progress.test.ts'],
  },
  {
    id: 'R14b',
    bugs: ['R14'],
    title: 'an acknowledgement beyond the log is believed',
    patches: [
      { file: LEADER, find: 'if (reply.index > state.log.lastIndex) return;', replace: '' },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R15a',
    bugs: ['R15'],
    title: 'a report of a sync is matched by index alone',
    patches: [
      {
        file: UNSTABLE,
        find: 'last.index === point.index && last.term === point.term',
        replace: 'last.index === point.index',
      },
    ],
    tests: [SCRIPTS, 'services/raft/unstable.test.ts'],
  },
  {
    id: 'R15b',
    bugs: ['R15'],
    title: 'truncations still to come do not cap what a sync makes durable',
    patches: [
      {
        file: UNSTABLE,
        find: 'for (const write of this.#writes) durable = Math.min(durable, write.keptIndex);',
        replace: '',
      },
    ],
    tests: [SCRIPTS, 'services/raft/unstable.test.ts'],
  },
  {
    id: 'R15c',
    bugs: ['R15'],
    title: 'the leader counts its entries before its own sync',
    patches: [
      {
        file: REPLICATION,
        find: 'const matches = [state.log.unstable.durable];',
        replace: 'const matches = [state.log.lastIndex];',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R17',
    bugs: ['R17'],
    title: 'reads are answered without asking the others',
    patches: [
      {
        file: REPLICATION,
        find: 'rounds.confirm(quorumValue(tokens))',
        replace: 'rounds.confirm(rounds.newestToken)',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R17c',
    bugs: ['R17'],
    title: 'a follower that asks is confirmation enough, however many others there are',
    patches: [
      {
        file: 'services/raft/leader.ts',
        find: ' && !couldElectWithout(2, state.options.voters.length)',
        replace: '',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R18',
    bugs: ['R18'],
    title: 'reads are confirmed before an entry of the own term is committed',
    patches: [
      {
        file: REPLICATION,
        find: 'if (state.log.termAt(state.log.commit) !== state.term) return;',
        replace: '',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R18b',
    bugs: ['R18'],
    title: 'a new leader answers a follower before an entry of its own is committed',
    patches: [
      {
        file: 'services/raft/leader.ts',
        find: 'isConfirmed && state.log.termAt(commit) === state.term',
        replace: 'isConfirmed',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R19a',
    bugs: ['R19'],
    title: 'the token of a round is that of the round before',
    patches: [
      {
        file: 'services/raft/read-index.ts',
        find: 'this.#token += 1;',
        replace: 'this.#token = 1;',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R19b',
    bugs: ['R19'],
    title: 'a read joins the round whose heartbeats have left',
    patches: [
      {
        file: 'services/raft/read-index.ts',
        find: 'this.#open.push(origin);\n    return true;',
        replace:
          'const last = this.#rounds.at(-1);\n' +
          '    if (last === undefined) this.#open.push(origin);\n' +
          '    else this.#rounds[this.#rounds.length - 1] = { ...last, origins: [...last.origins, origin] };\n' +
          '    return true;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R19c',
    bugs: ['R19'],
    title: 'the answer to a read goes to the boot known now, not to the one that asked',
    patches: [{ file: 'services/raft/state.ts', find: 'toBoot: read.boot,', replace: '' }],
    tests: [SCRIPTS],
  },
  {
    id: 'R20',
    bugs: ['R20'],
    title: 'a follower answers reads by its own commit index',
    patches: [
      {
        file: 'services/raft/core.ts',
        find: 'else if (!state.forwardedReads.join(readId)) state.outbox.readsLost([readId]);',
        replace: 'else state.outbox.readReady(readId, state.log.commit);',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R22a',
    bugs: ['R22'],
    title: 'a snapshot older than the commit index is installed',
    patches: [
      {
        file: FOLLOWER,
        find: 'if (point.index > state.log.commit && !state.log.matches(point)) {',
        replace: 'if (point.index > 0) {',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R22b',
    bugs: ['R22'],
    title: 'appends go on while a snapshot is being installed',
    patches: [
      {
        file: FOLLOWER,
        find: 'must not race with entries.\n  if (state.installing !== null) return;',
        replace: 'must not race with entries.',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R22c',
    bugs: ['R22'],
    title: 'a second snapshot is begun while one is being installed',
    patches: [
      {
        file: FOLLOWER,
        find: 'if (term < state.term || state.installing !== null) return;',
        replace: 'if (term < state.term) return;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R22d',
    bugs: ['R22'],
    title: 'a snapshot of a sender that was deposed meanwhile is taken',
    patches: [
      {
        file: FOLLOWER,
        find: 'if (term < state.term || state.installing !== null) return;',
        replace: 'if (state.installing !== null) return;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R23',
    bugs: ['R23', 'S7'],
    title: 'an installed snapshot sets the term to that of its last entry',
    patches: [
      {
        file: FOLLOWER,
        find: 'state.installing = null;\n  state.log.restore(point);',
        replace:
          'state.installing = null;\n  state.term = point.term;\n  state.log.restore(point);',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R24a',
    bugs: ['R24'],
    title: 'entries that do not follow the log are taken',
    patches: [
      {
        file: FOLLOWER,
        find: 'if (!log.matches(request.previous)) {',
        replace: 'if (!log.matches(request.previous) && request.entries.length === 0) {',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R28a',
    bugs: ['R28'],
    title: 'a message of a stranger is taken',
    patches: [
      {
        file: 'services/raft/dispatch.ts',
        find: 'if (message.to !== state.self || !state.peers.includes(message.from)) return false;',
        replace: 'if (message.to !== state.self) return false;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R28b',
    bugs: ['R28'],
    title: 'a message of an older boot of the sender is taken',
    patches: [
      {
        file: 'services/raft/dispatch.ts',
        find: 'if (message.fromBoot < known) return false;',
        replace: '',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R28c',
    bugs: ['R28'],
    title: 'an answer to an older boot of this node is taken',
    patches: [
      {
        file: 'services/raft/dispatch.ts',
        find: 'if (isAnswer(message.kind) && message.toBoot !== state.options.bootId) return false;',
        replace: '',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R29a',
    bugs: ['R29'],
    title: 'a node that does not lead forwards a proposal again',
    patches: [
      {
        file: 'services/raft/dispatch.ts',
        find: '  if (reason === null) return;\n',
        replace:
          '  if (reason === null) return;\n' +
          '  if (leadership === null && state.leader !== NOBODY) {\n' +
          '    state.outbox.send({ ...message, ...envelope(state, state.leader, 0) });\n' +
          '    return;\n' +
          '  }\n',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R29b',
    bugs: ['R29'],
    title: 'a follower forwards a proposal twice',
    patches: [
      {
        file: 'services/raft/core.ts',
        find: "state.outbox.send({ kind: 'propose', ...addressed, proposalId, commands });",
        replace:
          "state.outbox.send({ kind: 'propose', ...addressed, proposalId, commands });\n" +
          "        state.outbox.send({ kind: 'propose', ...addressed, proposalId, commands });",
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R32a',
    bugs: ['R32', 'S8'],
    title: 'a proposal of a deposed leader is reported as refused while it may still be committed',
    patches: [
      {
        file: 'services/raft/election.ts',
        find: '  state.leadership = null;\n',
        replace: "  state.leadership = null;\n  state.outbox.refuse(1, 'not-leader');\n",
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R37a',
    bugs: ['R37'],
    title: 'a probe that was lost is never repeated',
    patches: [
      {
        file: PROGRESS,
        find: '  resumeProbe(): void {\n    this.#probeSent = false;',
        replace: '  resumeProbe(): void {',
      },
    ],
    tests: [SCRIPTS, 'services/raft/progress.test.ts'],
  },
  {
    id: 'R37b',
    bugs: ['R37'],
    title: 'a snapshot whose stream failed is waited for, for ever',
    patches: [
      {
        file: PROGRESS,
        find:
          "if (this.#state !== 'snapshot') return;\n" +
          '    this.#probe(this.#match + 1);\n' +
          '    this.#probeSent = true;',
        replace: '',
      },
    ],
    tests: [SCRIPTS, 'services/raft/progress.test.ts'],
  },
  {
    id: 'R37c',
    bugs: ['R37'],
    title: 'appends on their way are still counted after a new probe',
    patches: [
      {
        file: PROGRESS,
        find: 'this.nudged = false;\n    this.inflight.reset();',
        replace: 'this.nudged = false;',
      },
      {
        file: PROGRESS,
        find: 'this.#stagedPoint = null;\n    this.inflight.reset();\n  }\n}',
        replace: 'this.#stagedPoint = null;\n  }\n}',
      },
    ],
    tests: [SCRIPTS, 'services/raft/progress.test.ts'],
  },
  {
    id: 'R37d',
    bugs: ['R37'],
    title: 'a follower that is still installing is taken to have lost the snapshot',
    patches: [
      {
        file: FOLLOWER,
        find: 'heardLeader(state, message.from);\n  if (state.installing !== null) return;\n',
        replace: 'heardLeader(state, message.from);\n',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R37e',
    bugs: ['R37'],
    title: 'a dead follower is sent one snapshot after the other',
    patches: [{ file: REPLICATION, find: 'if (!progress.recentlyActive) return;', replace: '' }],
    tests: [SCRIPTS],
  },
  {
    id: 'R37f',
    bugs: ['R37'],
    title: 'nobody asks again whether a staged snapshot is installed',
    patches: [
      {
        file: LEADER,
        find: 'if (progress.stagedPoint !== null) sendStaged(state, reply.from, progress.stagedPoint);',
        replace: '',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R38',
    bugs: ['R38'],
    title: 'heartbeats wait for the disk of the leader',
    patches: [
      {
        file: REPLICATION,
        find: "state.outbox.send({\n      kind: 'heartbeat-request',",
        replace: "state.outbox.sendAfterPersist({\n      kind: 'heartbeat-request',",
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R40a',
    bugs: ['R40'],
    title: 'a transfer is never given up',
    patches: [
      {
        file: 'services/raft/transfer.ts',
        find: 'transfer.ticks += 1;',
        replace: 'transfer.ticks = 0;',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R40b',
    bugs: ['R40'],
    title: 'a transfer to a target that is behind is never told to go',
    patches: [
      {
        file: LEADER,
        find: 'if (leadership.transfer?.target === reply.from) continueTransfer(state, leadership);',
        replace: '',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
];
