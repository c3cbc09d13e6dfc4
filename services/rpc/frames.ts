/**
 * The bytes of a stream on its connection (docs/formats/wire.md): the dialling end's preface, then frames
 * of a length, a kind and a payload, both ways.
 */
import { asError, isErrorCode, KvError } from '../common/errors.ts';
import { detailText, messageText, plainDetail } from './failure-text.ts';
import { RPC_LIMITS } from './types.ts';

/** What a frame is. */
export const FRAME = {
  /** The accepting end takes the stream. */
  open: 0,
  message: 1,
  /** Answered by a pong at once; any frame says as well that an end lives. */
  ping: 2,
  pong: 3,
  /** Nothing more comes from this end. */
  end: 4,
  /** Nothing more comes, and this is why: code, message and detail as JSON. */
  failure: 5,
} as const;

export type FrameKind = (typeof FRAME)[keyof typeof FRAME];

/** Begins a connection that is a stream; one of gRPC begins with another byte. */
const MAGIC = Buffer.from('MKVS');
const VERSION = 1;
const PREFACE_BYTES = MAGIC.length + 2;
const HEADER_BYTES = 5;

/** Whether a connection that begins with these bytes is a stream. */
export const isStream = (first: Uint8Array): boolean => first[0] === MAGIC[0];

/** The first bytes of the dialling end: which method's stream it wants. */
export function prefaceOf(path: string): Buffer {
  const name = Buffer.from(path);
  return Buffer.concat([MAGIC, Buffer.of(VERSION, name.length), name]);
}

export interface Preface {
  readonly path: string;
  /** Bytes that came after it. */
  readonly rest: Buffer;
}

/** null: not all of it is there yet. @throws KvError `INVALID_ARGUMENT`, also for another version. */
export function parsePreface(bytes: Buffer): Preface | null {
  const magic = bytes.subarray(0, MAGIC.length);
  if (!magic.equals(MAGIC.subarray(0, magic.length))) throw invalid('not the preface of a stream');
  if (bytes.length < PREFACE_BYTES) return null;
  const version = bytes[MAGIC.length];
  if (version !== VERSION) {
    throw invalid(`streams of version ${version} are not spoken here, only of ${VERSION}`);
  }
  const end = PREFACE_BYTES + (bytes[PREFACE_BYTES - 1] ?? 0);
  if (bytes.length < end) return null;
  return { path: bytes.toString('utf8', PREFACE_BYTES, end), rest: bytes.subarray(end) };
}

/** The bytes of a frame. */
export function frameOf(kind: FrameKind, payload: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  writeHeader(frame, kind, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** What comes before a payload that is written as it is. */
export function headerOf(kind: FrameKind, payloadBytes: number): Buffer {
  const header = Buffer.allocUnsafe(HEADER_BYTES);
  writeHeader(header, kind, payloadBytes);
  return header;
}

function writeHeader(to: Buffer, kind: FrameKind, payloadBytes: number): void {
  to.writeUInt32LE(payloadBytes, 0);
  to[HEADER_BYTES - 1] = kind;
}

export function encodeFailure(error: KvError): Uint8Array {
  const detail = detailText(error) === null ? {} : error.detail;
  return Buffer.from(JSON.stringify({ code: error.code, message: messageText(error), detail }));
}

/** What the other end gave as its reason; never throws. */
export function decodeFailure(bytes: Buffer): KvError {
  try {
    const { code, message, detail } = JSON.parse(bytes.toString()) as Record<string, unknown>;
    if (typeof code === 'string' && isErrorCode(code)) {
      return new KvError(code, String(message), { detail: plainDetail(detail) });
    }
    return new KvError('INTERNAL', `a stream failed with an unknown code: ${String(message)}`);
  } catch (thrown) {
    return new KvError('INTERNAL', 'a stream failed with a reason that is no JSON', {
      cause: asError(thrown),
    });
  }
}

/** Cuts what arrives into frames. A payload is a view of what arrived, unless it came in pieces. */
export class FrameReader {
  readonly #onFrame: (kind: number, payload: Buffer) => void;
  /** Of a header that is not whole. */
  #head: Buffer = EMPTY;
  #kind = 0;
  /** Of a payload that came in pieces: room for all of it, and how much is there. */
  #payload: Buffer | null = null;
  #filled = 0;

  constructor(onFrame: (kind: number, payload: Buffer) => void) {
    this.#onFrame = onFrame;
  }

  /** @throws KvError `TOO_LARGE` for a frame above `messageBytesMax`, before any of it is kept. */
  push(arrived: Buffer): void {
    let bytes = this.#head.length === 0 ? arrived : Buffer.concat([this.#head, arrived]);
    this.#head = EMPTY;
    while (bytes.length > 0) {
      if (this.#payload !== null) {
        bytes = this.#fill(this.#payload, bytes);
      } else if (bytes.length < HEADER_BYTES) {
        this.#head = bytes;
        return;
      } else {
        bytes = this.#begin(bytes);
      }
    }
  }

  /** Takes a header, and its payload where all of it is there; answers the rest. */
  #begin(bytes: Buffer): Buffer {
    const length = bytes.readUInt32LE(0);
    const kind = bytes[HEADER_BYTES - 1] ?? 0;
    if (length > RPC_LIMITS.messageBytesMax) {
      throw new KvError('TOO_LARGE', `a frame of ${length} bytes exceeds the wire's limit`);
    }
    const end = HEADER_BYTES + length;
    if (bytes.length >= end) {
      this.#onFrame(kind, bytes.subarray(HEADER_BYTES, end));
      return bytes.subarray(end);
    }
    this.#kind = kind;
    this.#payload = Buffer.allocUnsafe(length);
    this.#filled = 0;
    return bytes.subarray(HEADER_BYTES);
  }

  #fill(payload: Buffer, bytes: Buffer): Buffer {
    const taken = Math.min(bytes.length, payload.length - this.#filled);
    payload.set(bytes.subarray(0, taken), this.#filled);
    this.#filled += taken;
    if (this.#filled === payload.length) {
      this.#payload = null;
      this.#onFrame(this.#kind, payload);
    }
    return bytes.subarray(taken);
  }
}

const EMPTY = Buffer.alloc(0);
const invalid = (message: string): KvError => new KvError('INVALID_ARGUMENT', message);
