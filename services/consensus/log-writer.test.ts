/** Goal: what waits for a sync is only what it must make durable, and what must not leave before. */
import { expect, test } from '@jest/globals';
import { logIndex, nodeId, term } from '../common/ids.ts';
import type { Message } from '../raft/messages.ts';
import type { Entry, Ready } from '../raft/types.ts';
import { settle } from '../testing/manual-clock.ts';
import { LogWriter, type PersistWork } from './log-writer.ts';
import type { LogWrite, RaftLog } from './raft-log.ts';

const NOTHING: Ready = {
  hardState: null,
  truncateFrom: null,
  entries: [],
  messages: [],
  messagesAfterPersist: [],
  committed: [],
  reads: [],
  lostReads: [],
  refusedProposals: [],
  snapshotRequests: [],
  installSnapshot: null,
  recovered: false,
};
const entry = (index: number): Entry => ({
  index: logIndex(index),
  term: term(1),
  kind: 'command',
  data: new Uint8Array(1),
});
const message: Message = {
  kind: 'timeout-now',
  from: nodeId(1),
  to: nodeId(2),
  term: term(1),
  fromBoot: 1,
  toBoot: 1,
};

/** A log whose first write hangs until it is let go. */
function held() {
  const gate = Promise.withResolvers<undefined>();
  const writes: (readonly LogWrite[])[] = [];
  const log: RaftLog = {
    write: async (batch) => {
      writes.push(batch);
      await gate.promise;
    },
    restart: async () => {},
    compact: async () => {},
    setRecovered: async () => {},
    close: async () => {},
  };
  return { log, writes, letGo: () => gate.resolve(undefined) };
}

test('a sync that hangs holds back no message that has left and no entry that is applied', async () => {
  const { log, writes, letGo } = held();
  const told: PersistWork[] = [];
  const writer = new LogWriter(log, {
    persisted: (work) => void told.push(work),
    failed: (error) => {
      throw error;
    },
  });
  writer.add({ ...NOTHING, entries: [entry(1)] });
  for (let i = 0; i < 100; i += 1) {
    writer.add({ ...NOTHING, messages: [message], committed: [entry(1)] });
  }
  writer.add({ ...NOTHING, messages: [message], messagesAfterPersist: [message] });
  writer.add({ ...NOTHING, messages: [message], entries: [entry(2)], committed: [entry(1)] });
  await settle();
  expect(told).toEqual([]);
  letGo();
  await writer.idle();
  const kept = { hardState: null, truncateFrom: null, recovered: false };
  expect(told).toEqual([
    { ...kept, entries: [entry(1)], messagesAfterPersist: [] },
    { ...kept, entries: [], messagesAfterPersist: [message] },
    { ...kept, entries: [entry(2)], messagesAfterPersist: [] },
  ]);
  expect(writes).toHaveLength(2);
});
