/**
 * Something that happens once, in the midst of a step of a simulated process: when one of certain hosts
 * meets a failpoint for the nth time, about certain bytes. One trap at a time, as there is one hook.
 */
import { type Failpoint, hookFailpoints } from '../common/failpoint.ts';
import type { SimCluster, SimHost } from './types.ts';

export interface TrapOptions {
  readonly point: Failpoint;
  /** Whether it is meant when this host meets the point. */
  readonly isMeant: (host: SimHost) => boolean;
  /** What the failpoint is about must contain these bytes; absent: whatever it is about. */
  readonly about?: Uint8Array;
  /** From 1. */
  readonly nth?: number;
}

export class Trap {
  #sprungAtMs: number | null = null;
  #about = new Uint8Array(0);
  #host: SimHost | null = null;

  /** From now on; `act` is called within the step, and the step may be the last of its process. */
  constructor(cluster: SimCluster, options: TrapOptions, act: (host: SimHost) => void) {
    const { point, isMeant, about, nth = 1 } = options;
    let met = 0;
    hookFailpoints((name, bytes) => {
      const host = cluster.current;
      if (name !== point || host === null || !isMeant(host)) return;
      if (about !== undefined && !includes(bytes, about)) return;
      met += 1;
      if (met < nth) return;
      hookFailpoints(null);
      this.#sprungAtMs = cluster.nowMs;
      this.#about = bytes.slice();
      this.#host = host;
      act(host);
    });
  }

  get hasSprung(): boolean {
    return this.#sprungAtMs !== null;
  }

  /** What the failpoint was about. */
  get about(): Uint8Array {
    return this.#about;
  }

  /** Who met it; null: nobody yet. */
  get host(): SimHost | null {
    return this.#host;
  }
}

const includes = (bytes: Uint8Array, part: Uint8Array): boolean =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).includes(Buffer.from(part));
