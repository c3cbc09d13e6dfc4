/** Mistakes with messages that are late, forwarded or of somebody else, and in handing over. */
import type { Mutant } from './mutant.ts';

const REPLICATION = 'services/raft/replication.ts';
const LEADER = 'services/raft/leader.ts';
const SCRIPTS = 'services/raft/script.test.ts';
const PAPER = 'services/raft/paper.test.ts';

export const MESSAGE_MUTANTS: readonly Mutant[] = [
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
