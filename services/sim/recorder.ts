/**
 * The history of a run while it is written down, and what is at once known to be wrong. Times are virtual
 * milliseconds made strictly rising, since many things happen in one of them and their order is known.
 */
import type { Digest } from '../common/ids.ts';
import { type Operation, told } from './history.ts';
import { makeValue, type Value } from './values.ts';

const STEP_MS = 1e-6;

/** What an acknowledgement promised to be there. */
export interface Acknowledged {
  readonly index: number;
  readonly key: string;
}

export class Recorder {
  readonly operations: Operation[] = [];
  /** Sentences about answers that are wrong whatever else has happened. */
  readonly violations: string[] = [];
  /** Called with the index of each acknowledged write, in the moment of its answer. */
  onAcknowledged: (acknowledged: Acknowledged) => void = () => undefined;
  /** Tells a person who replays a seed. */
  readonly say: (line: string) => void;
  readonly #nowMs: () => number;
  readonly #values = new Map<string, { readonly write: number; readonly sizeBytes: number }>();
  readonly #emptied = new Set<string>();
  #lastMs = 0;
  #writes = 0;

  constructor(nowMs: () => number, say: (line: string) => void = () => undefined) {
    this.#nowMs = nowMs;
    this.say = say;
  }

  /** The present moment, later than any before. */
  now(): number {
    this.#lastMs = Math.max(this.#nowMs(), this.#lastMs + STEP_MS);
    return this.#lastMs;
  }

  add(operation: Operation): void {
    this.operations.push(operation);
    this.say(`${operation.key}: ${told(operation)}`);
  }

  wrong(sentence: string): void {
    this.violations.push(`at ${this.#nowMs().toFixed(1)} ms: ${sentence}`);
  }

  /** Bytes that nobody has written before; none at all only once for a key, since all those are alike. */
  nextValue(key: string, sizeBytes: number): Value {
    this.#writes += 1;
    const isRepeated = sizeBytes === 0 && this.#emptied.has(key);
    if (sizeBytes === 0) this.#emptied.add(key);
    const value = makeValue(this.#writes, isRepeated ? 1 : sizeBytes);
    this.#values.set(value.digest, { write: value.write, sizeBytes: value.bytes.length });
    return value;
  }

  /** What a value is called in the history: by its write, or by its digest where nobody has written it. */
  nameOf(digest: string): string {
    const known = this.#values.get(digest);
    if (known === undefined) return digest;
    return known.sizeBytes === 0 ? 'empty' : `w${known.write}`;
  }

  /** The value of that digest; null where nobody has written it. */
  valueOf(digest: Digest): Uint8Array | null {
    const known = this.#values.get(digest);
    return known === undefined ? null : makeValue(known.write, known.sizeBytes).bytes;
  }
}
