/**
 * The appends on their way to one follower, bounded in messages and bytes. A ring of (last index,
 * bytes) in order of sending; invariant: `bytes` is the sum over the ring, and 0 when it is empty.
 */
import { assert } from '../common/assert.ts';

export class Inflight {
  readonly #lastIndexes: Float64Array;
  readonly #sizes: Float64Array;
  readonly #bytesMax: number;
  #start = 0;
  #count = 0;
  #bytes = 0;

  constructor(messagesMax: number, bytesMax: number) {
    assert(messagesMax >= 1, 'at least one append may be on its way');
    assert(bytesMax >= 1, 'at least one byte may be on its way');
    this.#lastIndexes = new Float64Array(messagesMax);
    this.#sizes = new Float64Array(messagesMax);
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** True when another append must wait. One message may overshoot the bytes, or none could be large. */
  get isFull(): boolean {
    return this.#count === this.#lastIndexes.length || this.#bytes >= this.#bytesMax;
  }

  add(lastIndex: number, bytes: number): void {
    assert(!this.isFull, 'an append beyond the bound');
    assert(
      this.#count === 0 || lastIndex > (this.#lastIndexes[this.#slot(this.#count - 1)] ?? 0),
      'appends go out in order',
    );
    const slot = this.#slot(this.#count);
    this.#lastIndexes[slot] = lastIndex;
    this.#sizes[slot] = bytes;
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** Forgets every append that ends at or before `index`: an acknowledgement covers all before it. */
  freeTo(index: number): void {
    while (this.#count > 0 && (this.#lastIndexes[this.#start] ?? 0) <= index) {
      this.#bytes -= this.#sizes[this.#start] ?? 0;
      this.#start = this.#slot(1);
      this.#count -= 1;
    }
    assert(this.#bytes >= 0, 'bytes on the way are never negative');
    assert(this.#count > 0 || this.#bytes === 0, 'an empty ring holds no bytes');
  }

  /** Forgets all: the follower is probed anew, and lost acknowledgements must not hold bytes. */
  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytes = 0;
  }

  #slot(offset: number): number {
    return (this.#start + offset) % this.#lastIndexes.length;
  }
}
