/**
 * A disk and the process that runs it. What a request does to a copy is the engine's own table
 * (storage/copy-state.ts); here is what a restart takes away: everything open, and after a power cut
 * whatever was not synced.
 */
import {
  COMMITTED,
  DROPPED,
  joined,
  OPEN,
  type Response,
  responseTo,
  STAGED,
  UNKNOWN,
} from '../../storage/copy-state.ts';
import type { Rules } from './rules.ts';

export interface HeldCopy {
  readonly number: number;
  /** Of the transaction that its end named; 0 while open. */
  readonly birth: number;
  /** As the process sees it. */
  readonly live: number;
  /** As a power cut leaves it. */
  readonly durable: number;
  /** A start that was not clean has to ask about it. */
  readonly isDue: boolean;
}

export interface Image {
  readonly boots: number;
  /** It was made of a disk that was stopped cleanly. */
  readonly isClean: boolean;
  readonly copies: readonly HeldCopy[];
}

export interface Volume {
  readonly boots: number;
  /** Number of this start, never used again: its nonce. */
  readonly start: number;
  /** What it registers as. */
  readonly isClean: boolean;
  /** 0: not registered. */
  readonly session: number;
  /** In the order of their numbers. */
  readonly copies: readonly HeldCopy[];
  readonly image: Image | null;
}

export type RestartKind = 'clean' | 'kill' | 'power cut' | 'older image';

export const isThere = (state: number): boolean => state === STAGED || state === COMMITTED;

export const heldOf = (volume: Volume, number: number): HeldCopy | undefined =>
  volume.copies.find((held) => held.number === number);

export const stateOf = (volume: Volume, number: number): number =>
  heldOf(volume, number)?.live ?? UNKNOWN;

/** Chunks of a copy without its end. */
export function receiveChunks(volume: Volume, number: number): Volume {
  if (stateOf(volume, number) !== UNKNOWN) return volume;
  return withCopy(volume, { number, birth: 0, live: OPEN, durable: UNKNOWN, isDue: false });
}

/** A broken stream or idle time. */
export function dropOpen(volume: Volume, number: number): Volume {
  const held = heldOf(volume, number);
  return held?.live === OPEN ? withCopy(volume, { ...held, live: DROPPED }) : volume;
}

export interface End {
  readonly number: number;
  readonly birth: number;
  /** It brings the bytes, too. */
  readonly isWhole: boolean;
  readonly isSynced: boolean;
}

/** The end of a staging. */
export function stage(
  volume: Volume,
  { number, birth, isWhole, isSynced }: End,
  rules: Rules,
): { readonly volume: Volume; readonly answer: Response['answer'] } {
  const state = stateOf(volume, number);
  const isForgetful = state === DROPPED && !rules.droppedIsFinal;
  const response = responseTo(isForgetful ? UNKNOWN : state, 'end');
  if (response.answer === 'begin' && !isWhole) return { volume, answer: 'not-found' };
  if (response.appends === null) return { volume, answer: response.answer };
  const live = isForgetful ? STAGED : joined(state, response.appends);
  const durable = isSynced && rules.votesAreSynced ? live : (heldOf(volume, number)?.durable ?? -1);
  return {
    volume: withCopy(volume, { number, birth, live, durable, isDue: false }),
    answer: 'vote',
  };
}

/** Finalize, by a gateway or by the answer KEEP; it is not synced. */
export function finalize(
  volume: Volume,
  number: number,
): { readonly volume: Volume; readonly answer: Response['answer'] } {
  const { answer, appends } = responseTo(stateOf(volume, number), 'finalize');
  const held = heldOf(volume, number);
  if (appends === null || held === undefined) return { volume, answer };
  return { volume: withCopy(volume, { ...held, live: joined(held.live, appends) }), answer };
}

/** Discard, Drop or the answer DROP: acknowledged once durable. */
export function drop(volume: Volume, number: number): Volume {
  const held = heldOf(volume, number);
  const { appends } = responseTo(stateOf(volume, number), 'drop');
  if (appends === null || held === undefined) return volume;
  return withCopy(volume, { ...held, live: appends, durable: appends, isDue: false });
}

/** It was answered: not to be asked about again because of the start. */
export function settleDue(volume: Volume, number: number): Volume {
  const held = heldOf(volume, number);
  return held?.isDue === true ? withCopy(volume, { ...held, isDue: false }) : volume;
}

/** Every copy is to be asked about, whatever a late finalize says of it. */
export const walkAll = (volume: Volume, { walksStaged }: Rules): Volume => ({
  ...volume,
  copies: volume.copies.map((held) => ({
    ...held,
    isDue: held.live === COMMITTED || (walksStaged && held.live === STAGED),
  })),
});

export const syncAll = (volume: Volume): Volume => ({
  ...volume,
  copies: volume.copies.map((held) => ({ ...held, durable: held.live })),
});

export const hasUnsynced = ({ copies }: Volume): boolean =>
  copies.some(({ live, durable }) => live !== durable && live !== OPEN);

/** What a running disk looks like to somebody who copies it. */
export const imageOf = ({ boots, copies }: Volume): Image => ({
  boots,
  isClean: false,
  copies: copies.filter(({ durable }) => durable !== UNKNOWN),
});

/** The process ends and another one starts on the same disk, or on an older image of it. */
export function restart(volume: Volume, kind: RestartKind, rules: Rules): Volume {
  const { image } = volume;
  const isImage = kind === 'older image' && image !== null;
  const isClean = isImage ? image.isClean : kind === 'clean' && marksStopClean(volume, rules);
  const next = {
    ...volume,
    boots: (isImage ? image.boots : volume.boots) + 1,
    start: volume.start + 1,
    isClean: isClean || !rules.crashesAreTold,
    session: 0,
    copies: left(isImage ? image.copies : volume.copies, kind),
    image: isImage ? null : image,
  };
  return isClean ? next : walkAll(next, rules);
}

/** What a copy of the disk holds that is made after a clean stop. */
export const imageOfStopped = (volume: Volume, rules: Rules): Image => ({
  boots: volume.boots,
  isClean: marksStopClean(volume, rules),
  copies: left(volume.copies, 'clean'),
});

/** All copies were asked about that had to be, and the cluster has heard of this start. */
function marksStopClean({ copies, session }: Volume, rules: Rules): boolean {
  const isHeard = session !== 0 || !rules.unheardStopsStayUnclean;
  return isHeard && !copies.some(({ isDue }) => isDue);
}

/** This folder is older than what is known of it: boots above that, and not clean. */
export const raiseBoots = (volume: Volume, later: number): Volume => ({
  ...volume,
  boots: later + 1,
  isClean: false,
});

function left(copies: readonly HeldCopy[], kind: RestartKind): readonly HeldCopy[] {
  const keepsWrites = kind === 'clean' || kind === 'kill';
  return copies.flatMap((held) => {
    const state = keepsWrites ? held.live : held.durable;
    // Left open: dropped, or without any record. Nobody can tell these apart.
    if (state === UNKNOWN || state === OPEN) return [];
    // The start syncs what it found.
    return [{ ...held, live: state, durable: state, isDue: false }];
  });
}

function withCopy(volume: Volume, next: HeldCopy): Volume {
  const others = volume.copies.filter(({ number }) => number !== next.number);
  const copies = [...others, next].sort((a, b) => a.number - b.number);
  return { ...volume, copies };
}

export const volumeKey = ({ boots, start, isClean, session, copies, image }: Volume): string =>
  `${boots},${start},${isClean ? 1 : 0},${session};${copies.map(copyKey).join(' ')};${image === null ? '' : `${image.boots}${image.isClean ? 'c' : ''}:${image.copies.map(copyKey).join(' ')}`}`;

const copyKey = ({ number, birth, live, durable, isDue }: HeldCopy): string =>
  `${number}.${birth}.${live}.${durable}${isDue ? '!' : ''}`;
