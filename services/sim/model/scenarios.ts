/** What is explored: each scenario leaves something out, together they leave out little. */
import { DELETE, PUT, type Scenario, scenario } from './scenario.ts';

const CREATE = { kind: 'put', condition: 'absent', idempotent: false } as const;
const RETRIED = { kind: 'put', condition: null, idempotent: true } as const;
/** Deeper than any way in a scenario that tests explore to its end. */
const TO_THE_END = 100;

export const SCENARIOS: readonly Scenario[] = [
  scenario('one write', {
    need: 2,
    budgets: { advances: 1, aborts: 1 },
    testDepth: TO_THE_END,
  }),
  scenario('one write that leaves a disk out', {
    budgets: { advances: 1, failures: 1 },
    testDepth: TO_THE_END,
  }),
  scenario('two writes', {
    operations: [PUT, PUT],
    budgets: { advances: 1, duplicates: 1 },
    testDepth: 9,
  }),
  scenario('a write and a delete over a value', {
    hasBase: true,
    operations: [PUT, DELETE],
    budgets: { advances: 1, duplicates: 1 },
    testDepth: 6,
  }),
  scenario('two tries of one request', {
    operations: [RETRIED, RETRIED],
    budgets: { advances: 1, duplicates: 1 },
    testDepth: 9,
  }),
  scenario('two creations and an abort', {
    operations: [CREATE, CREATE],
    need: 2,
    budgets: { aborts: 1 },
    testDepth: 9,
  }),
  scenario('a write in chunks and a restart', {
    chunked: true,
    budgets: { restarts: 1, advances: 1, failures: 1 },
    testDepth: 9,
  }),
  scenario('a write, restarts and unsynced votes', {
    fsync: 'interval',
    budgets: { restarts: 2, advances: 1, duplicates: 1 },
    testDepth: 6,
  }),
  scenario('one disk, a restart and unsynced votes', {
    disks: 1,
    want: 1,
    fsync: 'interval',
    budgets: { restarts: 1, advances: 1 },
    testDepth: TO_THE_END,
  }),
  scenario('repair after unsynced votes were lost', {
    fsync: 'interval',
    budgets: { restarts: 1, moves: 1, advances: 1 },
    testDepth: 9,
  }),
  scenario('a copy moves away and back', {
    hasBase: true,
    want: 1,
    operations: [],
    budgets: { moves: 2, advances: 2, duplicates: 1 },
    testDepth: 7,
  }),
  scenario('a write over a value that moves', {
    hasBase: true,
    want: 1,
    budgets: { moves: 1, advances: 1 },
    testDepth: 8,
  }),
  scenario('a delete, and the disk is put back from an image', {
    disks: 1,
    want: 1,
    hasBase: true,
    operations: [DELETE],
    budgets: { images: 1, advances: 1 },
    testDepth: TO_THE_END,
  }),
  scenario('a write, and the disk is put back from an image', {
    disks: 1,
    want: 1,
    budgets: { images: 1, restarts: 2, advances: 1 },
    testDepth: 8,
  }),
];
