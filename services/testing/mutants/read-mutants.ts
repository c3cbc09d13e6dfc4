/** Mistakes in reading. */
import type { Mutant } from './mutant.ts';

const REPLICATION = 'services/raft/replication.ts';
const SCRIPTS = 'services/raft/script.test.ts';
const PAPER = 'services/raft/paper.test.ts';

export const READ_MUTANTS: readonly Mutant[] = [
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
        find: ' || !isCommitCurrent(state)',
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
        find: 'isConfirmed && isCommitCurrent(state)',
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
];
