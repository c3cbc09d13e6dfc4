/**
 * The catalogue of mistakes that this store must not make: R those known of Raft implementations, S
 * those of an earlier store of this kind. Each has mutants, or says here why it can have none.
 */
interface Bug {
  readonly title: string;
  /** Why no mutant stands for it. */
  readonly notApplicable?: string;
}

const NO_MEMBERSHIP = 'until membership change is built: the voters of a cluster are fixed';

const CATALOGUE = {
  R1: { title: 'a vote is answered before it is durable' },
  R2: { title: 'an entry of an older term is committed by counting' },
  R3: { title: 'a vote is given without comparing logs' },
  R4: { title: 'a vote is refused to its own candidate after a lost reply, or given to another' },
  R5: { title: 'stepping down clears the vote within the term' },
  R6: { title: 'votes of an old term, of one voter twice or of a pre-vote are counted' },
  R7: { title: 'late votes elect a candidate whose term has moved on' },
  R8: { title: 'a majority of an even number is taken as its half' },
  R9: { title: 'a stale append truncates entries that it merely does not mention' },
  R10: { title: 'a doubled append is appended twice' },
  R11: { title: 'the check of the previous entry is skipped, or term 0 matches' },
  R12: { title: 'a follower commits beyond what was verified against this leader' },
  R13: { title: 'the commit index falls, at a restart or between pages' },
  R14: { title: 'reordered acknowledgements move match back, or beyond the log' },
  R15: { title: 'a report of a sync counts for an entry that was overwritten since' },
  R16: { title: 'votes of a lost election count in a later one' },
  R17: { title: 'a deposed leader serves reads' },
  R18: { title: 'a new leader serves reads before its first own entry is committed' },
  R19: { title: 'an answer to an earlier read round confirms a later one' },
  R20: { title: 'a restarted node serves reads before it has caught up' },
  R21: {
    title: 'a lease is trusted across a pause or a clock that jumps',
    notApplicable: 'there are no lease reads: every read takes a round, no clock is trusted',
  },
  R22: { title: 'a snapshot is installed over newer state, races, or ends half done' },
  R23: { title: 'a snapshot sets the term back to that of its last entry' },
  R24: { title: 'a gap between snapshot and first entry passes at a restart' },
  R25: { title: 'a configuration of a truncated entry stays', notApplicable: NO_MEMBERSHIP },
  R26: { title: 'a configuration changes before an own entry', notApplicable: NO_MEMBERSHIP },
  R27: { title: 'a server that was removed, or wiped under its old id, takes part' },
  R28: { title: 'a message of another cluster, of a stranger or of an older boot is taken' },
  R29: { title: 'a proposal is forwarded again, or takes effect twice' },
  R30: { title: 'apply depends on clock, chance or order' },
  R31: { title: 'applied index and state are not stored in one step' },
  R32: { title: 'a caller is told the outcome of another entry' },
  R33: { title: 'split votes repeat for ever' },
  R34: { title: 'a leader that hears nobody goes on leading' },
  R35: { title: 'a node at the end of a chain unseats a leader that others hear' },
  R36: { title: 'a node that comes and goes raises the term each time' },
  R37: { title: 'a follower is never sent anything again, or one snapshot after the other' },
  R38: { title: 'a slow disk of the leader holds up its heartbeats' },
  R39: { title: 'a stall of the event loop looks like a dead leader' },
  R40: { title: 'a leadership transfer never ends' },
  S1: { title: 'nothing of Raft is persisted' },
  S2: { title: 'a vote is given without comparing logs' },
  S3: { title: 'stepping down clears the vote' },
  S4: { title: 'a majority of four is two' },
  S5: { title: 'append: no truncation of a conflict, duplicates pushed, lengths compared only' },
  S6: { title: 'a heartbeat tells the last index as committed' },
  S7: { title: 'a snapshot overwrites the term' },
  S8: { title: 'a client is told "failed" of a proposal that stays in the log' },
  S9: { title: 'replay stops at a bad record, and later writes follow it unreachably' },
  S10: { title: 'replay fills the filter and not the index' },
  S11: { title: 'drops are not in the segments: a rebuilt index brings deleted keys back' },
  S12: { title: 'compaction loses what it cannot read, and switches in two steps' },
  S13: { title: 'a rebuild checks no checksum and trusts a length' },
  S14: { title: 'interval never syncs; an index snapshot has no checksum' },
} as const satisfies Readonly<Record<string, Bug>>;

export type BugId = keyof typeof CATALOGUE;

export const BUGS: ReadonlyMap<BugId, Bug> = new Map(Object.entries(CATALOGUE) as [BugId, Bug][]);
