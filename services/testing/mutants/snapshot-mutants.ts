/** Mistakes around snapshots, and with followers that fell behind or are gone. */
import type { Mutant } from './mutant.ts';

const REPLICATION = 'services/raft/replication.ts';
const FOLLOWER = 'services/raft/follower.ts';
const LEADER = 'services/raft/leader.ts';
const PROGRESS = 'services/raft/progress.ts';
const SCRIPTS = 'services/raft/script.test.ts';

export const SNAPSHOT_MUTANTS: readonly Mutant[] = [
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
];
