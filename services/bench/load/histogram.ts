/**
 * Latencies as counts in buckets that are at most 1.6 % wide, in one typed array: recording allocates
 * nothing, so the generator's own garbage never shows as latency of the store.
 */

/** Values below it have a bucket each; every doubling above it has half as many. */
const LINEAR = 128;
const PER_DOUBLING = LINEAR / 2;
const BUCKETS = LINEAR + PER_DOUBLING * 25;

export class Histogram {
  readonly #counts = new Uint32Array(BUCKETS);
  #count = 0;
  #maxUs = 0;

  get count(): number {
    return this.#count;
  }

  get maxUs(): number {
    return this.#maxUs;
  }

  record(us: number): void {
    const whole = Math.min(Math.max(0, Math.round(us)), 0xffff_ffff);
    const at = bucketOf(whole);
    this.#counts[at] = (this.#counts[at] ?? 0) + 1;
    this.#count += 1;
    if (whole > this.#maxUs) this.#maxUs = whole;
  }

  /** The least bucket edge that `share` (0 to 1) of all values do not exceed; 0 of nothing. */
  quantileUs(share: number): number {
    const wanted = Math.ceil(this.#count * share);
    let seen = 0;
    for (let at = 0; at < BUCKETS; at += 1) {
      seen += this.#counts[at] ?? 0;
      if (seen >= wanted && seen > 0) return Math.min(edgeOf(at), this.#maxUs);
    }
    return 0;
  }

  clear(): void {
    this.#counts.fill(0);
    this.#count = 0;
    this.#maxUs = 0;
  }
}

/** Doublings above `LINEAR` shift the value until seven bits are left; the top one is always set. */
function bucketOf(us: number): number {
  if (us < LINEAR) return us;
  const shift = 32 - Math.clz32(us) - 7;
  return LINEAR + (shift - 1) * PER_DOUBLING + ((us >>> shift) - PER_DOUBLING);
}

/** The largest value of a bucket. */
function edgeOf(at: number): number {
  if (at < LINEAR) return at;
  const shift = Math.floor((at - LINEAR) / PER_DOUBLING) + 1;
  const top = ((at - LINEAR) % PER_DOUBLING) + PER_DOUBLING;
  return (top + 1) * 2 ** shift - 1;
}
