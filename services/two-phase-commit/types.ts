/**
 * The vocabulary of the gateway's half of two-phase commit: what happens to a request (events) and
 * what its driver has to do about it (effects). Nothing here waits, sends or knows a key.
 */
import type { DiskId, Session } from '../common/ids.ts';

/**
 * STREAM: bytes go out. VOTE: the stage-ends are out. PROPOSED: a proposal was handed over, so the
 * outcome is the log's to say. DECIDED: answered.
 */
export type Phase = 'STREAM' | 'VOTE' | 'PROPOSED' | 'DECIDED';

/** One volume's part in one staging: bytes going out, all bytes out, voted, or left out for good. */
export type MemberState = 'open' | 'sent' | 'voted' | 'out';

export interface Member {
  readonly disk: DiskId;
  readonly state: MemberState;
  /** Of the vote; null before it. */
  readonly session: Session | null;
}

/** One blob of the transaction on its way to its volumes. */
export interface Staging {
  readonly members: readonly Member[];
  /** Volumes that may still step in, best first. */
  readonly spares: readonly DiskId[];
}

/** Why nothing was proposed; always `not_applied`. */
export type AbandonReason = 'too-few-volumes' | 'withdrawn' | 'timed-out';

/**
 * What is known of the transaction. `refused`: it changed nothing and never will, or an earlier
 * attempt's outcome stands in its place; either way no record names its copies. `forgotten`: nobody
 * can say any more.
 */
export type Decision = 'applied' | 'refused' | 'forgotten';

export type Verdict =
  | { readonly kind: 'decided'; readonly decision: Decision }
  | { readonly kind: 'abandoned'; readonly reason: AbandonReason }
  /** The deadline passed after a proposal. */
  | { readonly kind: 'unknown' };

export interface CommitState {
  readonly phase: Phase;
  /** Votes that each staging needs. */
  readonly need: number;
  readonly stagings: readonly Staging[];
  /** Set exactly in DECIDED. */
  readonly verdict: Verdict | null;
}

export type CommitEvent =
  /** All bytes of the staging are at this volume. */
  | { readonly kind: 'sent'; readonly staging: number; readonly disk: DiskId }
  | {
      readonly kind: 'voted';
      readonly staging: number;
      readonly disk: DiskId;
      readonly session: Session;
    }
  /** The volume failed. `held`: the whole body so far is at hand, so that a spare can step in. */
  | {
      readonly kind: 'failed';
      readonly staging: number;
      readonly disk: DiskId;
      readonly held: boolean;
    }
  /** Volumes without progress for too long. */
  | {
      readonly kind: 'stalled';
      readonly staging: number;
      readonly disks: readonly DiskId[];
      readonly held: boolean;
    }
  /** The request is taken back: client gone, checksum wrong, body too long. */
  | { readonly kind: 'withdrawn' }
  /** A leader change, a refusal or half a second without an outcome. */
  | { readonly kind: 'retry' }
  | { readonly kind: 'deadline' }
  /** Learned from the own applied state. */
  | { readonly kind: 'decided'; readonly decision: Decision };

export type CommitEffect =
  /** Begin sending the staging's bytes to this volume, from the first. */
  | { readonly kind: 'stage'; readonly staging: number; readonly disk: DiskId }
  /** Choose the transaction's id: its birth is the commit index of this moment. Once. */
  | { readonly kind: 'mint' }
  /** Send the stage-end. */
  | { readonly kind: 'end'; readonly staging: number; readonly disk: DiskId }
  /** Stop sending to this volume. */
  | { readonly kind: 'release'; readonly staging: number; readonly disk: DiskId }
  /** Propose the command: the same bytes each time. */
  | { readonly kind: 'propose' }
  | { readonly kind: 'finalize'; readonly staging: number; readonly disks: readonly DiskId[] }
  | { readonly kind: 'discard'; readonly staging: number; readonly disks: readonly DiskId[] }
  | { readonly kind: 'answer'; readonly verdict: Verdict };

export interface Step {
  readonly state: CommitState;
  readonly effects: readonly CommitEffect[];
}
