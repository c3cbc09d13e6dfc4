/**
 * The gateway's machine as a table (phase, event) -> (state, effects); drivers only carry out
 * effects. Invariants: `mint` comes once and before any `end`; no `discard` and no abandoning from
 * the first `propose` on until a decision is known; `answer` comes exactly once.
 */
import type { DiskId } from '../common/ids.ts';
import type {
  AbandonReason,
  CommitEffect,
  CommitEvent,
  CommitState,
  Decision,
  Member,
  Phase,
  Staging,
  Step,
  Verdict,
} from './types.ts';

/** A transaction whose blobs go to these volumes; none for deletes and checks. */
export function begin(
  need: number,
  placements: readonly {
    readonly replicas: readonly DiskId[];
    readonly spares: readonly DiskId[];
  }[],
): Step {
  const stagings = placements.map(({ replicas, spares }) => ({
    members: replicas.map((disk) => ({ disk, state: 'open' as const, session: null })),
    spares,
  }));
  const state: CommitState = { phase: 'STREAM', need, stagings, verdict: null };
  if (stagings.some(({ members }) => members.length < need)) {
    return abandon(state, 'too-few-volumes');
  }
  if (stagings.length === 0) return propose(state, [{ kind: 'mint' }]);
  const effects = stagings.flatMap(({ members }, staging) =>
    members.map(({ disk }): CommitEffect => ({ kind: 'stage', staging, disk })),
  );
  return { state, effects };
}

/** The next state, and what to do. Events that come too late change nothing. */
export function step(state: CommitState, event: CommitEvent): Step {
  const row = TABLE[state.phase];
  switch (event.kind) {
    case 'sent':
      return row.sent(state, event);
    case 'voted':
      return row.voted(state, event);
    case 'failed':
      return row.failed(state, { ...event, disks: [event.disk] });
    case 'stalled':
      return row.stalled(state, event);
    case 'withdrawn':
      return row.withdrawn(state);
    case 'retry':
      return row.retry(state);
    case 'deadline':
      return row.deadline(state);
    case 'decided':
      return row.decided(state, event.decision);
  }
}

/** The volumes whose votes the command carries. */
export const votesOf = (staging: Staging): readonly Member[] =>
  staging.members.filter(({ state }) => state === 'voted');

type Sent = Extract<CommitEvent, { kind: 'sent' }>;
type Voted = Extract<CommitEvent, { kind: 'voted' }>;
type Losing = Omit<Extract<CommitEvent, { kind: 'stalled' }>, 'kind'>;

interface Row {
  sent(state: CommitState, event: Sent): Step;
  voted(state: CommitState, event: Voted): Step;
  failed(state: CommitState, event: Losing): Step;
  stalled(state: CommitState, event: Losing): Step;
  withdrawn(state: CommitState): Step;
  retry(state: CommitState): Step;
  deadline(state: CommitState): Step;
  decided(state: CommitState, decision: Decision): Step;
}

const ignore = (state: CommitState): Step => ({ state, effects: [] });

const TABLE: Record<Phase, Row> = {
  STREAM: {
    sent: (state, event) => advance(mark(state, event, 'sent'), []),
    voted: ignore,
    failed: lose,
    stalled: leaveOut,
    withdrawn: (state) => abandon(state, 'withdrawn'),
    retry: ignore,
    deadline: (state) => abandon(state, 'timed-out'),
    decided: ignore,
  },
  VOTE: {
    sent: (state, event) => {
      const { staging, disk } = event;
      const isAwaited = memberOf(state, event)?.state === 'open';
      return {
        state: mark(state, event, 'sent'),
        effects: isAwaited ? [{ kind: 'end', staging, disk }] : [],
      };
    },
    voted: (state, event) => advance(mark(state, event, 'voted'), []),
    failed: lose,
    stalled: leaveOut,
    withdrawn: (state) => abandon(state, 'withdrawn'),
    retry: ignore,
    deadline: (state) => abandon(state, 'timed-out'),
    decided: ignore,
  },
  PROPOSED: {
    sent: ignore,
    voted: ignore,
    failed: ignore,
    stalled: ignore,
    withdrawn: ignore,
    retry: (state) => ({ state, effects: [{ kind: 'propose' }] }),
    deadline: (state) => answer(state, { kind: 'unknown' }, []),
    decided: (state, decision) =>
      answer(state, { kind: 'decided', decision }, settle(state, decision)),
  },
  DECIDED: {
    sent: ignore,
    voted: ignore,
    failed: ignore,
    stalled: ignore,
    withdrawn: ignore,
    retry: ignore,
    deadline: ignore,
    // The client was told "unknown"; the volumes need not wait for their question.
    decided: (state, decision) =>
      state.verdict?.kind === 'unknown'
        ? {
            state: { ...state, verdict: { kind: 'decided', decision } },
            effects: settle(state, decision),
          }
        : ignore(state),
  },
};

/** Moves on when every member that is not out has got as far as the phase asks. */
function advance(state: CommitState, effects: readonly CommitEffect[]): Step {
  const goal = state.phase === 'STREAM' ? 'sent' : 'voted';
  const isThere = state.stagings.every(({ members }) =>
    members.every((member) => member.state === 'out' || member.state === goal),
  );
  if (!isThere) return { state, effects };
  if (goal === 'voted') return propose(state, effects);
  const ends = state.stagings.flatMap(({ members }, staging) =>
    live(members).map(({ disk }): CommitEffect => ({ kind: 'end', staging, disk })),
  );
  return {
    state: { ...state, phase: 'VOTE' },
    effects: [...effects, { kind: 'mint' }, ...ends],
  };
}

/** Volumes failed: spares step in while the body is held, the rest is left out. */
function lose(state: CommitState, { staging, disks, held }: Losing): Step {
  const current = state.stagings[staging];
  const lost = current?.members.filter(
    ({ disk, state: at }) => at !== 'out' && at !== 'voted' && disks.includes(disk),
  );
  if (current === undefined || lost === undefined || lost.length === 0) return ignore(state);
  const joining = held ? current.spares.slice(0, lost.length) : [];
  const members = [
    ...current.members.map((member) =>
      lost.includes(member) ? { ...member, state: 'out' as const } : member,
    ),
    ...joining.map((disk) => ({ disk, state: 'open' as const, session: null })),
  ];
  const next = withStaging(state, staging, {
    members,
    spares: current.spares.slice(joining.length),
  });
  const effects = [
    ...lost.map(({ disk }): CommitEffect => ({ kind: 'release', staging, disk })),
    ...joining.map((disk): CommitEffect => ({ kind: 'stage', staging, disk })),
  ];
  if (live(members).length < state.need) return abandon(next, 'too-few-volumes', effects);
  return advance(next, effects);
}

/**
 * Slow is not dead: volumes are left out only while enough others go on or can step in. Otherwise
 * the request waits for them until its deadline.
 */
function leaveOut(state: CommitState, event: Losing): Step {
  const current = state.stagings[event.staging];
  if (current === undefined) return ignore(state);
  const others = live(current.members).filter(({ disk }) => !event.disks.includes(disk)).length;
  const stepIn = event.held ? Math.min(current.spares.length, event.disks.length) : 0;
  return others + stepIn >= state.need ? lose(state, event) : ignore(state);
}

function propose(state: CommitState, effects: readonly CommitEffect[]): Step {
  return { state: { ...state, phase: 'PROPOSED' }, effects: [...effects, { kind: 'propose' }] };
}

function abandon(
  state: CommitState,
  reason: AbandonReason,
  before: readonly CommitEffect[] = [],
): Step {
  // What was about to begin does not: the staging is over.
  const releases = before.filter(({ kind }) => kind === 'release');
  return answer(state, { kind: 'abandoned', reason }, [
    ...releases,
    ...discards(state, () => true),
  ]);
}

function answer(state: CommitState, verdict: Verdict, effects: readonly CommitEffect[]): Step {
  return {
    state: { ...state, phase: 'DECIDED', verdict },
    effects: [...effects, { kind: 'answer', verdict }],
  };
}

/** Copies that a record names are finalized; copies that none can ever name are discarded. */
function settle(state: CommitState, decision: Decision): readonly CommitEffect[] {
  if (decision === 'forgotten') return [];
  if (decision === 'refused') return discards(state, () => true);
  const finalizes = state.stagings.map(
    (staging, at): CommitEffect => ({
      kind: 'finalize',
      staging: at,
      disks: votesOf(staging).map(({ disk }) => disk),
    }),
  );
  return [...finalizes, ...discards(state, (member) => member.state !== 'voted')];
}

function discards(
  state: CommitState,
  wanted: (member: Member) => boolean,
): readonly CommitEffect[] {
  return state.stagings.flatMap(({ members }, staging): CommitEffect[] => {
    const disks = members.filter(wanted).map(({ disk }) => disk);
    return disks.length === 0 ? [] : [{ kind: 'discard', staging, disks }];
  });
}

const live = (members: readonly Member[]): readonly Member[] =>
  members.filter(({ state }) => state !== 'out');

const memberOf = (state: CommitState, at: { staging: number; disk: DiskId }): Member | undefined =>
  state.stagings[at.staging]?.members.find(({ disk }) => disk === at.disk);

/** A member only goes forward: open -> sent -> voted. */
function mark(state: CommitState, event: Sent | Voted, to: 'sent' | 'voted'): CommitState {
  const current = state.stagings[event.staging];
  if (current === undefined) return state;
  const from = to === 'sent' ? 'open' : 'sent';
  const session = event.kind === 'voted' ? event.session : null;
  const members = current.members.map((member) =>
    member.disk === event.disk && member.state === from
      ? { ...member, state: to, session }
      : member,
  );
  return withStaging(state, event.staging, { ...current, members });
}

function withStaging(state: CommitState, at: number, staging: Staging): CommitState {
  return { ...state, stagings: state.stagings.with(at, staging) };
}
