/**
 * The search for an order of a history, after Wing and Gong: what may come next is what began before
 * any operation that is left had ended. Sets of ordered operations that led nowhere are remembered
 * with the state after them (Lowe). What cannot matter is not tried, so a sound history is ordered
 * nearly without turning back:
 * - what fits and changes nothing comes at once: in any order it could be moved to here;
 * - an optional write comes only just before something that sees it: it could be moved to there;
 * - of optional writes that do the same only the oldest is tried;
 * - next is something that shares a slot, or a chain of them, with what must end first: whatever else
 *   could come before it has nothing to do with it, and can be moved behind it;
 * - a way on which a value that must still be read has gone for good ends at once.
 */
import { ABSENT, fits, type Item, type OrderProblem, observes } from './order-problem.ts';

export type OrderAnswer = { readonly steps: number } & (
  | { readonly kind: 'order' }
  | { readonly kind: 'no-order'; readonly furthest: Furthest }
  /** The steps are used up: nobody knows, and a test that does not know has failed. */
  | { readonly kind: 'gave-up' }
);

/** The longest order that was found, and where it ended. */
export interface Furthest {
  readonly order: readonly Item[];
  readonly state: readonly number[];
  /** What had to come next and could not. */
  readonly stuck: readonly Item[];
}

/**
 * A search for an order of all certain items and any optional ones; all slots begin absent. Where
 * there are several slots a first search jumps: from a dead end it goes back to the last choice that
 * has to do with the slots of the dead end. It may miss an order, though not make one up; where it
 * finds none a second search leaves nothing out.
 */
export function searchOrder(problem: OrderProblem, stepsMax: number): OrderAnswer {
  if (problem.keys.length > 1) {
    const stepsMaxJumping = Math.floor(stepsMax / 2);
    const answer = new OrderSearch(problem, { isJumping: true }).run(stepsMaxJumping);
    if (answer.kind === 'order') return answer;
  }
  return new OrderSearch(problem, { isJumping: false }).run(stepsMax);
}

interface Choice {
  readonly item: Item;
  /** Its place among the certain or the optional items. */
  readonly place: number;
  readonly isOptional: boolean;
}

/** A choice on the present way. */
interface Taken extends Choice {
  /** What it overwrote. */
  readonly before: readonly number[];
  /** Slots that optional writes have changed just now: what comes next must see them. */
  readonly unseen: readonly number[];
}

interface Frame {
  /** Choices on the way when this frame was reached. */
  readonly depth: number;
  readonly mark: string;
  readonly choices: readonly Choice[];
  next: number;
  /** Slots that have to do with the dead ends behind it. */
  readonly slots: Set<number>;
}

class OrderSearch {
  readonly #problem: OrderProblem;
  readonly #state: Int32Array;
  readonly #done = { certain: new Set<number>(), optional: new Set<number>() };
  readonly #way: Taken[] = [];
  /** Marks that lead nowhere, with the slots that have to do with it. */
  readonly #tried = new Map<string, ReadonlySet<number>>();
  readonly #isJumping: boolean;
  /** How many items that are left read, or write, a value of a slot. */
  readonly #readers: readonly Int32Array[];
  readonly #writers: readonly Int32Array[];
  /** All certain items before this place are ordered. */
  #first = 0;
  #furthest: Furthest = { order: [], state: [], stuck: [] };

  constructor(problem: OrderProblem, { isJumping }: { readonly isJumping: boolean }) {
    this.#problem = problem;
    this.#isJumping = isJumping;
    const { keys, names, certain, optional } = problem;
    this.#state = new Int32Array(keys.length);
    this.#readers = keys.map(() => new Int32Array(names.length));
    this.#writers = keys.map(() => new Int32Array(names.length));
    for (const item of [...certain, ...optional]) this.#count(item, 1);
  }

  run(stepsMax: number): OrderAnswer {
    const frames: Frame[] = [];
    const isMissing = this.#keys().some((slot) => this.#isMissing(slot));
    if (!isMissing && this.#enter(frames)) return { kind: 'order', steps: 0 };
    for (let steps = 0; ; steps += 1) {
      const frame = frames.at(-1);
      if (frame === undefined) return { kind: 'no-order', furthest: this.#furthest, steps };
      if (steps >= stepsMax) return { kind: 'gave-up', steps };
      this.#goBack(frame.depth);
      const choice = frame.choices[frame.next];
      frame.next += 1;
      if (choice === undefined) this.#leave(frames);
      else if (this.#take(choice) && this.#enter(frames)) return { kind: 'order', steps };
    }
  }

  /** Gives up the last frame, and in a jump those before it whose choice had nothing to do with it. */
  #leave(frames: Frame[]): void {
    const left = frames.pop();
    if (left === undefined) return;
    this.#tried.set(left.mark, left.slots);
    this.#blame(frames, left.slots);
  }

  #blame(frames: Frame[], slots: ReadonlySet<number>): void {
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      const item = frame.choices[frame.next - 1]?.item;
      if (!this.#isJumping || item === undefined || touches(item, slots)) {
        for (const slot of slots) frame.slots.add(slot);
        return;
      }
      this.#tried.set(frame.mark, slots);
      frames.pop();
    }
  }

  #keys(): readonly number[] {
    return this.#problem.keys.map((_, slot) => slot);
  }

  /** At the start: a value that must be read, that is not there and that nobody writes. */
  #isMissing(slot: number): boolean {
    const writers = this.#writers[slot];
    const isMissing = (this.#readers[slot] ?? []).some(
      (readers, value) => value !== ABSENT && readers > 0 && writers?.[value] === 0,
    );
    if (isMissing) this.#noteFurthest();
    return isMissing;
  }

  /** Takes what comes at once and adds a frame of what else could be next; true when all is ordered. */
  #enter(frames: Frame[]): boolean {
    this.#takeReads();
    if (this.#done.certain.size === this.#problem.certain.length) return true;
    const unseen = this.#way.at(-1)?.unseen ?? [];
    const mark = this.#mark(unseen);
    const known = this.#tried.get(mark);
    if (known !== undefined) {
      this.#blame(frames, known);
      return false;
    }
    const { choices, slots } = this.#choices(unseen);
    if (choices.length === 0) this.#noteFurthest();
    frames.push({ depth: this.#way.length, mark, choices, next: 0, slots });
    return false;
  }

  #takeReads(): void {
    for (let hasTaken = true; hasTaken; ) {
      hasTaken = false;
      for (const choice of this.#window()) {
        if (choice.item.isWrite || !fits(choice.item, this.#state)) continue;
        this.#take(choice);
        hasTaken = true;
      }
    }
  }

  /** The certain items that are left and began before any of them had ended. */
  #window(): readonly Choice[] {
    const { certain } = this.#problem;
    while (this.#done.certain.has(this.#first)) this.#first += 1;
    const window: Choice[] = [];
    let endMs = Number.POSITIVE_INFINITY;
    for (let place = this.#first; place < certain.length; place += 1) {
      const item = certain[place];
      if (item === undefined || item.startMs > endMs) break;
      if (this.#done.certain.has(place)) continue;
      endMs = Math.min(endMs, item.endMs);
      window.push({ item, place, isOptional: false });
    }
    return window;
  }

  /** Which items are ordered, the state, and which write awaits to be seen: all that the rest depends on. */
  #mark(unseen: readonly number[]): string {
    const beyond: number[] = [];
    for (
      let place = this.#first, left = this.#done.certain.size - this.#first;
      left > 0;
      place += 1
    ) {
      if (!this.#done.certain.has(place)) continue;
      beyond.push(place);
      left -= 1;
    }
    const optional = [...this.#done.optional].toSorted((a, b) => a - b);
    return [this.#first, beyond, optional, unseen, this.#state.join(',')].join('|');
  }

  #choices(unseen: readonly number[]): Pick<Frame, 'choices' | 'slots'> {
    const window = this.#window();
    const endMs = Math.min(...window.map(({ item }) => item.endMs));
    const urgent = window.find(({ item }) => item.endMs === endMs)?.item;
    if (urgent === undefined) return { choices: [], slots: new Set() };
    const optional = this.#available(endMs);
    const near = this.#slotsNear(urgent, [...window, ...optional]);
    const choices = [...window.filter(({ item }) => item.isWrite), ...firsts(optional)].filter(
      (choice) =>
        touches(choice.item, near) &&
        unseen.every((slot) => isUseful(choice, slot)) &&
        (!choice.isOptional || this.#changes(choice.item)) &&
        fits(choice.item, this.#state),
    );
    const sorted = this.#bestFirst(choices, this.#target(window, near));
    return { choices: sorted, slots: new Set([...near, ...unseen]) };
  }

  /** What came next in the log, as far as answers tell. */
  #target(window: readonly Choice[], near: ReadonlySet<number>): Item | undefined {
    const wanted = window.filter(({ item }) => touches(item, near)).map(({ item }) => item);
    return wanted.toSorted((a, b) => a.hint - b.hint || a.endMs - b.endMs)[0];
  }

  /** Only the order in which they are tried, no judgement: what makes way for the target comes first. */
  #bestFirst(choices: readonly Choice[], target: Item | undefined): readonly Choice[] {
    const isWaiting = target !== undefined && !fits(target, this.#state);
    const ranked = choices.map((choice) => {
      const { item, isOptional } = choice;
      const helps = isWaiting && this.#wouldFit(target, item);
      // A read has told where it is; one of a single slot only comes where something sees it.
      const isPlaced = item.steps.length > 1 && item.hint !== Number.MAX_SAFE_INTEGER;
      return { choice, rank: helps ? 0 : isOptional && !isPlaced ? 2 : 1, ...item };
    });
    return ranked
      .toSorted((a, b) => a.rank - b.rank || a.hint - b.hint || a.endMs - b.endMs || 0)
      .map(({ choice }) => choice);
  }

  #wouldFit(target: Item, first: Item): boolean {
    const after = this.#state.slice();
    for (const { slot, writes } of first.steps) if (writes !== null) after[slot] = writes;
    return fits(target, after);
  }

  /** Optional items that are left and may come before `endMs`. */
  #available(endMs: number): readonly Choice[] {
    const available: Choice[] = [];
    for (const [place, item] of this.#problem.optional.entries()) {
      if (item.startMs > endMs) break;
      if (!this.#done.optional.has(place)) available.push({ item, place, isOptional: true });
    }
    return available;
  }

  /** Slots that items joined to this one by shared slots touch. */
  #slotsNear(urgent: Item, choices: readonly Choice[]): ReadonlySet<number> {
    const near = new Set(urgent.steps.map(({ slot }) => slot));
    if (this.#state.length === 1) return near;
    // Optional items that are never decided join all slots in the end: a jumping search ignores that.
    const joining = choices.filter(
      ({ item, isOptional }) => item.steps.length > 1 && !(isOptional && this.#isJumping),
    );
    for (let size = 0; size < near.size; ) {
      size = near.size;
      for (const { item } of joining) {
        if (touches(item, near)) for (const { slot } of item.steps) near.add(slot);
      }
    }
    return near;
  }

  #changes({ steps }: Item): boolean {
    return steps.some(({ slot, writes }) => writes !== null && writes !== this.#state[slot]);
  }

  /** False when a value that must still be read has gone for good. */
  #take({ item, place, isOptional }: Choice): boolean {
    const before = item.steps.map(({ slot }) => this.#state[slot] ?? ABSENT);
    const unseen = isOptional ? unseenAfter(item, this.#way.at(-1)?.unseen ?? []) : [];
    this.#way.push({ item, place, isOptional, before, unseen });
    (isOptional ? this.#done.optional : this.#done.certain).add(place);
    this.#count(item, -1);
    for (const { slot, writes } of item.steps) if (writes !== null) this.#state[slot] = writes;
    const isDead = item.steps.some(
      ({ slot, writes }, i) => writes !== null && this.#isGone(slot, before[i] ?? ABSENT),
    );
    if (isDead) this.#noteFurthest();
    return !isDead;
  }

  #isGone(slot: number, value: number): boolean {
    if (this.#state[slot] === value) return false;
    return (this.#readers[slot]?.[value] ?? 0) > 0 && this.#writers[slot]?.[value] === 0;
  }

  #goBack(depth: number): void {
    while (this.#way.length > depth) {
      const taken = this.#way.pop();
      if (taken === undefined) return;
      const { item, place, isOptional, before } = taken;
      (isOptional ? this.#done.optional : this.#done.certain).delete(place);
      if (!isOptional) this.#first = Math.min(this.#first, place);
      this.#count(item, 1);
      for (const [i, { slot, writes }] of item.steps.entries()) {
        if (writes !== null) this.#state[slot] = before[i] ?? ABSENT;
      }
    }
  }

  #count({ steps }: Item, by: 1 | -1): void {
    for (const { slot, reads, writes } of steps) {
      const readers = this.#readers[slot];
      const writers = this.#writers[slot];
      if (reads !== null && readers !== undefined) readers[reads] = (readers[reads] ?? 0) + by;
      if (writes !== null && writers !== undefined) writers[writes] = (writers[writes] ?? 0) + by;
    }
  }

  #noteFurthest(): void {
    const order = this.#way.map(({ item }) => item);
    if (order.length < this.#furthest.order.length) return;
    const stuck = this.#window().map(({ item }) => item);
    this.#furthest = { order, state: [...this.#state], stuck };
  }
}

/** Right after optional writes comes what sees them, or another such write elsewhere. */
const isUseful = ({ item, isOptional }: Choice, slot: number): boolean =>
  observes(item, slot) || (isOptional && item.steps.every((step) => step.slot !== slot));

/** An optional write of several slots may matter to one of them later. */
function unseenAfter(item: Item, before: readonly number[]): readonly number[] {
  const waiting = before.filter((slot) => !observes(item, slot));
  const [step, ...others] = item.steps;
  if (step === undefined || others.length > 0) return waiting;
  return [...waiting, step.slot].toSorted((a, b) => a - b);
}

const touches = ({ steps }: Item, slots: ReadonlySet<number>): boolean =>
  steps.some(({ slot }) => slots.has(slot));

/** The oldest of those that do the same. */
function firsts(choices: readonly Choice[]): readonly Choice[] {
  const seen = new Set<string>();
  return choices.filter(({ item: { sameAs } }) => !seen.has(sameAs) && seen.add(sameAs));
}
