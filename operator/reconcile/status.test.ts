/** What is written of a change while it does not go through, and how often anything is written at all. */
import { beforeEach, expect, test } from '@jest/globals';
import { fieldOf, listOf } from '../kube/json.ts';
import { KubeError } from '../kube/kube-error.ts';
import { LoopWorld } from './testing/loop-world.ts';

let world: LoopWorld;

beforeEach(async () => {
  world = new LoopWorld();
  world.create();
  await world.until(world.isRunning);
});

const stampsOf = (types: (type: unknown) => boolean): ReadonlySet<unknown> =>
  new Set(
    listOf(fieldOf(world.status, 'conditions'))
      .filter((condition) => types(fieldOf(condition, 'type')))
      .map((condition) => fieldOf(condition, 'observedGeneration')),
  );

const written = (): number =>
  world.kube.writes.filter(({ resource }) => resource === 'minikvclusters/status').length;

async function looks(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    await world.turn();
    await world.operator().catch(() => undefined);
  }
}

/** All applies of StatefulSets fail, as while a webhook is down. */
function failSets(): void {
  world.kube.intercept = ({ verb, resource }) => {
    if (verb !== 'apply' || resource !== 'statefulsets') return undefined;
    throw new KubeError({ code: 500, reason: 'InternalError', message: 'webhook is down' });
  };
}

test('while the templates cannot be written nothing of the change is said to be so', async () => {
  const before = world.cr.metadata.generation;
  failSets();
  world.change({ image: 'minikv:0.2.0' });
  const first = written();
  await looks(20);
  expect(world.condition('Progressing')).toBe('True Applying');
  expect(world.status).toMatchObject({
    phase: 'Updating',
    image: 'minikv:0.1.0',
    observedGeneration: before,
  });
  expect(stampsOf((type) => type !== 'Suspended')).toEqual(new Set([before]));
  expect(written() - first).toBe(1);
  world.kube.intercept = null;
  await world.until(world.isRunning);
  const { generation } = world.cr.metadata;
  expect(world.status).toMatchObject({ image: 'minikv:0.2.0', observedGeneration: generation });
  expect(stampsOf(() => true)).toEqual(new Set([generation]));
  expect(world.condition('Progressing')).toBe('False Settled');
});

test.each([
  ['at once', 1, 2],
  // One more for the image of the new templates.
  ['a look later', 2, 3],
])('taken up %s: nothing is settled before the roll', async (_when, looksBefore, writes) => {
  world.change({ image: 'minikv:0.2.0' });
  const first = written();
  const seen: string[] = [];
  for (let i = 0; i < 30 && seen.at(-1) !== 'True RollingVolumes'; i += 1) {
    if (i >= looksBefore) await world.turn();
    await world.operator();
    seen.push(world.condition('Progressing'));
  }
  expect(seen.at(-1)).toBe('True RollingVolumes');
  expect(new Set(seen.slice(0, -1))).toEqual(new Set(['True Applying']));
  expect(written() - first).toBe(writes);
});

test('a change that rolls nothing costs two', async () => {
  world.change({ config: { logLevel: 'debug' } });
  const first = written();
  await looks(10);
  expect(world.condition('Progressing')).toBe('False Settled');
  expect(stampsOf(() => true)).toEqual(new Set([world.cr.metadata.generation]));
  expect(written() - first).toBe(2);
});

test('a suspension is so at once, also for what waits behind it', async () => {
  const before = world.cr.metadata.generation;
  world.change({ maintenance: { suspended: true }, image: 'minikv:0.2.0' });
  await looks(3);
  const { generation } = world.cr.metadata;
  expect(stampsOf((type) => type === 'Suspended')).toEqual(new Set([generation]));
  expect(stampsOf((type) => type !== 'Suspended')).toEqual(new Set([before]));
  expect(world.status).toMatchObject({ image: 'minikv:0.1.0', observedGeneration: before });
});
