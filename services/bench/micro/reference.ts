/**
 * The work that every case is held against, always the same: small objects, a map, and words of an array
 * that fills most of a core's own cache. It is much like what the cases do, so that whatever slows them
 * down, a slower clock as well as a neighbour on the same core or cache, slows it about as much.
 */

const WORDS = new Uint32Array(32 * 1024);
const ITEMS = 64;
const PASSES = 24;
/** By a name of its own: in tests each look at a global costs more than the work. */
const { imul } = Math;

interface Item {
  readonly name: string;
  readonly at: number;
  readonly words: readonly number[];
}

let drawn = 1;

/** Nanoseconds of one pass, of so many in a row that they take less than a millisecond. */
export function referencePassNs(): number {
  const beganMs = performance.now();
  for (let pass = 0; pass < PASSES; pass += 1) onePass();
  return ((performance.now() - beganMs) * 1e6) / PASSES;
}

/** Makes items, finds each again by its name, and puts what it holds elsewhere. */
function onePass(): void {
  const byName = new Map<string, Item>();
  for (let i = 0; i < ITEMS; i += 1) {
    drawn = (imul(drawn, 1_664_525) + 1_013_904_223) >>> 0;
    const at = drawn >>> 17;
    byName.set(`${at}/${i}`, { name: `${i}`, at, words: [wordAt(at), wordAt(at + 7), i] });
  }
  for (const [name, item] of byName) {
    const { at, words } = byName.get(name) ?? item;
    for (const word of words) WORDS[(at + (word & 63)) & (WORDS.length - 1)] = (word + at) >>> 0;
  }
}

const wordAt = (at: number): number => WORDS[at & (WORDS.length - 1)] ?? 0;
