/**
 * Calls of one request and one reply on simulated connections, where production has gRPC: a length, a
 * method's name and its request, and back a mark and the reply or the failure.
 */
import { ByteReader, ByteWriter, concatBytes } from '../common/bytes.ts';
import type { Timer } from '../common/clock.ts';
import { asError, KvError } from '../common/errors.ts';
import { decodeFailure, encodeFailure } from '../rpc/frames.ts';
import type { Call, CallServer, StreamSocket } from '../rpc/network.ts';
import type { UnaryMethod } from '../rpc/types.ts';

/** No stream begins with it. */
const MARK = 0;
const HEADER_BYTES = 5;
const REPLY = 0;
const FAILURE = 1;

type Answer = (request: Buffer) => Promise<Buffer>;

export class SimCalls implements CallServer {
  readonly #methods = new Map<string, Answer>();
  readonly #open = new Set<StreamSocket>();
  #isShut = false;

  register<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    handle: (request: Request) => Promise<Reply>,
  ): void {
    const { requestDeserialize, responseSerialize } = method;
    this.#methods.set(method.path, async (request) =>
      responseSerialize(await handle(requestDeserialize(request))),
    );
  }

  take(socket: StreamSocket, first: Buffer): void {
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    whole(socket, first, (body) => void this.#answer(socket, body));
  }

  shutDown(): void {
    this.#isShut = true;
  }

  cut(): void {
    for (const socket of this.#open) socket.destroy();
  }

  async #answer(socket: StreamSocket, body: Buffer): Promise<void> {
    const reader = new ByteReader(body);
    const path = reader.text();
    const request = bufferOf(reader.bytes());
    try {
      const answer = this.#methods.get(path);
      if (this.#isShut) throw new KvError('STOPPING', 'this process is stopping');
      if (answer === undefined) throw new KvError('NOT_IMPLEMENTED', `${path} is not served`);
      socket.write(framed([Uint8Array.of(REPLY), await answer(request)]));
    } catch (thrown) {
      const error = asError(thrown);
      const failure = error instanceof KvError ? error : new KvError('INTERNAL', error.message);
      socket.write(framed([Uint8Array.of(FAILURE), encodeFailure(failure)]));
    }
    socket.end();
  }
}

export function callOver<Request, Reply>(
  socket: StreamSocket,
  { method, request, timeoutMs, ipPort }: Call<Request, Reply>,
  after: (delayMs: number, fn: () => void) => Timer,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const late = after(Math.max(0, timeoutMs), () => {
      reject(new KvError('DEADLINE_EXCEEDED', `${ipPort} did not answer in time`));
      socket.destroy();
    });
    socket.on('error', (cause) => {
      reject(new KvError('UNAVAILABLE', `the connection to ${ipPort} failed`, { cause }));
    });
    socket.on('close', () => {
      late.cancel();
      reject(new KvError('UNAVAILABLE', `${ipPort} ended the call`));
    });
    whole(socket, Buffer.alloc(0), (body) => {
      const payload = body.subarray(1);
      if (body[0] === REPLY) resolve(method.responseDeserialize(payload));
      else reject(decodeFailure(payload));
      socket.end();
    });
    const called = new ByteWriter(64).text(method.path).bytes(method.requestSerialize(request));
    socket.write(framed([called.finish()]));
  });
}

/** Calls back with the body of the first frame once all of it is there. */
function whole(socket: StreamSocket, first: Buffer, done: (body: Buffer) => void): void {
  let held = first;
  let isDone = false;
  const look = (): void => {
    if (isDone || held.length < HEADER_BYTES) return;
    const end = HEADER_BYTES + held.readUInt32LE(1);
    if (held.length < end) return;
    isDone = true;
    done(held.subarray(HEADER_BYTES, end));
  };
  socket.on('data', (bytes) => {
    held = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    look();
  });
  look();
}

function framed(parts: readonly Uint8Array[]): Uint8Array {
  const body = concatBytes(parts);
  return concatBytes([new ByteWriter(HEADER_BYTES).u8(MARK).u32(body.length).finish(), body]);
}

const bufferOf = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
