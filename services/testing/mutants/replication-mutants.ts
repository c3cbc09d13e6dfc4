/** Mistakes in the log, in acknowledging and in committing. */
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
];
