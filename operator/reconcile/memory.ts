/**
 * What the operator keeps of a cluster between two passes. All of it may be lost at any moment: it only
 * spares writes, or makes the operator wait for what it has just done.
 */
import type { KubeObject } from '../kube/types.ts';
import type { AppliedFacts, Expectation, Known } from '../plan/types.ts';

interface Memo extends AppliedFacts {
  /** What the apply answered, until the cache has moved past what it had before. */
  readonly object: KubeObject | null;
  readonly replacedRv: string | null;
}

const ZONE_MS = 10 * 60 * 1000;

export class ClusterMemory {
  readonly #memos = new Map<string, Memo>();
  readonly #absentSinceMs = new Map<string, number>();
  readonly #zones = new Map<string, { readonly zone: Known<string>; readonly atMs: number }>();
  /** Objects of kinds without a cache that were looked for, by key, at which generation. */
  readonly #soughtAt = new Map<string, number>();
  /** The cluster as the last write of its status answered, and what the cache may still have from before. */
  #written: { readonly cluster: KubeObject; readonly olderRvs: ReadonlySet<string> } | null = null;
  #transferRefusedMs: readonly number[] = [];
  open: Expectation | null = null;
  /** When the last status was written, and what of it does not count as news. */
  statusWrittenMs = Number.NEGATIVE_INFINITY;

  applied(): Readonly<Record<string, AppliedFacts>> {
    return Object.fromEntries(this.#memos);
  }

  has(key: string): boolean {
    return this.#memos.has(key);
  }

  noteApplied(
    key: string,
    done: { hash: string; object: KubeObject; replacedRv: string | null },
  ): void {
    const rv = done.object.metadata.resourceVersion ?? '';
    this.#memos.set(key, { ...done, rv });
  }

  noteRefused(key: string, refused: AppliedFacts & { readonly refused: object }): void {
    this.#memos.set(key, { ...refused, object: null, replacedRv: null });
  }

  noteGone(key: string): void {
    const memo = this.#memos.get(key);
    if (memo !== undefined) this.#memos.set(key, { ...memo, object: null, replacedRv: null });
  }

  /** The newer of what the cache has and what our last apply answered. */
  freshest(key: string, cached: KubeObject | null): KubeObject | null {
    const memo = this.#memos.get(key);
    if (memo?.object === null || memo === undefined) return cached;
    const rv = cached?.metadata.resourceVersion ?? null;
    if (rv === memo.replacedRv) return memo.object;
    this.#memos.set(key, { ...memo, object: null });
    return cached;
  }

  /** `cached`: what the cache had when the pass began that has written. */
  noteStatus(cluster: KubeObject, cached: KubeObject): void {
    const before = this.#written?.olderRvs ?? [];
    const replaced = [cached, ...(this.#written === null ? [] : [this.#written.cluster])];
    this.#written = { cluster, olderRvs: new Set([...before, ...replaced.map(rvOf)]) };
  }

  /**
   * The newer of what the cache has of the cluster and what our last write answered: conditions judged by an
   * older one would get another time, which is a write without a reason.
   */
  freshestCluster(cached: KubeObject): KubeObject {
    if (this.#written?.olderRvs.has(rvOf(cached)) === true) return this.#written.cluster;
    this.#written = null;
    return cached;
  }

  noteSought(key: string, generation: number): boolean {
    const isNew = this.#soughtAt.get(key) !== generation;
    this.#soughtAt.set(key, generation);
    return isNew;
  }

  absentSince(absent: readonly string[], nowMs: number): Readonly<Record<string, number>> {
    for (const name of this.#absentSinceMs.keys()) {
      if (!absent.includes(name)) this.#absentSinceMs.delete(name);
    }
    for (const name of absent) {
      if (!this.#absentSinceMs.has(name)) this.#absentSinceMs.set(name, nowMs);
    }
    return Object.fromEntries(this.#absentSinceMs);
  }

  zoneOf(node: string, nowMs: number): Known<string> | null {
    const found = this.#zones.get(node);
    return found === undefined || nowMs - found.atMs >= ZONE_MS ? null : found.zone;
  }

  noteZone(node: string, zone: Known<string>, nowMs: number): void {
    this.#zones.set(node, { zone, atMs: nowMs });
  }

  get transferRefusedMs(): readonly number[] {
    return this.#transferRefusedMs;
  }

  noteTransferRefused(nowMs: number): void {
    this.#transferRefusedMs = [...this.#transferRefusedMs.slice(-9), nowMs];
  }
}

const rvOf = ({ metadata }: KubeObject): string => metadata.resourceVersion ?? '';
