/** When coordinators keep small values themselves: only as safely as volumes would, and with room to spare. */
import { describe, expect, test } from '@jest/globals';
import { KvError } from '../common/errors.ts';
import { GIB, KIB, MIB, SECOND_MS } from '../common/units.ts';
import { INLINE_FORMAT } from '../common/version.ts';
import { silentLogger } from '../telemetry/logger.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { InlineRule, type InlineRuleOptions } from './inline-rule.ts';

const OPTIONS: InlineRuleOptions = {
  inlineMaxBytes: 2 * KIB,
  replicas: 3,
  minReplicas: 2,
  coordinators: 3,
  path: '/data',
};

class Machine {
  readonly clock = new ManualClock();
  readonly logger = silentLogger;
  freeBytes = 50 * GIB;
  totalBytes = 100 * GIB;
  stateBytes = 0;
  peersKnow = INLINE_FORMAT;
  isDiskWell = true;
  readonly disk = {
    space: async () => {
      if (!this.isDiskWell) throw new KvError('DISK_FAILED', 'no answer');
      return { freeBytes: this.freeBytes, totalBytes: this.totalBytes };
    },
  };
  logBytes = 0;
  readonly metadata = { unflushedBytes: 0, storedBytes: async () => this.stateBytes };
  readonly consensus = { status: () => ({ logBytes: this.logBytes }) };
  readonly peers = { everyPeerKnows: (format: number) => this.peersKnow >= format };

  /** The rule after its first look, or its next one. */
  async rule(change: Partial<InlineRuleOptions> = {}): Promise<InlineRule> {
    const rule = new InlineRule(this, { ...OPTIONS, ...change });
    rule.start();
    await this.look();
    return rule;
  }

  async look(): Promise<void> {
    await this.clock.advance(10 * SECOND_MS);
    await this.settle();
  }

  async settle(): Promise<void> {
    await new Promise(setImmediate);
  }
}

test('values up to the limit are taken, an empty one too', async () => {
  const rule = await new Machine().rule();
  expect([0, 1, 2 * KIB, 2 * KIB + 1].map((bytes) => rule.takes(bytes))).toEqual([
    true,
    true,
    true,
    false,
  ]);
});

test('a limit of 0 takes none', async () => {
  const rule = await new Machine().rule({ inlineMaxBytes: 0 });
  expect(rule.takes(0)).toBe(false);
});

test('the limit may change', async () => {
  const machine = new Machine();
  const rule = await machine.rule({ inlineMaxBytes: 0 });
  rule.limit(10);
  await machine.settle();
  expect([10, 11].map((bytes) => rule.takes(bytes))).toEqual([true, false]);
  rule.limit(0);
  expect(rule.takes(0)).toBe(false);
});

test('before the first look at the disk none is taken', () => {
  expect(new InlineRule(new Machine(), OPTIONS).takes(1)).toBe(false);
});

test.each([
  [1, 1, 1, true],
  [1, 3, 2, false],
  [2, 3, 2, false],
  [3, 3, 2, true],
  [3, 3, 3, false],
  [4, 4, 3, true],
  [5, 3, 3, true],
  [5, 5, 4, false],
])(
  '%i coordinators for %i copies of which a write needs %i: %s',
  async (coordinators, replicas, minReplicas, isTaken) => {
    const rule = await new Machine().rule({ coordinators, replicas, minReplicas });
    expect(rule.takes(1)).toBe(isTaken);
  },
);

test('while a peer is of an older build, or has said nothing yet, none is taken', async () => {
  const machine = new Machine();
  const rule = await machine.rule();
  machine.peersKnow = INLINE_FORMAT - 1;
  expect(rule.takes(1)).toBe(false);
  machine.peersKnow = INLINE_FORMAT;
  expect(rule.takes(1)).toBe(true);
});

describe('room', () => {
  test('must be left for a snapshot and the table made of it', async () => {
    const machine = new Machine();
    machine.freeBytes = 3 * GIB;
    machine.stateBytes = GIB;
    const rule = await machine.rule();
    expect(rule.takes(1)).toBe(true);
    machine.stateBytes = GIB + 1;
    await machine.look();
    expect(rule.takes(1)).toBe(false);
    machine.freeBytes = 4 * GIB;
    await machine.look();
    expect(rule.takes(1)).toBe(true);
  });

  test('of a small disk an eighth is kept', async () => {
    const machine = new Machine();
    machine.totalBytes = 800 * MIB;
    machine.freeBytes = 100 * MIB;
    expect((await machine.rule()).takes(1)).toBe(true);
    machine.freeBytes -= 1;
    expect((await machine.rule()).takes(1)).toBe(false);
  });

  test('is not to be had while the log waits for somebody with too much', async () => {
    const machine = new Machine();
    const rule = await machine.rule();
    machine.logBytes = 512 * MIB + 1;
    await machine.look();
    expect(rule.takes(1)).toBe(false);
  });

  test('is not to be had while the disk is behind', async () => {
    const machine = new Machine();
    const rule = await machine.rule();
    machine.metadata.unflushedBytes = 32 * MIB + 1;
    expect(rule.takes(1)).toBe(false);
    machine.metadata.unflushedBytes = 32 * MIB;
    expect(rule.takes(1)).toBe(true);
  });

  test('that cannot be measured is what it was', async () => {
    const machine = new Machine();
    const rule = await machine.rule();
    machine.isDiskWell = false;
    await machine.look();
    expect(rule.takes(1)).toBe(true);
  });
});
