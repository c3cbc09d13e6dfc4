/** How a system is asked for keys: the bytes of requests, and what its answers mean. */
import type { Answer, Target } from './connection.ts';
import { EtcdSpeech } from './etcd-speech.ts';
import { PathSpeech } from './path-speech.ts';

export type Dialect =
  /**
   * The value is the body. A key is at one of the prefixes, which are equally long, then its name,
   * then the suffix; the same key is always at the same one.
   */
  | {
      readonly kind: 'paths';
      readonly prefixes: readonly string[];
      readonly suffix: string;
      /** Follows the path of a PUT. */
      readonly putQuery?: string;
      readonly getQuery?: string;
      /** GETs are answered by a redirect, which is part of the operation. */
      readonly follows?: boolean;
    }
  /** The JSON gateway of etcd: keys and values in base64. */
  | { readonly kind: 'etcd'; readonly prefix: string };

export interface SpeechOptions {
  readonly sizeBytes: number;
  /** What values are made of; whoever reads them back needs the same. */
  readonly bodies: readonly Buffer[];
  readonly space: number;
}

/** A dialect with the values that are spoken of. */
export interface Speech {
  /** Requests of one connection, each written again in place. */
  putsTo(target: Target): Request;
  getsFrom(target: Target): Request;
  /** Whether a 2xx answer to a GET is exactly the key's value. */
  isValue(key: number, answer: Answer): boolean;
  /** Whether an answer to a GET says that there is no such key. */
  isAbsent(answer: Answer): boolean;
  /** What an answer's body takes at most, chunk heads included. */
  readonly answerBytesMax: number;
}

/** The bytes that ask for a key; they stay as they are until the next call. */
export type Request = (key: number) => Uint8Array;

export function speechOf(dialect: Dialect, options: SpeechOptions): Speech {
  switch (dialect.kind) {
    case 'paths':
      return new PathSpeech(dialect, options);
    case 'etcd':
      return new EtcdSpeech(dialect, options);
  }
}
