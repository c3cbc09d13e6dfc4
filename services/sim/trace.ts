/** An order-sensitive hash of all that happens: two runs that differ in anything differ in it. */
import { crc32 } from '../common/checksum.ts';

export class Trace {
  readonly #time = new Float64Array(1);
  readonly #words = new Uint32Array(this.#time.buffer);
  #a = 0x9e3779b9;
  #b = 0x85ebca6b;

  get hash(): string {
    return [this.#a, this.#b].map((half) => (half >>> 0).toString(16).padStart(8, '0')).join('');
  }

  event(atMs: number, life: number, kind: number): void {
    this.#time[0] = atMs;
    this.#mix(this.#words[0] ?? 0);
    this.#mix(this.#words[1] ?? 0);
    this.#mix((life << 8) | kind);
  }

  bytes(bytes: Uint8Array): void {
    this.#mix(crc32(bytes));
    this.#mix(bytes.length);
  }

  #mix(word: number): void {
    this.#a = Math.imul(this.#a ^ word, 0x9e3779b1);
    this.#a ^= this.#a >>> 15;
    this.#b = Math.imul(this.#b + this.#a, 0x85ebca6b) ^ (this.#b >>> 13);
  }
}
