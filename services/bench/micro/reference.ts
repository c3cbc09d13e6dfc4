/**
 * The work that every case is held against: a mixing loop over a typed array, always the same. When the
 * machine slows down it slows down too, so that a case's share of it says more than its time does.
 */

const WORDS = new Uint32Array(4096);
const PASSES = 80;
/** By a name of its own: in tests each look at a global costs more than the work. */
const { imul } = Math;

/** Nanoseconds of one pass over the array, of so many in a row that they take about a millisecond. */
export function referencePassNs(): number {
  const beganMs = performance.now();
  for (let pass = 0; pass < PASSES; pass += 1) mixWords();
  return ((performance.now() - beganMs) * 1e6) / PASSES;
}

function mixWords(): void {
  let mixed = WORDS[0] ?? 0;
  for (let at = 0; at < WORDS.length; at += 1) {
    mixed = (imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d) + (WORDS[at] ?? 0) + at) | 0;
    WORDS[at] = mixed;
  }
}
