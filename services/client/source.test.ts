/** What becomes of a PUT whose own source fails, told from a connection that breaks. */
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { FakeKvServer } from '../testing/kv-server.ts';
import { KvClient } from './kv-client.ts';

let server: FakeKvServer;
let client: KvClient;

beforeEach(async () => {
  server = await FakeKvServer.start();
  client = new KvClient([server.url], { deadlineMs: 1500, silenceMs: 5000 });
});
afterEach(async () => {
  await client.close();
  await server.stop();
});

const PIECE = Buffer.alloc(64 * 1024, 'piece');

function source(pieces: number, fails = false) {
  const opened = { times: 0 };
  async function* open(): AsyncGenerator<Uint8Array> {
    opened.times += 1;
    for (let i = 0; i < pieces; i += 1) {
      await Promise.resolve();
      yield PIECE;
    }
    if (fails) throw Object.assign(new Error('ENOENT: it is gone'), { code: 'ENOENT' });
  }
  return { opened, value: { sizeBytes: 8 * PIECE.length, open } };
}

test.each([
  ['at once', 0, true, 'ENOENT: it is gone'],
  ['in the middle', 4, true, 'ENOENT: it is gone'],
  ['by having fewer bytes than it said', 7, false, 'another size than was said'],
  ['by having more bytes than it said', 9, false, 'another size than was said'],
])('a source that fails %s ends the call and is not asked again', async (_how, ...given) => {
  const [pieces, fails, words] = given;
  server.fault = (request) => {
    request.on('error', () => undefined).resume();
    return true;
  };
  const { opened, value } = source(pieces, fails);
  const put = client.put('k', value);
  await expect(put).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' });
  await expect(put).rejects.toThrow(words);
  expect(opened.times).toBe(1);
  expect(server.values.size).toBe(0);
});

test('a connection that breaks under a stream is no fault of its source', async () => {
  let breaks = 1;
  server.fault = (request) => {
    if (breaks === 0) return false;
    breaks -= 1;
    request.once('data', () => request.socket.destroy());
    return true;
  };
  const { opened, value } = source(8);
  await client.put('k', value);
  expect(opened.times).toBe(2);
  expect(server.values.get('k')?.bytes.length).toBe(value.sizeBytes);
});
