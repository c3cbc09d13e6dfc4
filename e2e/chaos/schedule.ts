/**
 * What befalls the cluster and when: a plain list drawn from a seed before anything runs, so that the
 * same seed is the same list. Invariants (the fault atlas): in one round files decay at one coordinator
 * and one volume only, a process suffers one fault at a time, and every burst ends in a clear time.
 */
import { present } from '../../services/common/assert.ts';
import { type Random, seededRandom } from '../../services/common/random.ts';
import { SECOND_MS } from '../../services/common/units.ts';

export const COORDINATORS = ['c1', 'c2', 'c3'] as const;
export const VOLUMES = ['v1', 'v2', 'v3'] as const;
const ALL = [...COORDINATORS, ...VOLUMES];

/** Every kind of fault with what it does. */
export const FAULT_KINDS = {
  'kill-one': 'SIGKILL of one process',
  'kill-majority': 'SIGKILL of two coordinators or two volumes at once',
  'kill-all': 'SIGKILL of all six at once',
  pause: 'SIGSTOP for 0.1 to 10 s',
  partition: 'a part of the cluster and the rest hear nothing of each other',
  'leader-apart': 'whoever leads is apart from the other coordinators; clients reach all',
  'one-way': 'one process is heard but hears nothing, or hears and is not heard',
  'client-cut': 'clients do not reach one coordinator, its peers do',
  slow: 'links to one process are slow and narrow',
  reset: 'links to one process are reset again and again',
  'half-open': 'links to one process stay open and carry nothing, for ever',
  'disk-full': 'the file system of one process is full',
  damage: 'bits flip in a file, or its end is gone, while its process is down',
  clock: 'the wall clock of one process jumps',
  descriptors: 'one process may open no more files or sockets',
  rolling: 'SIGTERM and restart of three processes, one after the other',
} as const;

export type FaultKind = keyof typeof FAULT_KINDS;
export const KINDS = Object.keys(FAULT_KINDS) as readonly FaultKind[];

export const DAMAGED_FILES = {
  coordinator: ['raft-log', 'raft-log-end', 'vote', 'identity', 'table'],
  volume: ['segment', 'segment-end', 'volume-identity', 'index-snapshot', 'index-snapshot-end'],
} as const;

export type DamagedFile = (typeof DAMAGED_FILES)[keyof typeof DAMAGED_FILES][number];

export interface Fault {
  /** Place in the whole schedule, from 1. */
  readonly id: number;
  readonly kind: FaultKind;
  /** Processes that suffer it. */
  readonly names: readonly string[];
  /** Since the start of its round. */
  readonly atMs: number;
  readonly lengthMs: number;
  /** What is left to chance within the fault, drawn here: each kind reads it in its own way. */
  readonly draw: number;
  /** Of `damage`. */
  readonly file?: DamagedFile;
}

export interface Round {
  readonly faults: readonly Fault[];
  readonly lengthMs: number;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly rounds: number;
  readonly roundMs: number;
  readonly kinds: readonly FaultKind[];
  /** Processes whose disk can be filled, and whose clock can be turned. */
  readonly fillable: readonly string[];
  readonly clocked: readonly string[];
}

const CALM_FIRST_MS = 2 * SECOND_MS;
const BURST_MS = 13 * SECOND_MS;
const CLEAR_MS = 6 * SECOND_MS;
const FAULTS_PER_BURST = 4;
const TRIES_PER_BURST = 12;
/** After a process is back it is left alone for so long. */
const SETTLE_MS = 2 * SECOND_MS;
const DRAW_MAX = 2 ** 30;

export function scheduleOf(options: ScheduleOptions): readonly Round[] {
  const random = seededRandom(options.seed);
  const deck = new Deck(options.kinds, random);
  let id = 0;
  return Array.from({ length: options.rounds }, () => {
    const victims = [pick(COORDINATORS, random), pick(VOLUMES, random)];
    const faults: Fault[] = [];
    for (let at = CALM_FIRST_MS; at + BURST_MS <= options.roundMs; at += BURST_MS + CLEAR_MS) {
      const burst = new Burst(options, random, { startMs: at, victims });
      const unplaced: FaultKind[] = [];
      const endId = id + FAULTS_PER_BURST;
      for (let tries = 0; tries < TRIES_PER_BURST && id < endId; tries += 1) {
        const kind = deck.next();
        const fault = burst.place(kind);
        if (fault === null) unplaced.push(kind);
        else faults.push({ id: (id += 1), ...fault });
      }
      deck.giveBack(unplaced);
    }
    return { faults: faults.sort((a, b) => a.atMs - b.atMs), lengthMs: options.roundMs };
  });
}

/** All kinds in an order by chance, again and again: a long run meets each one equally often. */
class Deck {
  readonly #kinds: readonly FaultKind[];
  readonly #random: Random;
  #left: FaultKind[] = [];

  constructor(kinds: readonly FaultKind[], random: Random) {
    this.#kinds = kinds;
    this.#random = random;
  }

  next(): FaultKind {
    if (this.#left.length === 0) this.#left = shuffled(this.#kinds, this.#random);
    return present(this.#left.pop(), 'a kind of fault');
  }

  /** These had no place: they come next. */
  giveBack(kinds: readonly FaultKind[]): void {
    this.#left.push(...kinds.toReversed());
  }
}

/** How long each kind lasts: from, to. Kills are followed by the time that a start takes. */
const LENGTH_MS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  'kill-one': [0, 4000],
  'kill-majority': [0, 3000],
  'kill-all': [0, 1500],
  pause: [100, 10_000],
  partition: [1000, 8000],
  'leader-apart': [1000, 6000],
  'one-way': [1000, 8000],
  'client-cut': [1000, 8000],
  slow: [2000, 8000],
  reset: [2000, 8000],
  'half-open': [1000, 8000],
  'disk-full': [2000, 8000],
  damage: [0, 2000],
  clock: [1000, 8000],
  descriptors: [1000, 6000],
  rolling: [0, 0],
};

/** These leave no process of their own behind: they may befall one that suffers something else. */
const LINKS: readonly FaultKind[] = [
  ...([
    'partition',
    'leader-apart',
    'one-way',
    'client-cut',
    'slow',
    'reset',
    'half-open',
  ] as const),
];

class Burst {
  readonly #options: ScheduleOptions;
  readonly #random: Random;
  readonly #at: { readonly startMs: number; readonly victims: readonly string[] };
  readonly #busy = new Set<string>();
  #damaged = false;

  constructor(
    options: ScheduleOptions,
    random: Random,
    at: { readonly startMs: number; readonly victims: readonly string[] },
  ) {
    this.#options = options;
    this.#random = random;
    this.#at = at;
  }

  /** A fault of this kind within the burst; null where all that it could befall is taken. */
  place(kind: FaultKind): Omit<Fault, 'id'> | null {
    const random = this.#random;
    const [from, to] = LENGTH_MS[kind];
    // Short ones are as likely as long ones.
    const lengthMs = Math.round(from + (to - from) * (random.below(1000) / 1000) ** 2);
    const latest = Math.max(1, BURST_MS - lengthMs - SETTLE_MS);
    const atMs = this.#at.startMs + random.below(Math.min(latest, BURST_MS / 2));
    const draw = random.below(DRAW_MAX);
    const names = this.#namesOf(kind);
    if (names.length === 0) return null;
    if (!LINKS.includes(kind)) for (const name of names) this.#busy.add(name);
    const fault = { kind, names, atMs, lengthMs, draw };
    if (kind !== 'damage') return fault;
    this.#damaged = true;
    const files = DAMAGED_FILES[names[0]?.startsWith('c') === true ? 'coordinator' : 'volume'];
    return { ...fault, file: pick<DamagedFile>(files, random) };
  }

  #namesOf(kind: FaultKind): readonly string[] {
    const random = this.#random;
    switch (kind) {
      case 'kill-majority':
      case 'rolling': {
        const role = pick([COORDINATORS, VOLUMES], random);
        const names = shuffled(role, random).slice(0, kind === 'rolling' ? role.length : 2);
        return names.some((name) => this.#busy.has(name)) ? [] : names;
      }
      case 'kill-all':
        return this.#busy.size > 0 ? [] : ALL;
      case 'partition':
        return shuffled(ALL, random).slice(0, 1 + random.below(3));
      case 'leader-apart':
        // Who that is shows when it comes to pass.
        return ['leader'];
      case 'client-cut':
        return [pick(COORDINATORS, random)];
      case 'one-way':
      case 'slow':
      case 'reset':
      case 'half-open':
        return [pick(ALL, random)];
      case 'disk-full':
        return this.#oneOf(this.#options.fillable);
      case 'clock':
        return this.#oneOf(this.#options.clocked);
      case 'damage':
        return this.#damaged ? [] : this.#oneOf(this.#at.victims);
      case 'kill-one':
      case 'pause':
      case 'descriptors':
        return this.#oneOf(ALL);
    }
  }

  #oneOf(names: readonly string[]): readonly string[] {
    const free = names.filter((name) => !this.#busy.has(name));
    return free.length === 0 ? [] : [pick(free, this.#random)];
  }
}

const pick = <T>(from: readonly T[], random: Random): T =>
  present(from[random.below(from.length)], 'something to choose from');

function shuffled<T>(from: readonly T[], random: Random): T[] {
  const left = [...from];
  return from.map(() => present(left.splice(random.below(left.length), 1)[0], 'what is left'));
}
