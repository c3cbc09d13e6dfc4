/**
 * Breadth first through all states: each is met once, known again by a hash of all that is in it, and
 * checked. So a counterexample is as short as can be. States are kept only while they are at the edge;
 * of the others stays where they came from, and the steps to one are found by going there again.
 */
import { movesOf } from './cluster.ts';
import { brokenIn } from './invariants.ts';
import { leftOver } from './rest.ts';
import type { Rules } from './rules.ts';
import type { Scenario } from './scenario.ts';
import { Model, type World } from './world.ts';

export interface ExploreOptions {
  /** Steps from the start at most. */
  readonly depthMax: number;
  /** Steps that are taken before the exploration begins. */
  readonly opening?: readonly string[];
  /** States at most; beyond them the exploration ends incomplete. */
  readonly statesMax: number;
  /** Monotonic milliseconds, for the report. */
  readonly nowMs: () => number;
  /** Told after each depth. */
  readonly onDepth?: (depth: number, states: number) => void;
}

export interface Counterexample {
  readonly why: string;
  readonly steps: readonly string[];
}

export interface Exploration {
  readonly scenario: string;
  readonly states: number;
  readonly transitions: number;
  /** Distinct logs. */
  readonly logs: number;
  /** Steps of the longest way. */
  readonly depth: number;
  /** No state was left out: within the scenario's bounds there are no others. */
  readonly isComplete: boolean;
  readonly seconds: number;
  readonly found: Counterexample | null;
}

export function explore(scenario: Scenario, rules: Rules, options: ExploreOptions): Exploration {
  const beganMs = options.nowMs();
  const search = new Search(new Model(scenario, rules), options);
  const found = search.run();
  return { ...search.report(found), seconds: (options.nowMs() - beganMs) / 1000 };
}

/** Takes these steps, by their words, one after the other. */
export function play(model: Model, start: World, steps: readonly string[]): World {
  return steps.reduce((world, step) => {
    const moves = movesOf(model, world);
    const move = moves.find(({ label }) => label() === step);
    if (move !== undefined) return move.world;
    const words = moves.map(({ label }) => label());
    throw new Error(['there is no step', step, 'but', ...words].join('\n'));
  }, start);
}

/** One met state at the edge. */
interface Edge {
  readonly number: number;
  readonly world: World;
}

class Search {
  readonly #model: Model;
  readonly #options: ExploreOptions;
  readonly #seen = new Set<number>();
  /** States whose end was looked at, without what does not matter for it. */
  readonly #rested = new Set<number>();
  /** Of each state: the state before it, and which of its steps led here. */
  readonly #parents: number[] = [];
  readonly #choices: number[] = [];
  #transitions = 0;
  #depth = 0;
  #isCut = false;

  constructor(model: Model, options: ExploreOptions) {
    this.#model = model;
    this.#options = options;
  }

  run(): Counterexample | null {
    const start = this.#start();
    const wrong = this.#meet(start, { number: -1, choice: 0 });
    if (wrong !== null) return { why: wrong, steps: this.#options.opening ?? [] };
    let edge: Edge[] = [{ number: 0, world: start }];
    while (edge.length > 0) {
      if (this.#depth >= this.#options.depthMax) {
        this.#isCut = true;
        break;
      }
      const next: Edge[] = [];
      for (const at of edge) {
        const found = this.#expand(at, next);
        if (found !== null) return found;
        if (this.#parents.length >= this.#options.statesMax) {
          this.#isCut = true;
          return null;
        }
      }
      if (next.length > 0) this.#depth += 1;
      this.#options.onDepth?.(this.#depth, this.#parents.length);
      edge = next;
    }
    return null;
  }

  report(found: Counterexample | null): Omit<Exploration, 'seconds'> {
    return {
      scenario: this.#model.scenario.name,
      states: this.#parents.length,
      transitions: this.#transitions,
      logs: this.#model.tree.size,
      depth: this.#depth,
      isComplete: !this.#isCut && found === null,
      found,
    };
  }

  #expand({ number, world }: Edge, next: Edge[]): Counterexample | null {
    for (const [choice, { world: child }] of movesOf(this.#model, world).entries()) {
      this.#transitions += 1;
      const key = hashOf(this.#model.key(child));
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      const met = this.#parents.length;
      const why = this.#meet(child, { number, choice });
      if (why !== null) return { why, steps: this.#stepsTo(met) };
      next.push({ number: met, world: child });
    }
    return null;
  }

  #meet(world: World, from: { readonly number: number; readonly choice: number }): string | null {
    this.#parents.push(from.number);
    this.#choices.push(from.choice);
    const broken = brokenIn(this.#model, world);
    if (broken !== null) return broken;
    return this.#rests(world, this.#model.restKey(world)) ?? this.#restsWithoutMessages(world);
  }

  #restsWithoutMessages(world: World): string | null {
    return this.#rests({ ...world, messages: [] }, this.#model.lostKey(world));
  }

  #rests(world: World, text: string): string | null {
    const key = hashOf(text);
    if (this.#rested.has(key)) return null;
    this.#rested.add(key);
    return leftOver(this.#model, world);
  }

  #start(): World {
    return play(this.#model, this.#model.start(), this.#options.opening ?? []);
  }

  /** Goes the same way again, for the words. */
  #stepsTo(number: number): readonly string[] {
    const choices: number[] = [];
    for (let at = number; at > 0; at = this.#parents[at] ?? 0) choices.push(this.#choices[at] ?? 0);
    const steps: string[] = [...(this.#options.opening ?? [])];
    let world = this.#start();
    for (const choice of choices.reverse()) {
      const move = movesOf(this.#model, world)[choice];
      if (move === undefined) throw new Error('a way cannot be gone again');
      steps.push(move.label());
      world = move.world;
    }
    return steps;
  }
}

/** Looked up once: under jest a global costs a call. */
const { imul } = Math;

/** 53 bits of a text: a million states meet by chance once in ten thousand explorations. */
function hashOf(text: string): number {
  let a = 0x9e3779b9;
  let b = 0x85ebca6b;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    a = imul(a ^ code, 0x01000193);
    b = imul(b ^ code, 0x5bd1e995) ^ (b >>> 15);
  }
  a = imul(a ^ (a >>> 16), 0x85ebca6b);
  b = imul(b ^ (b >>> 13), 0xc2b2ae35);
  return ((b ^ (b >>> 16)) >>> 0) * 2 ** 21 + ((a ^ (a >>> 13)) >>> 11);
}

/** One line of figures, and the steps of a counterexample. */
export function textOf(result: Exploration): string {
  const { scenario, states, transitions, logs, depth, isComplete, seconds, found } = result;
  const end = isComplete ? 'complete' : 'cut off';
  const line = `${scenario}: ${states} states, ${transitions} steps, ${logs} logs, depth ${depth}, ${found === null ? end : 'broken'}, ${seconds.toFixed(1)} s`;
  if (found === null) return line;
  const steps = found.steps.map((step, i) => `  ${i + 1}. ${step}`);
  return [line, ...steps, `  => ${found.why}`].join('\n');
}
