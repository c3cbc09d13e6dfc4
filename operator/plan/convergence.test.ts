/**
 * Plans carried out on a world in miniature: with fair answers it comes to rest, from anywhere, and on
 * the way no rule is broken (the world throws). Crashes cut passes short, answers go missing, memory is
 * lost.
 */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { plan } from './plan.ts';
import { World } from './testing/world.ts';
import type { Plan } from './types.ts';

const PASSES_MAX = 600;

const isDone = (p: Plan): boolean =>
  p.applies.length + p.calls.length === 0 &&
  p.broken === null &&
  p.disruptive === null &&
  p.identity === null &&
  p.status.phase === 'Running';

/** Seconds until nothing is left to do. */
function settle(world: World): number {
  for (let seconds = 1; seconds <= PASSES_MAX; seconds += 1) {
    world.tick();
    const p = plan(world.snapshot());
    world.act(p);
    if (isDone(p)) return seconds;
  }
  const p = plan(world.snapshot());
  const { conditions } = p.status;
  throw new Error(`never settled: ${JSON.stringify({ conditions, requeue: p.requeueMs })}`);
}

function pass(world: World, seconds: number): void {
  for (let i = 0; i < seconds; i += 1) {
    world.tick();
    world.act(plan(world.snapshot()));
  }
}

const imagesOf = (world: World): ReadonlySet<string> =>
  new Set([...world.pods.values()].map(({ image }) => image));

describe('stories', () => {
  test('creation', () => {
    const world = new World();
    expect(settle(world)).toBeLessThan(60);
    expect(world).toMatchObject({ bootstraps: 3, disruptions: 0 });
    expect(world.ids.size).toBe(1);
  });

  test('an image roll: all pods, one hand-over of leadership', () => {
    const world = new World();
    settle(world);
    world.change({ image: 'minikv:0.2.0' });
    settle(world);
    expect(imagesOf(world)).toEqual(new Set(['minikv:0.2.0']));
    expect(world.disruptions).toBe(7);
  });

  test('a bad image stops after one pod; the right one mends it', () => {
    const world = new World();
    settle(world);
    world.change({ image: 'bad' });
    expect(() => settle(world)).toThrow('never settled');
    expect([...world.pods.values()].filter(({ image }) => image === 'bad')).toHaveLength(1);
    world.change({ image: 'minikv:0.2.0' });
    settle(world);
    expect(imagesOf(world)).toEqual(new Set(['minikv:0.2.0']));
  });

  test('a bad image from the first hour', () => {
    const world = new World({ image: 'bad' });
    expect(() => settle(world)).toThrow('never settled');
    world.change({ image: 'minikv:0.1.0' });
    settle(world);
    expect(world.bootstraps).toBe(3);
  });

  test('more volumes, then fewer: held', () => {
    const world = new World();
    settle(world);
    world.change({ volumes: { replicas: 5 } });
    settle(world);
    expect(world.pods.size).toBe(8);
    world.change({});
    settle(world);
    expect(world.pods.size).toBe(8);
    expect(world.disruptions).toBe(0);
  });

  test.each([6, 30])('%d volumes for five nodes, put back: an image rolls again', (replicas) => {
    const world = new World({ volumes: { replicas: 5 } });
    world.nodes = 5;
    settle(world);
    world.change({ volumes: { replicas } });
    pass(world, 30);
    expect(world.sets.volume).toMatchObject({ replicas });
    world.change({ image: 'minikv:0.2.0', volumes: { replicas: 5 } });
    settle(world);
    expect(world.sets.volume).toMatchObject({ replicas: 5 });
    expect(world.pods.size).toBe(8);
    expect(imagesOf(world)).toEqual(new Set(['minikv:0.2.0']));
  });

  test('a volume that found a node late stays, whatever is asked for by then', () => {
    const world = new World({ volumes: { replicas: 5 } });
    world.nodes = 5;
    settle(world);
    world.change({ volumes: { replicas: 7 } });
    pass(world, 30);
    world.nodes = 6;
    pass(world, 10);
    world.change({ volumes: { replicas: 5 } });
    settle(world);
    expect(world.sets.volume).toMatchObject({ replicas: 6 });
  });

  test('put back in the middle of a roll: the pods that were done go again, no other', () => {
    const world = new World();
    settle(world);
    world.change({ image: 'minikv:0.2.0' });
    for (let i = 0; world.disruptions < 2 && i < 200; i += 1) {
      world.tick();
      world.act(plan(world.snapshot()));
    }
    world.change({});
    settle(world);
    expect(imagesOf(world)).toEqual(new Set(['minikv:0.1.0']));
    expect(world.disruptions).toBe(3);
  });

  test('status lost over living pods: the same cluster is found again', () => {
    const world = new World();
    settle(world);
    const { clusterId } = world.status;
    world.status = {
      ...world.status,
      clusterId: null,
      origin: null,
      bootstrapped: false,
      conditions: {},
    };
    settle(world);
    expect(world.status).toMatchObject({ clusterId, origin: 'Adopted', bootstrapped: true });
    expect(world.bootstraps).toBe(3);
  });
});

type Turn =
  | { readonly kind: 'pass'; readonly steps: number; readonly silent: readonly string[] }
  | { readonly kind: 'forget' }
  | { readonly kind: 'wait'; readonly seconds: number }
  | { readonly kind: 'kill'; readonly pod: number }
  | { readonly kind: 'nodes'; readonly nodes: number }
  | { readonly kind: 'spec'; readonly image: string; readonly volumes: number };

const turn: fc.Arbitrary<Turn> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('pass' as const),
      steps: fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 18 })),
      silent: fc.subarray(['cluster', 'demo-coordinator-0', 'demo-coordinator-2', 'demo-volume-1']),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: 'forget' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('wait' as const),
      seconds: fc.integer({ min: 1, max: 20 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), pod: fc.nat(7) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('spec' as const),
      image: fc.constantFrom('minikv:0.1.0', 'minikv:0.2.0', 'bad'),
      volumes: fc.integer({ min: 3, max: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('nodes' as const),
      nodes: fc.integer({ min: 3, max: 5 }),
    }),
  },
);

function take(world: World, one: Turn): void {
  switch (one.kind) {
    case 'pass':
      world.tick();
      world.act(plan(world.snapshot((name) => one.silent.includes(name))), one.steps);
      return;
    case 'forget':
      world.forget();
      return;
    case 'wait':
      for (let i = 0; i < one.seconds; i += 1) world.tick();
      return;
    case 'kill': {
      const pod = [...world.pods.values()][one.pod];
      if (pod !== undefined) pod.endsMs ??= world.nowMs + 2000;
      return;
    }
    case 'nodes':
      // A node that has a pod keeps it.
      world.nodes = Math.max(one.nodes, world.placed);
      return;
    case 'spec':
      world.change({ image: one.image, volumes: { replicas: one.volumes } });
  }
}

test('from anywhere it comes to rest under the last spec, with one id and one forming', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(turn, { maxLength: 60 }), (isFormed, turns) => {
      const world = new World();
      if (isFormed) settle(world);
      for (const one of turns) take(world, one);
      world.change({ image: 'minikv:0.3.0' });
      settle(world);
      const held = [...world.folders].filter(([, { disk }]) => disk > 0).map(([name]) => name);
      expect([...world.pods.keys()]).toEqual(expect.arrayContaining(held));
      expect(imagesOf(world)).toEqual(new Set(['minikv:0.3.0']));
      expect(world.ids.size).toBe(1);
    }),
    { numRuns: 30 },
  );
});
