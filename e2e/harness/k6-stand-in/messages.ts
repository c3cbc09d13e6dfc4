/** What a user's thread and the main thread of the stand-in say to each other. */
import type { MessagePort } from 'node:worker_threads';

export type Tags = Readonly<Record<string, string>>;

export interface UserData {
  readonly script: string;
  readonly step: 'setup' | 'default' | 'teardown';
  /** As k6 counts them: 0 in setup and teardown. */
  readonly vu: number;
  /** What `setup` answered. */
  readonly data: unknown;
  readonly port: MessagePort;
  /** One word of shared memory: 1 once the answer to a request lies in the port. */
  readonly signal: SharedArrayBuffer;
}

export interface Call {
  readonly method: string;
  readonly url: string;
  readonly body: ArrayBuffer | string | null;
  readonly headers: Readonly<Record<string, string>>;
}

/** Status 0 where there was none, or where its body did not arrive whole. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ArrayBuffer | null;
  readonly error: string;
  readonly durationMs: number;
}

export interface Options {
  readonly vus: number;
  readonly duration: string;
  readonly thresholds: Readonly<Record<string, readonly string[]>>;
}

export type Told =
  | {
      readonly kind: 'sample';
      readonly metric: string;
      readonly value: number;
      readonly tags: Tags;
    }
  | { readonly kind: 'end'; readonly options: Options; readonly value: unknown };
