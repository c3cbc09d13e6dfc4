/**
 * Streams between processes, free of grpc-js. A link is one long-lived bidirectional stream that dials
 * again by itself; a server accepts streams and unary calls. Messages are the generated shapes.
 */

import type { KvError } from '../common/errors.ts';

/** What the generated definition of a call says, request before reply. */
export interface Method<Request, Reply> {
  readonly path: string;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Reply) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Reply;
}

/** A message as it leaves: parts that follow one another, so that large data need no copy. Nobody changes them. */
export type Parts = readonly Uint8Array[];

/** A call whose both sides stream. */
export interface BidiMethod<Request, Reply>
  extends Pick<Method<Request, Reply>, 'path' | 'requestDeserialize' | 'responseDeserialize'> {
  readonly requestSerialize: (value: Request) => Parts;
  readonly responseSerialize: (value: Reply) => Parts;
  readonly requestStream: true;
  readonly responseStream: true;
}

/** A call of one request and one reply. */
export interface UnaryMethod<Request, Reply> extends Method<Request, Reply> {
  readonly requestStream: false;
  readonly responseStream: false;
}

/** The sending half of a stream. */
export interface Outgoing<Out> {
  /**
   * Queues one message. False once more than the high-water mark waits: stop until `onDrain`. Past
   * the hard limit the stream is closed with `RESOURCE_EXHAUSTED`: a peer that never reads is cut off.
   * False too once the stream is closed. @throws KvError `TOO_LARGE` above `messageBytesMax`.
   */
  send(message: Out): boolean;
  /**
   * Ends the stream once what is queued has left; `onClosed` follows. A reason ends deliveries at
   * once and, from the accepting end, reaches the other end as its `onClosed` reason.
   */
  close(reason?: KvError): void;
  /** host:port of the other end. */
  readonly remote: string;
}

/** What happens on an open stream. `onClosed` comes exactly once, after the last message. */
export interface StreamEvents<In> {
  /** A `KvError` thrown here closes the stream with it; anything else is a bug and is not caught. */
  onMessage(message: In): void;
  onDrain?(): void;
  onClosed(reason: Error): void;
}

/** Called for each new stream, at the dialling and at the accepting end. */
export type OnOpen<Out, In> = (outgoing: Outgoing<Out>) => StreamEvents<In>;

/** A dialled stream that comes back: resolve by DNS at each attempt, back off 100 ms to 1 s. */
export interface Link {
  readonly connected: boolean;
  /**
   * Dials now, dropping the present stream, attempt or wait; used when a peer says hello from a new
   * address. The dropped stream's `onClosed` comes before this returns.
   */
  redial(): void;
  close(): void;
}

export interface RpcServer {
  /** The bound port (for bind port 0). */
  readonly port: number;
  /** Refuses new streams, ends open ones after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Named maxima of the wire. */
export const RPC_LIMITS = {
  messageBytesMax: 4 * 1024 * 1024,
  /** Data bytes of one chunk on the wire. */
  chunkBytesMax: 256 * 1024,
  queuedBytesHigh: 8 * 1024 * 1024,
  queuedBytesMax: 64 * 1024 * 1024,
  /** Streams and calls of one server. */
  streamsMax: 1024,
  /** Connections to it, so that one too many is still told why it is refused. */
  connectionsMax: 1152,
  /** Memory that one HTTP/2 session may hold, above `queuedBytesMax`. */
  sessionBytesMax: 256 * 1024 * 1024,
  /** How long a closed stream may take to send what is queued before it is cut. */
  closeGraceMs: 1000,
  keepaliveMs: 1000,
  keepaliveTimeoutMs: 2000,
  connectTimeoutMs: 1000,
  /** A connection that has not said what it is by then is closed. */
  prefaceTimeoutMs: 5000,
  backoffMinMs: 100,
  backoffMaxMs: 1000,
} as const;
