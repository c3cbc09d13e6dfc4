/**
 * The protocol, broken on purpose: each mutant forgets one rule, and says in which scenario that must
 * come out. A rule whose mutant nothing catches would be a rule that nothing checks.
 */
import { birthOf, logIndex, session } from '../../common/ids.ts';
import type { MetadataState } from '../../metadata/apply.ts';
import type { Command } from '../../metadata/commands.ts';
import { txn } from '../../testing/metadata-world.ts';
import { lists } from './log.ts';
import { numberOf } from './names.ts';
import { RULES, type Rules } from './rules.ts';
import { DELETE, PUT, type Scenario, scenario } from './scenario.ts';

export interface Mutant {
  readonly name: string;
  readonly rules: Rules;
  readonly scenario: Scenario;
  /** Steps before the exploration, where it would have to go far. */
  readonly opening: readonly string[];
  /** What the counterexample must say. */
  readonly why: RegExp;
}

const mutant = (
  name: string,
  rules: Partial<Rules>,
  { scenario: where, why, opening = [] }: Pick<Mutant, 'scenario' | 'why'> & Partial<Mutant>,
): Mutant => ({ name, rules: { ...RULES, ...rules }, scenario: where, why, opening });

const IMAGE = scenario('an older image', {
  disks: 1,
  want: 1,
  restartKinds: ['clean'],
  budgets: { images: 1, restarts: 2 },
});

export const MUTANTS: readonly Mutant[] = [
  mutant(
    'DROP merely because no record lists the copy',
    { ask: (state, question) => (isListed(state, question) ? 'KEEP' : 'DROP') },
    { scenario: scenario('absent'), why: /DROP of c1 on disk \d was answered|DROP is on its way/ },
  ),
  mutant(
    'Commit counts votes of sessions that have ended',
    { applied: (command, before) => withCurrentSessions(command, before) },
    {
      scenario: scenario('strike', { fsync: 'interval', budgets: { restarts: 1 } }),
      why: /voted in a current session/,
    },
  ),
  mutant(
    'an answer from a state that does not hold the session of the disk',
    { answersHoldSession: false },
    {
      scenario: scenario('image and a lagging answer', {
        hasBase: true,
        disks: 1,
        want: 1,
        operations: [DELETE],
        budgets: { images: 1, advances: 1 },
      }),
      why: /stays for ever, though no record lists it/,
    },
  ),
  mutant(
    'after a crash only committed copies are asked about for it',
    { walksStaged: false },
    {
      scenario: scenario('image and a late finalize', {
        disks: 1,
        want: 1,
        operations: [PUT, DELETE],
        budgets: { images: 1, advances: 1 },
      }),
      opening: [
        'gateway 1 begins',
        'gateway 2 begins',
        'end of c1 at disk 1 arrives',
        'the vote for c1 from disk 1 in session 1 arrives',
        'disk 1 is copied',
        'the log takes Commit of put 1, born 1, voted by disk 1 in session 1',
        'the log takes Commit of delete 2, born 1',
        'the fence passes to 2',
        'the reaper drops c1 on disk 1',
        'drop of c1 at disk 1 arrives',
        'the log takes Reclaimed of c1 on disk 1',
        'disk 1 is replaced by its image',
      ],
      why: /stays for ever, though no record lists it/,
    },
  ),
  mutant(
    'apply does not look at the fence',
    { applied: (command) => withoutFence(command), ask: askByFence },
    { scenario: scenario('fence', { budgets: { advances: 1 } }), why: /DROP|DROPPED|dropped/ },
  ),
  mutant(
    'apply does not look for the outcome of the transaction',
    { applied: (command, before) => asAnother(command, before) },
    {
      scenario: scenario('duplicate', {
        need: 1,
        want: 1,
        disks: 1,
        operations: [PUT, DELETE],
        budgets: { duplicates: 1 },
      }),
      why: /by the decisions it is|returned into a record/,
    },
  ),
  mutant(
    'Discard after the proposal was handed over',
    { discardsAfterProposal: true },
    { scenario: scenario('discard'), why: /discard is on its way to c1/ },
  ),
  mutant(
    'votes under always do not wait for the sync',
    { votesAreSynced: false },
    { scenario: scenario('sync', { budgets: { restarts: 1 } }), why: /gone, and the record lists/ },
  ),
  mutant(
    'a start after a power cut registers as clean',
    { crashesAreTold: false },
    {
      scenario: scenario('untold', { fsync: 'interval', budgets: { restarts: 1 } }),
      why: /nothing will look for it/,
    },
  ),
  mutant(
    'Reconciled counts for a session that has ended',
    { applied: (command, before) => withCurrentReconcile(command, before) },
    {
      scenario: scenario('reconcile', {
        fsync: 'interval',
        disks: 1,
        want: 1,
        budgets: { restarts: 2 },
      }),
      why: /nothing will look for it/,
    },
  ),
  mutant(
    'a moved copy keeps the id of the write',
    { movesMintIds: false },
    {
      scenario: scenario('back', {
        hasBase: true,
        want: 1,
        operations: [],
        budgets: { moves: 2, advances: 1 },
      }),
      why: /returned into a record|on its way to c0/,
    },
  ),
  mutant(
    'a folder that is older than what is known of it is taken as it is',
    { applied: (command, before) => asExpected(command, before) },
    { scenario: IMAGE, why: /nothing will look for it/ },
  ),
  mutant(
    'a process that never registered marks its stop as clean',
    { unheardStopsStayUnclean: false },
    { scenario: IMAGE, why: /nothing will look for it/ },
  ),
];

type Question = Parameters<Rules['ask']>[1];

const isListed = (state: MetadataState, question: Question): boolean =>
  lists(state.record(question.owner)?.copies ?? [], question);

/** The volumes go by the fence, apply does not know of it. */
function askByFence(
  state: MetadataState,
  question: Question,
  fence: number,
): 'KEEP' | 'DROP' | 'LATER' {
  const answer = state.ask(question);
  return answer === 'LATER' && birthOf(question.txnId) < fence ? 'DROP' : answer;
}

const withoutFence = (command: Command): Command =>
  command.kind === 'advance' ? { ...command, fence: logIndex(0) } : command;

function withCurrentSessions(command: Command, before: MetadataState): Command {
  if (command.kind !== 'commit') return command;
  const ops = command.ops.map((op) => {
    if (op.body.kind !== 'put') return op;
    const copies = op.body.copies.map(({ disk }) => ({
      disk,
      session: before.disk(disk)?.session ?? session(0),
    }));
    return { ...op, body: { ...op.body, copies } };
  });
  return { ...command, ops };
}

/** A second try is a transaction of its own. */
function asAnother(command: Command, before: MetadataState): Command {
  if (command.kind !== 'commit' || before.settled(command.txnId) === undefined) return command;
  const birth = birthOf(command.txnId);
  const number = numberOf(command.txnId.slice(12));
  return { ...command, txnId: txn(birth, number + 16) };
}

function withCurrentReconcile(command: Command, before: MetadataState): Command {
  if (command.kind !== 'reconciled') return command;
  return { ...command, session: before.disk(command.disk)?.session ?? command.session };
}

/** Whatever a folder says of itself is what was expected. */
function asExpected(command: Command, before: MetadataState): Command {
  if (command.kind !== 'register' || command.disk === 0) return command;
  const boots = (before.disk(command.disk)?.boots ?? 0) + 1;
  return command.boots === boots ? command : { ...command, boots, clean: true };
}
