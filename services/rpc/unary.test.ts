import { afterEach, describe, expect, test } from '@jest/globals';
import { systemClock } from '../common/clock.ts';
import { KvError } from '../common/errors.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { type Failure, Failure as FailureCodec } from './generated/common.ts';
import { startRpcServer, unary } from './server.ts';
import { tcpNetwork } from './tcp-network.ts';
import type { RpcServer, UnaryMethod } from './types.ts';
import { callUnary } from './unary.ts';

const encode = (value: Failure): Buffer => Buffer.from(FailureCodec.encode(value).finish());
const decode = (bytes: Buffer): Failure => FailureCodec.decode(bytes);
const ask = (path: string): UnaryMethod<Failure, Failure> => ({
  path,
  requestStream: false,
  responseStream: false,
  requestSerialize: encode,
  requestDeserialize: decode,
  responseSerialize: encode,
  responseDeserialize: decode,
});
const ASK = ask('/test.Test/Ask');
const TIMEOUT_MS = 5000;
const parts = { clock: systemClock, network: tcpNetwork };

let server: RpcServer | null = null;
afterEach(async () => {
  await server?.close(0);
  server = null;
});

async function serve(handler: (request: Failure) => Promise<Failure>): Promise<string> {
  server = await startRpcServer(
    { ...parts, logger: silentLogger },
    { bind: '127.0.0.1:0', services: [unary(ASK, handler)] },
  );
  return `localhost:${server.port}`;
}

const request: Failure = { code: 'question', message: 'how are you' };

describe('a unary call', () => {
  test('brings the reply', async () => {
    const address = await serve(async ({ message }) => ({ code: 'answer', message }));
    const reply = await callUnary(parts, ASK, { address, timeoutMs: TIMEOUT_MS }, request);
    expect(reply).toEqual({ code: 'answer', message: 'how are you' });
  });

  test('brings the error of the handler with code, sentence and detail', async () => {
    const address = await serve(async () => {
      throw new KvError('PEER_NOT_EMPTY', 'the peer "b" holds data', { detail: { peer: 'b' } });
    });
    await expect(
      callUnary(parts, ASK, { address, timeoutMs: TIMEOUT_MS }, request),
    ).rejects.toMatchObject({
      code: 'PEER_NOT_EMPTY',
      message: 'the peer "b" holds data',
      detail: { peer: 'b' },
    });
  });

  test('hides a bug behind INTERNAL', async () => {
    const address = await serve(async () => {
      throw new TypeError('secret of the implementation');
    });
    await expect(
      callUnary(parts, ASK, { address, timeoutMs: TIMEOUT_MS }, request),
    ).rejects.toMatchObject({
      code: 'INTERNAL',
      message: expect.not.stringContaining('secret'),
    });
  });

  test('ends at its deadline', async () => {
    const address = await serve(() => new Promise(() => undefined));
    await expect(callUnary(parts, ASK, { address, timeoutMs: 50 }, request)).rejects.toMatchObject({
      code: 'DEADLINE_EXCEEDED',
    });
  });

  test('of an unknown method is NOT_IMPLEMENTED', async () => {
    const address = await serve(async () => request);
    const unknown = ask('/test.Test/Nothing');
    await expect(
      callUnary(parts, unknown, { address, timeoutMs: TIMEOUT_MS }, request),
    ).rejects.toMatchObject({
      code: 'NOT_IMPLEMENTED',
    });
  });

  test('to nobody is UNAVAILABLE', async () => {
    const address = await serve(async () => request);
    await server?.close(0);
    await expect(
      callUnary(parts, ASK, { address, timeoutMs: TIMEOUT_MS }, request),
    ).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  test('of garbage fails and leaves the server serving', async () => {
    const address = await serve(async () => request);
    const garbled = { ...ASK, requestSerialize: () => Buffer.from([0x0a, 0xff, 0xff, 0xff]) };
    await expect(
      callUnary(parts, garbled, { address, timeoutMs: TIMEOUT_MS }, request),
    ).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    expect(await callUnary(parts, ASK, { address, timeoutMs: TIMEOUT_MS }, request)).toEqual(
      request,
    );
  });
});
