/** Events are written once, counted after, and never in a flood. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '../../services/telemetry/logger.ts';
import { ManualClock } from '../../services/testing/manual-clock.ts';
import { EventRecorder, type Happening } from './events.ts';
import { KINDS } from './kinds.ts';
import { KubeError } from './kube-error.ts';
import { MemoryKube } from './testing/memory-kube.ts';
import type { KubeObject } from './types.ts';

const MINUTE = 60_000;
let clock: ManualClock;
let kube: MemoryKube;
let recorder: EventRecorder;
beforeEach(() => {
  clock = new ManualClock();
  kube = new MemoryKube(clock);
  recorder = new EventRecorder({ kube, clock, logger: silentLogger }, { instance: 'op-1' });
});

const about = (uid = 'u'): KubeObject => ({
  apiVersion: 'minikv.io/v1alpha1',
  kind: 'MiniKVCluster',
  metadata: { name: 'kv', namespace: 'ns', uid },
});
const rolled = (change: Partial<Happening> = {}): Happening => ({
  about: about(),
  type: 'Normal',
  reason: 'RollStarted',
  action: 'Roll',
  note: 'three pods',
  ...change,
});
const events = (): readonly KubeObject[] => kube.all(KINDS.event);

describe('one event', () => {
  test('has what the API server demands', async () => {
    recorder.record(rolled());
    await recorder.idle();
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      metadata: { namespace: 'ns', name: expect.stringMatching(/^kv\.[0-9a-f]{19}$/) },
      eventTime: '2023-11-14T22:13:20.000000Z',
      reportingController: 'minikv.io/operator',
      reportingInstance: 'op-1',
      action: 'Roll',
      reason: 'RollStarted',
      regarding: { kind: 'MiniKVCluster', name: 'kv', namespace: 'ns', uid: 'u' },
      type: 'Normal',
      note: 'three pods',
    });
    expect(events()[0]).not.toHaveProperty('series');
  });

  test.each(['x', 'ä', '€', '🙂'])('a note of too many bytes is cut: %s', async (letter) => {
    recorder.record(rolled({ note: letter.repeat(3000) }));
    await recorder.idle();
    const note = String(events()[0]?.['note']);
    expect(note).toMatch(new RegExp(`^(${letter})+\\.\\.\\.$`, 'u'));
    const bytes = Buffer.byteLength(note);
    expect(bytes).toBeLessThanOrEqual(1024);
    expect(bytes).toBeGreaterThan(1020);
  });
});

describe('the same again', () => {
  test('is not written for ten minutes, and then once with its count', async () => {
    for (let i = 0; i < 599; i += 1) {
      recorder.record(rolled({ note: `attempt ${i}` }));
      await clock.advance(1000);
    }
    expect(kube.writes).toHaveLength(1);
    await clock.advance(1000);
    recorder.record(rolled());
    await recorder.idle();
    expect(kube.writes).toHaveLength(2);
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      note: 'attempt 0',
      series: { count: 600, lastObservedTime: '2023-11-14T22:23:20.000000Z' },
    });
  });

  test('another object, reason or action is another event', async () => {
    recorder.record(rolled());
    recorder.record(rolled({ about: about('v') }));
    recorder.record(rolled({ reason: 'RollBlocked' }));
    recorder.record(rolled({ action: 'Wait' }));
    await recorder.idle();
    expect(events()).toHaveLength(4);
  });

  test('after a long silence it is new', async () => {
    recorder.record(rolled());
    await clock.advance(21 * MINUTE);
    recorder.record(rolled({ reason: 'RollFinished' }));
    recorder.record(rolled());
    await recorder.idle();
    expect(events()).toHaveLength(3);
  });
});

describe('limits', () => {
  test('one object gets 25 events at once and then one a minute; others are not held up', async () => {
    for (let i = 0; i < 100; i += 1) recorder.record(rolled({ reason: `R${i}` }));
    recorder.record(rolled({ about: about('v') }));
    await recorder.idle();
    expect(kube.writes).toHaveLength(26);
    await clock.advance(3 * MINUTE);
    for (let i = 100; i < 200; i += 1) recorder.record(rolled({ reason: `R${i}` }));
    await recorder.idle();
    expect(kube.writes).toHaveLength(29);
  });

  test('a server that fails gets three attempts, one that refuses gets one', async () => {
    let code = 500;
    kube.intercept = () => {
      throw new KubeError({ code, reason: 'Test', message: '' });
    };
    recorder.record(rolled());
    await clock.advance(MINUTE);
    expect(kube.calls).toHaveLength(3);
    code = 403;
    recorder.record(rolled({ reason: 'Other' }));
    await clock.advance(MINUTE);
    expect(kube.calls).toHaveLength(4);
  });

  test('a stop writes what is noted, and gives up on a server that does not answer', async () => {
    for (const reason of ['A', 'B', 'C']) recorder.record(rolled({ reason }));
    await recorder.stop();
    expect(events()).toHaveLength(3);
    recorder.record(rolled({ reason: 'D' }));
    await recorder.idle();
    expect(events()).toHaveLength(3);

    const other = new EventRecorder({ kube, clock, logger: silentLogger }, { instance: 'op-2' });
    const before = kube.calls.length;
    kube.intercept = () => new Promise(() => undefined);
    for (const reason of ['A', 'B', 'C']) other.record(rolled({ reason }));
    const stopped = other.stop();
    await clock.advance(10_000);
    await stopped;
    expect(kube.calls.length - before).toBe(1);
  });
});
