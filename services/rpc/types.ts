/**
 * Streams between processes, free of grpc-js. A link is one long-lived bidirectional stream that dials
 * again by itself; a server accepts streams and unary calls. Messages are the generated shapes.
 */

/** The sending half of a stream. */
export interface Outgoing<Out> {
  /**
   * Queues one message. False once more than the high-water mark waits: stop until `onDrain`. Past
   * the hard limit the stream is closed with `RESOURCE_EXHAUSTED`: a peer that never reads is cut off.
   */
  send(message: Out): boolean;
  /** Ends the stream; `onClosed` follows. */
  close(): void;
  /** host:port of the other end. */
  readonly remote: string;
}

/** What happens on an open stream. `onClosed` comes exactly once, after the last message. */
export interface StreamEvents<In> {
  onMessage(message: In): void;
  onDrain?(): void;
  onClosed(reason: Error): void;
}

/** Called for each new stream, at the dialling and at the accepting end. */
export type OnOpen<Out, In> = (outgoing: Outgoing<Out>) => StreamEvents<In>;

/** A dialled stream that comes back: resolve by DNS at each attempt, back off 100 ms to 1 s. */
export interface Link {
  readonly connected: boolean;
  /** Dial now, dropping the present wait; used when a peer says hello from a new address. */
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
  streamsMax: 1024,
  keepaliveMs: 1000,
  keepaliveTimeoutMs: 2000,
  connectTimeoutMs: 1000,
  backoffMinMs: 100,
  backoffMaxMs: 1000,
} as const;
