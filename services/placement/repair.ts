/**
 * One step towards the wanted copies of one value. Bad and lost copies are replaced, missing ones
 * added, excess ones given up; the plan names disks only, and the replicated state decides whether
 * the move still fits. A disk that is merely away is waited for, as its bytes are still good.
 */
import type { DiskId, ShardId } from '../common/ids.ts';
import { preference, type ZonedDisk, zoneOf } from './replicas.ts';

/** `away`: not heard at present. `bad`: reported absent or damaged. `lost`: its disk is gone for good. */
export type CopyCondition = 'good' | 'away' | 'bad' | 'lost';

export interface KnownCopy {
  readonly disk: DiskId;
  readonly condition: CopyCondition;
}

export interface RepairDisk extends ZonedDisk {
  /** Heard now and accepting writes. */
  readonly isLive: boolean;
  /** Away for a short while, on purpose: its place is kept free. */
  readonly isAwaited: boolean;
}

export type RepairStep =
  /** Copy from one of `sources` to `target`; `replaces` is the copy that it stands in for. */
  | {
      readonly kind: 'copy';
      readonly sources: readonly DiskId[];
      readonly target: DiskId;
      readonly replaces: DiskId | null;
    }
  /** More good copies than wanted: give this one up. */
  | { readonly kind: 'release'; readonly disk: DiskId }
  /** Work to do, but a disk has to come back first. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'whole' };

export interface RepairQuestion {
  readonly shard: ShardId;
  readonly copies: readonly KnownCopy[];
  /** Active disks, live or not. */
  readonly disks: readonly RepairDisk[];
  readonly want: number;
}

/** The next step for this value. */
export function planRepair(question: RepairQuestion): RepairStep {
  const { copies, want } = question;
  const sound = copies.filter(({ condition }) => condition === 'good' || condition === 'away');
  const broken = copies.find(({ condition }) => condition === 'bad' || condition === 'lost');
  if (broken === undefined && copies.length === want) return { kind: 'whole' };
  if (sound.length >= want) return release(question, broken);
  const sources = copies.filter(({ condition }) => condition === 'good').map(({ disk }) => disk);
  const target = targetOf(question, broken);
  if (sources.length === 0 || target === undefined) return { kind: 'wait' };
  return { kind: 'copy', sources, target, replaces: broken?.disk ?? null };
}

/** Enough sound copies: a broken one goes first, else the one least wanted by the shard. */
function release(question: RepairQuestion, broken: KnownCopy | undefined): RepairStep {
  if (broken !== undefined) return { kind: 'release', disk: broken.disk };
  const held = new Set(question.copies.map(({ disk }) => disk));
  const order = preference(
    question.shard,
    question.disks.filter(({ disk }) => held.has(disk)),
  );
  const last = order.at(-1);
  return last === undefined ? { kind: 'wait' } : { kind: 'release', disk: last.disk };
}

/**
 * The most wanted disk that may take the copy, in a zone without one where possible. A bad copy may
 * be replaced on its own disk. An awaited disk keeps its place: none other is filled instead of it.
 */
function targetOf(question: RepairQuestion, broken: KnownCopy | undefined): DiskId | undefined {
  const kept = question.copies.filter((copy) => copy !== broken);
  const keptDisks = new Set(kept.map(({ disk }) => disk));
  const keptZones = new Set(
    question.disks.filter(({ disk }) => keptDisks.has(disk)).map((disk) => zoneOf(disk)),
  );
  const free = preference(
    question.shard,
    question.disks.filter(({ disk }) => !keptDisks.has(disk)),
  ).filter((disk) => disk.isLive || disk.isAwaited);
  const best = free.find((disk) => !keptZones.has(zoneOf(disk))) ?? free[0];
  return best?.isLive === true ? best.disk : undefined;
}
