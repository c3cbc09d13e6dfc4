/**
 * Draws the faults of a run, swarm fashion: each seed has its own subset of kinds and its own rates, so that
 * kinds meet in combinations that nobody thought of. What may be done at a moment is the atlas' business.
 */
import type { Draw } from './draw.ts';
import type { DamagedFiles, Fault, FaultAction, FaultKind, Link } from './fault-types.ts';

export interface FaultScope {
  readonly coordinators: readonly string[];
  readonly volumes: readonly string[];
  /** No fault begins outside of these. */
  readonly fromMs: number;
  readonly toMs: number;
}

const KINDS: readonly FaultKind[] = [
  'delay',
  'partition',
  'flaky',
  'reset',
  'kill',
  'power-cut',
  'pause',
  'restart',
  'wipe',
  'slow-disk',
  'disk-error',
  'full-disk',
  'damage',
  'transfer',
];
/** Mean time between two faults of one kind: drawn for each seed between these. */
const EVERY_MS_MIN = 700;
const EVERY_MS_MAX = 5000;
const FAULTS_MAX = 60;

/** Faults in the order of their times; at least five of them unless the time is too short. */
export function drawFaults(draw: Draw, scope: FaultScope): readonly Fault[] {
  const kinds = KINDS.filter(() => draw.chance(0.5));
  const chosen = kinds.length < 2 ? draw.shuffled(KINDS).slice(0, 4) : kinds;
  const timed: { readonly atMs: number; readonly action: FaultAction }[] = [];
  for (const kind of chosen) {
    const everyMs = draw.between(EVERY_MS_MIN, EVERY_MS_MAX);
    let atMs = scope.fromMs + draw.exponential(everyMs / 2);
    while (atMs < scope.toMs) {
      timed.push({ atMs, action: drawAction(draw, kind, scope) });
      atMs += 1 + draw.exponential(everyMs);
    }
  }
  return timed
    .sort((a, b) => a.atMs - b.atMs)
    .slice(0, FAULTS_MAX)
    .map(({ atMs, action }, id) => ({ ...action, id, atMs }));
}

function drawAction(draw: Draw, kind: FaultKind, scope: FaultScope): FaultAction {
  const all = [...scope.coordinators, ...scope.volumes];
  switch (kind) {
    case 'delay': {
      // A clogged link holds everything for seconds.
      const isClog = draw.chance(0.25);
      return {
        kind,
        links: drawLinks(draw, all),
        delayMsMin: isClog ? draw.between(500, 5000) : draw.between(0, 30),
        delayMsMean: isClog ? 1 : draw.between(5, 100),
        forMs: isClog ? draw.between(200, 5000) : draw.between(500, 10_000),
      };
    }
    case 'partition':
      return drawPartition(draw, scope);
    case 'flaky':
      return {
        kind,
        links: drawLinks(draw, all),
        resetChance: draw.pick([0.001, 0.01, 0.05, 0.2]),
        forMs: draw.between(300, 6000),
      };
    case 'reset':
      return { kind, host: draw.pick(all) };
    case 'kill':
    case 'power-cut':
      return { kind, hosts: drawVictims(draw, scope), downMs: drawDownMs(draw) };
    case 'pause':
      return { kind, host: draw.pick(all), forMs: draw.pick([20, 100, 400, 1500, 4000, 9000]) };
    case 'restart':
      return { kind, host: draw.pick(all), downMs: draw.between(1, 2000) };
    case 'wipe':
      return { kind, host: draw.pick(scope.volumes), downMs: draw.between(1, 2000) };
    case 'slow-disk':
      return {
        kind,
        host: draw.pick(all),
        meanMs: draw.pick([5, 20, 100, 300, 1000]),
        forMs: draw.between(300, 8000),
      };
    case 'disk-error':
      return {
        kind,
        host: draw.pick(all),
        call: draw.pick(['read', 'read', 'write', 'sync', 'sync', 'syncFolder', 'rename', 'open']),
      };
    case 'full-disk':
      return {
        kind,
        host: draw.pick(all),
        freeBytes: draw.pick([0, 100, 4096, 100_000, 50_000_000]),
        forMs: draw.between(500, 5000),
      };
    case 'damage':
      return drawDamage(draw, scope);
    case 'transfer':
      return { kind };
  }
}

function drawDamage(draw: Draw, scope: FaultScope): FaultAction {
  const isVolume = draw.chance(0.6);
  const files: DamagedFiles = isVolume
    ? draw.pick(['segments', 'segments', 'segments', 'index'])
    : draw.pick(['log', 'log', 'state']);
  return {
    kind: 'damage',
    host: draw.pick(isVolume ? scope.volumes : scope.coordinators),
    files,
    how: draw.chance(0.75) ? 'flip' : 'truncate',
    file: draw.share(),
    place: draw.share(),
    bit: draw.below(8),
    downMs: draw.between(1, 2000),
  };
}

const drawDownMs = (draw: Draw): number =>
  draw.chance(0.3) ? draw.between(1, 100) : draw.between(100, 6000);

/** One host, some, a majority of the coordinators, or all there is. */
function drawVictims(draw: Draw, { coordinators, volumes }: FaultScope): readonly string[] {
  const all = [...coordinators, ...volumes];
  const wish = draw.below(10);
  if (wish < 5) return [draw.pick(all)];
  if (wish < 7) return draw.shuffled(all).slice(0, draw.between(1, all.length));
  if (wish === 7) {
    return draw.shuffled(coordinators).slice(0, Math.floor(coordinators.length / 2) + 1);
  }
  return wish === 8 ? volumes : all;
}

function drawLinks(draw: Draw, all: readonly string[]): readonly Link[] {
  const one = draw.pick(all);
  const links = linksBetween(all, all);
  const wish = draw.below(4);
  if (wish === 0) return links;
  if (wish === 1) return links.filter(([from, to]) => from === one || to === one);
  return links.filter(() => draw.chance(0.3));
}

function drawPartition(draw: Draw, { coordinators, volumes }: FaultScope): FaultAction {
  const all = [...coordinators, ...volumes];
  // Between coordinators alone, or through everything.
  const nodes = draw.chance(0.5) && coordinators.length > 1 ? coordinators : all;
  const mixed = draw.shuffled(nodes);
  const shape = draw.pick(['isolate', 'halves', 'ring', 'one-way', 'uniform'] as const);
  const forMs = draw.chance(0.3) ? draw.between(50, 500) : draw.between(500, 10_000);
  const cut = (links: readonly Link[]): FaultAction => ({ kind: 'partition', shape, links, forMs });
  const at = shape === 'isolate' ? 1 : draw.between(1, Math.max(1, mixed.length - 1));
  const [left, right] = [mixed.slice(0, at), mixed.slice(at)];
  switch (shape) {
    case 'isolate':
    case 'halves':
      return cut([...linksBetween(left, right), ...linksBetween(right, left)]);
    case 'one-way':
      return cut(linksBetween(left, right));
    case 'uniform':
      return cut(linksBetween(nodes, nodes).filter(() => draw.chance(0.3)));
    case 'ring':
      // Each reaches only its two neighbours.
      return cut(
        linksBetween(mixed, mixed).filter(([from, to]) => {
          const apart = Math.abs(mixed.indexOf(from) - mixed.indexOf(to));
          return apart > 1 && apart < mixed.length - 1;
        }),
      );
  }
}

const linksBetween = (from: readonly string[], to: readonly string[]): readonly Link[] =>
  from.flatMap((a) => to.filter((b) => b !== a).map((b): Link => [a, b]));
