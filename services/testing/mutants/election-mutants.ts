/** Mistakes in terms, votes, campaigns and in whom to listen to. */
import type { Mutant } from './mutant.ts';

const CANDIDATE = 'services/raft/candidate.ts';
const DISPATCH = 'services/raft/dispatch.ts';
const ELECTION = 'services/raft/election.ts';
const LEADER = 'services/raft/leader.ts';
const SCRIPTS = 'services/raft/script.test.ts';
const PAPER = 'services/raft/paper.test.ts';

/** Votes of an older term are handed on to the campaign. */
const OLD_VOTES_PASS = {
  file: DISPATCH,
  find: 'answerOldTerm(state, message);\n    return false;',
  replace: "answerOldTerm(state, message);\n    return message.kind === 'vote-reply';",
};
const ANY_TERM_COUNTS = {
  file: CANDIDATE,
  find: 'if (reply.term !== askedTerm) return;',
  replace: 'if (reply.term > askedTerm) return;',
};

export const ELECTION_MUTANTS: readonly Mutant[] = [
  {
    id: 'R1a',
    bugs: ['R1'],
    title: 'a vote leaves before it is durable',
    patches: [
      {
        file: ELECTION,
        find: 'ticksLeft = 1;\n  state.outbox.sendAfterPersist({',
        replace: 'ticksLeft = 1;\n  state.outbox.send({',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R1b',
    bugs: ['R1'],
    title: 'a candidate asks for votes before its own is durable',
    patches: [
      { file: CANDIDATE, find: 'if (cause.pre) state.outbox.send', replace: 'state.outbox.send' },
      { file: CANDIDATE, find: 'else state.outbox.sendAfterPersist(request);', replace: '' },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R3',
    bugs: ['R3', 'S2'],
    title: 'a vote is given whatever the log of the candidate',
    patches: [
      {
        file: ELECTION,
        find: 'return isFree && state.log.isUpToDate(request.last);',
        replace: 'return isFree;',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R4a',
    bugs: ['R4'],
    title: 'a candidate that asks again is refused',
    patches: [{ file: ELECTION, find: 'state.vote === request.from ||', replace: '' }],
    tests: [SCRIPTS],
  },
  {
    id: 'R4b',
    bugs: ['R4'],
    title: 'a second candidate of the term is given the vote too',
    patches: [
      {
        file: ELECTION,
        find: '(state.vote === NOBODY && state.leader === NOBODY) ||',
        replace: 'state.leader === NOBODY ||',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R5',
    bugs: ['R5', 'S3'],
    title: 'stepping down within a term frees the vote',
    patches: [
      {
        file: ELECTION,
        find: 'state.campaign = null;\n  followLeader',
        replace: 'state.campaign = null;\n  state.vote = NOBODY;\n  followLeader',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R6a',
    bugs: ['R6'],
    title: 'a vote of an older term is counted',
    patches: [OLD_VOTES_PASS, ANY_TERM_COUNTS],
    tests: [SCRIPTS],
  },
  {
    id: 'R6b',
    bugs: ['R6'],
    title: 'a vote that arrives twice counts twice',
    patches: [
      {
        file: CANDIDATE,
        find: 'campaign.granted.add(reply.from);',
        replace: 'campaign.granted.add(nodeId(1000 + campaign.granted.size));',
      },
      { file: CANDIDATE, find: 'import { NOBODY, term', replace: 'import { NOBODY, nodeId, term' },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R6c',
    bugs: ['R6'],
    title: 'a granted pre-vote counts as a vote',
    patches: [
      {
        file: CANDIDATE,
        find: "if (campaign === null || reply.pre !== (state.role === 'pre-candidate')) return;",
        replace: 'if (campaign === null) return;',
      },
      {
        file: CANDIDATE,
        find: 'reply.pre && reply.granted ? state.term + 1 : state.term;',
        replace: "reply.granted && state.role === 'pre-candidate' ? state.term + 1 : state.term;",
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R7',
    bugs: ['R7'],
    title: 'a campaign outlives its term and late votes decide it',
    patches: [
      OLD_VOTES_PASS,
      ANY_TERM_COUNTS,
      {
        file: DISPATCH,
        find: '  becomeFollower(state, message.term, isFromLeader',
        replace:
          "  if (state.role === 'candidate' && message.kind === 'vote-request') {\n" +
          '    state.term = message.term;\n    return true;\n  }\n' +
          '  becomeFollower(state, message.term, isFromLeader',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R8',
    bugs: ['R8', 'S4'],
    title: 'half of an even number of voters is enough',
    patches: [
      {
        file: 'services/raft/quorum.ts',
        find: 'Math.floor(voterCount / 2) + 1',
        replace: 'Math.ceil(voterCount / 2)',
      },
    ],
    tests: [SCRIPTS, PAPER, 'services/raft/quorum.test.ts'],
  },
  {
    id: 'R16',
    bugs: ['R16'],
    title: 'the votes of a lost campaign stay for the next one',
    patches: [
      {
        file: CANDIDATE,
        find: 'state.campaign = { granted: new Set([state.self])',
        replace: 'keptVotes.add(state.self);\n  state.campaign = { granted: new Set(keptVotes)',
      },
      {
        file: CANDIDATE,
        find: 'campaign.granted.add(reply.from);',
        replace: 'campaign.granted.add(reply.from);\n    keptVotes.add(reply.from);',
      },
      {
        file: CANDIDATE,
        find: '/** Whether this node may try to lead at all. */',
        replace: 'const keptVotes = new Set<number>();\n',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R33a',
    bugs: ['R33'],
    title: 'every timeout is the same',
    patches: [
      {
        file: 'services/raft/state.ts',
        find: 'state.electionTimeoutTicks = electionTicksMin + extra;',
        replace: 'state.electionTimeoutTicks = electionTicksMin;',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R33b',
    bugs: ['R33'],
    title: 'the timeout is drawn once and never again',
    patches: [
      { file: CANDIDATE, find: '  drawElectionTimeout(state);\n', replace: '' },
      {
        file: ELECTION,
        find: "if (state.role !== 'follower') drawElectionTimeout(state);",
        replace: '',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R34',
    bugs: ['R34'],
    title: 'a leader never asks whether a majority answers',
    patches: [
      {
        file: LEADER,
        find: 'if (!hasQuorum(state, leadership)) becomeFollower',
        replace: 'hasQuorum(state, leadership);\n  if (state.stopping) becomeFollower',
      },
    ],
    tests: [SCRIPTS],
  },
  {
    id: 'R35',
    bugs: ['R35'],
    title: 'a voter listens to campaigns while it hears its leader',
    patches: [
      {
        file: DISPATCH,
        find: 'if (!message.transfer && isLeaderTrusted(state)) return false;',
        replace: '',
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
  {
    id: 'R36',
    bugs: ['R36'],
    title: 'an election begins without a pre-vote',
    patches: [
      {
        file: CANDIDATE,
        find: "beginCampaign(state, 'pre-candidate');",
        replace:
          'beginElection(state, { transfer: false, leaderSuspected: false });\n' +
          "  if (state.role !== 'pre-candidate') return;",
      },
    ],
    tests: [SCRIPTS, PAPER],
  },
];
