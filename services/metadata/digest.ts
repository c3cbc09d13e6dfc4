/**
 * The running digest of the state: a sum of one 64-bit hash per row, in two lanes of 32 bits. A sum
 * has no order, so nodes that flush and snapshot at different times agree at the same index, and a
 * row leaves it as cheaply as it came. It finds accidents and bugs, not forgers.
 */
const SEED_A = 0x9e3779b9;
const SEED_B = 0x85ebca6b;

export class RowDigest {
  #a = 0;
  #b = 0;
  readonly #lanes = new Uint32Array(2);

  /** Takes up a digest as `text` gave it. */
  static of(text: string): RowDigest {
    const digest = new RowDigest();
    digest.#a = Number.parseInt(text.slice(0, 8), 16) >>> 0;
    digest.#b = Number.parseInt(text.slice(8), 16) >>> 0;
    return digest;
  }

  add(key: Uint8Array, value: Uint8Array): void {
    this.hash(key, value);
    this.addLanes(this.laneA, this.laneB);
  }

  remove(key: Uint8Array, value: Uint8Array): void {
    this.hash(key, value);
    this.removeLanes(this.laneA, this.laneB);
  }

  addLanes(a: number, b: number): void {
    this.#a = (this.#a + a) >>> 0;
    this.#b = (this.#b + b) >>> 0;
  }

  removeLanes(a: number, b: number): void {
    this.#a = (this.#a - a) >>> 0;
    this.#b = (this.#b - b) >>> 0;
  }

  addAll(other: RowDigest): void {
    this.addLanes(other.#a, other.#b);
  }

  removeAll(other: RowDigest): void {
    this.removeLanes(other.#a, other.#b);
  }

  /** Hashes one row into the two lanes, which stay until the next call: no allocation. */
  hash(key: Uint8Array, value: Uint8Array): void {
    hashRow(key, value, this.#lanes);
  }

  get laneA(): number {
    return this.#lanes[0] ?? 0;
  }

  get laneB(): number {
    return this.#lanes[1] ?? 0;
  }

  /** 16 hex digits. */
  text(): string {
    return this.#a.toString(16).padStart(8, '0') + this.#b.toString(16).padStart(8, '0');
  }
}

/** Both lanes are fed four bytes at a time; lengths are mixed in, so key and value cannot trade bytes. */
function hashRow(key: Uint8Array, value: Uint8Array, lanes: Uint32Array): void {
  lanes[0] = SEED_A ^ key.length;
  lanes[1] = SEED_B ^ value.length;
  feed(key, lanes);
  feed(value, lanes);
  lanes[0] = finish(lanes[0] ?? 0);
  lanes[1] = finish((lanes[1] ?? 0) ^ SEED_A);
}

function feed(bytes: Uint8Array, lanes: Uint32Array): void {
  let a = lanes[0] ?? 0;
  let b = lanes[1] ?? 0;
  const whole = bytes.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    const word =
      (bytes[i] ?? 0) |
      ((bytes[i + 1] ?? 0) << 8) |
      ((bytes[i + 2] ?? 0) << 16) |
      ((bytes[i + 3] ?? 0) << 24);
    a = stepA(a, word);
    b = stepB(b, word);
  }
  for (let i = whole; i < bytes.length; i += 1) {
    a = stepA(a, bytes[i] ?? 0);
    b = stepB(b, bytes[i] ?? 0);
  }
  lanes[0] = a;
  lanes[1] = b;
}

function stepA(lane: number, word: number): number {
  const mixed = Math.imul(lane ^ word, 0xcc9e2d51);
  return mixed ^ (mixed >>> 15);
}

function stepB(lane: number, word: number): number {
  const mixed = (Math.imul((lane << 13) | (lane >>> 19), 0x1b873593) + word) | 0;
  return Math.imul(mixed ^ (mixed >>> 16), 0xc2b2ae35);
}

function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
