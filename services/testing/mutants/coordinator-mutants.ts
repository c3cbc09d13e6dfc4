/** Mistakes around the core: driver, log on disk, state machine, reads and writes of a coordinator. */
import type { Mutant } from './mutant.ts';

const DRIVER = 'services/consensus/driver.ts';
const DRIVER_TEST = 'services/consensus/driver.test.ts';
const STORE = 'services/consensus/log-store.ts';
const STORE_TEST = 'services/consensus/log-store.test.ts';
const RESTART_TEST = 'services/consensus/restart.test.ts';
const BOOTSTRAP = 'services/coordinator/bootstrap-rules.ts';

export const COORDINATOR_MUTANTS: readonly Mutant[] = [
  {
    id: 'R17b',
    bugs: ['R17'],
    title: 'a coordinator reads its applied state without asking the leader',
    patches: [
      {
        file: 'services/coordinator/read-path.ts',
        find: "if (consistency === 'linearizable') await consensus.readBarrier(timeoutMs);",
        replace: '',
      },
    ],
    tests: ['services/coordinator/read-path.test.ts'],
  },
  {
    id: 'R20b',
    bugs: ['R20'],
    title: 'a confirmed read is answered before its index is applied',
    patches: [
      {
        file: DRIVER,
        find: 'if (index <= applied) this.#waiters.reads.confirmed(readId, index);',
        replace: 'if (applied >= 0) this.#waiters.reads.confirmed(readId, index);',
      },
      {
        file: DRIVER,
        find: 'this.#confirmed = waiting.filter(({ index }) => index > applied);',
        replace: 'this.#confirmed = [];',
      },
    ],
    tests: [DRIVER_TEST],
  },
  {
    id: 'R22e',
    bugs: ['R22'],
    title: 'the log is restarted before the snapshot is the durable state',
    patches: [
      {
        file: DRIVER,
        find:
          'await machine.installSnapshot(point, snapshots.read(point));\n' +
          '      await log.restart(point);',
        replace:
          'await log.restart(point);\n' +
          '      await machine.installSnapshot(point, snapshots.read(point));',
      },
    ],
    tests: [RESTART_TEST],
  },
  {
    id: 'R22f',
    bugs: ['R22'],
    title: 'a restart of the log that a crash has kept from happening is not made up for',
    patches: [{ file: STORE, find: '    await this.restart(flushed);\n', replace: '' }],
    tests: [STORE_TEST, RESTART_TEST],
  },
  {
    id: 'R24b',
    bugs: ['R24'],
    title: 'a record that cannot follow those before it is taken at a restart',
    patches: [
      {
        file: 'services/consensus/log-image.ts',
        find: 'if (entry.index !== this.last + 1) {',
        replace: 'if (entry.index < 1) {',
      },
    ],
    tests: ['services/consensus/log-image.test.ts'],
  },
  {
    id: 'R24c',
    bugs: ['R24'],
    title: 'a log that begins behind its base passes for whole',
    patches: [
      {
        file: 'services/consensus/log-image.ts',
        find: 'return !this.#hasGap && this.#floor === this.base.index;',
        replace: 'return !this.#hasGap;',
      },
    ],
    tests: [STORE_TEST, 'services/consensus/log-image.test.ts'],
  },
  {
    id: 'R27a',
    bugs: ['R27'],
    title: 'an empty node joins the members that it sees, under its old id',
    patches: [
      {
        file: BOOTSTRAP,
        find: "isOneOf(answer, ['member', 'recovering', 'void'])",
        replace: "isOneOf(answer, ['void'])",
      },
      {
        file: BOOTSTRAP,
        find: "answers.filter(({ state }) => state === 'armed')",
        replace: "answers.filter(({ state }) => state === 'armed' || state === 'member')",
      },
    ],
    tests: [
      'services/coordinator/bootstrap-rules.test.ts',
      'services/coordinator/bootstrap-interleavings.test.ts',
    ],
  },
  {
    id: 'R27b',
    bugs: ['R27'],
    title: 'a member whose log and vote are gone votes as if it were new',
    patches: [
      {
        file: STORE,
        find: "if (found.kind === 'absent' && isLogEmpty && !isMember) return;",
        replace: "if (found.kind === 'absent' && isLogEmpty) return;",
      },
    ],
    tests: [STORE_TEST],
  },
  {
    id: 'R27c',
    bugs: ['R27'],
    title: 'a restarted process has the boot of the one before',
    patches: [
      {
        file: 'services/consensus/node-folder.ts',
        find: 'bootId: found.bootId + 1',
        replace: 'bootId: Math.max(1, found.bootId)',
      },
    ],
    tests: ['services/consensus/node-folder.test.ts'],
  },
  {
    id: 'R28d',
    bugs: ['R28'],
    title: 'a peer of another cluster is let in',
    patches: [
      {
        file: 'services/rpc/hello.ts',
        find: "if (expected.clusterId !== null && clusterId !== '' && clusterId !== expected.clusterId) {",
        replace: "if (expected.clusterId !== null && clusterId === 'never') {",
      },
    ],
    tests: ['services/coordinator/grpc/peer-links.test.ts'],
  },
  {
    id: 'R28e',
    bugs: ['R28'],
    title: 'a message is taken for another node than the one that it names',
    patches: [
      {
        file: 'services/coordinator/grpc/peer-links.ts',
        find: 'if (message.from !== peer.member.node || message.to !== this.#identity.node) {',
        replace: 'if (message.from < 0) {',
      },
    ],
    tests: ['services/coordinator/grpc/peer-links.test.ts'],
  },
  {
    id: 'R32b',
    bugs: ['R32'],
    title: 'whoever waits longest gets the next outcome, whatever its transaction',
    patches: [
      {
        file: 'services/coordinator/outcome-waiters.ts',
        find: 'const waiting = this.#waiting.take(txnId);',
        replace: 'const waiting = this.#waiting.take(txnId) ?? this.#waiting.entries()[0]?.[1];',
      },
    ],
    tests: [
      'services/coordinator/metadata-machine.test.ts',
      'services/coordinator/write-path.test.ts',
    ],
  },
  {
    id: 'R39',
    bugs: ['R39'],
    title: 'a clock that was late is caught up with at once',
    patches: [
      {
        file: DRIVER,
        find:
          '  #tick(): void {\n' +
          '    this.#timer = this.#parts.clock.after(TICK_MS, () => this.#tick());\n' +
          '    this.#tickCount += 1;\n' +
          '    this.#step(() => this.#core.tick());',
        replace:
          '  #tick(expectedMs = this.#parts.clock.monotonicMs()): void {\n' +
          '    const lateMs = this.#parts.clock.monotonicMs() - expectedMs;\n' +
          '    const nextMs = this.#parts.clock.monotonicMs() + TICK_MS;\n' +
          '    this.#timer = this.#parts.clock.after(TICK_MS, () => this.#tick(nextMs));\n' +
          '    this.#tickCount += 1;\n' +
          '    for (let ms = 0; ms <= lateMs; ms += TICK_MS) this.#step(() => this.#core.tick());',
      },
    ],
    tests: [DRIVER_TEST],
  },
  {
    id: 'S1a',
    bugs: ['S1'],
    title: 'term and vote are not written',
    patches: [
      {
        file: STORE,
        find: "const records: LogRecord[] = hardState === null ? [] : [{ kind: 'hard-state', hardState }];",
        replace: 'const records: LogRecord[] = [];',
      },
      {
        file: STORE,
        find: 'if (hardState !== null) homes.push(this.#votes.update({ hardState }));',
        replace: '',
      },
    ],
    tests: [STORE_TEST, RESTART_TEST],
  },
  {
    id: 'S1b',
    bugs: ['S1'],
    title: 'entries are not written',
    patches: [
      {
        file: STORE,
        find: "for (const entry of entries) records.push({ kind: 'entry', entry });",
        replace: '',
      },
    ],
    tests: [STORE_TEST, RESTART_TEST],
  },
  {
    id: 'S1c',
    bugs: ['S1'],
    title: 'entries are written and not synced',
    patches: [
      {
        file: 'services/disk/frame-log.ts',
        find: 'await current.file.writeSynced(current.size, [bytes]);',
        replace: 'await current.file.write(current.size, [bytes]);',
      },
    ],
    tests: ['services/disk/frame-log.test.ts', STORE_TEST, RESTART_TEST],
  },
  {
    id: 'S1d',
    bugs: ['S1'],
    title: 'what must be durable before a promise is reported durable before it is written',
    patches: [
      {
        file: 'services/consensus/log-writer.ts',
        find: 'if (this.#running === null && !mustWrite(ready)) {',
        replace: 'if (!mustWrite(ready)) {',
      },
      {
        file: 'services/consensus/log-writer.ts',
        find: '    this.#queue.push(ready);',
        replace:
          '    this.#events.persisted(ready, null);\n' +
          '    this.#queue.push({ ...ready, messagesAfterPersist: [] });',
      },
    ],
    tests: [DRIVER_TEST],
  },
  {
    id: 'S8',
    bugs: ['S8'],
    title: 'the deadline of a write that was proposed is answered as a failure',
    patches: [
      {
        file: 'services/two-phase-commit/coordinator.ts',
        find: "deadline: (state) => answer(state, { kind: 'unknown' }, []),",
        replace: "deadline: (state) => abandon(state, 'timed-out'),",
      },
    ],
    tests: [
      'services/two-phase-commit/coordinator.test.ts',
      'services/coordinator/write-path.test.ts',
    ],
  },
  {
    id: 'S9a',
    bugs: ['S9'],
    title: 'the torn tail of the Raft log stays, and batches are appended behind it',
    patches: [
      { file: 'services/disk/frame-log.ts', find: 'await file.truncate(last.size);', replace: '' },
      {
        file: 'services/disk/frame-log.ts',
        find:
          '    await this.#disk.syncFolder(this.#options.path);\n' +
          '    this.#current = { file, segment, size: segment.size };',
        replace:
          '    await this.#disk.syncFolder(this.#options.path);\n' +
          '    this.#current = { file, segment, size: await file.size() };',
      },
    ],
    tests: ['services/disk/frame-log.test.ts', STORE_TEST],
  },
];
