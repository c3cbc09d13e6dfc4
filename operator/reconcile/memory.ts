/**
 * What the operator keeps of a cluster between two passes. All of it may be lost at any moment: it only
 * spares writes, or makes the operator wait for what it has just done.
 */
import type { KubeObject } from '../kube/types.ts';
import type { AppliedFacts, Expectation, Known } from '../plan/types.ts';

/** What a write answered, and what the cache may still have from before: by resourceVersion, null where it was absent. */
interface Answer {
  readonly object: KubeObject;
  readonly olderRvs: ReadonlySet<string | null>;
}

interface Memo extends AppliedFacts {
  /** Until the cache has moved past what it had before. */
  readonly answer: Answer | null;
}

const ZONE_MS = 10 * 60 * 1000;

export class ClusterMemory {
  readonly #memos = new Map<string, Memo>();
  readonly #absentSinceMs = new Map<string, number>();
  readonly #zones = new Map<string, { readonly zone: Known<string>; readonly atMs: number }>();
  /** Objects that are not wanted and that were looked for in vain, by key, at which generation. */
  readonly #soughtAt = new Map<string, number>();
  #statusAnswer: Answer | null = null;
  #transferRefusedMs: readonly number[] = [];
  open: Expectation | null = null;
  /** When the last status was written, and what of it does not count as news. */
  statusWrittenMs = Number.NEGATIVE_INFINITY;

  applied(): Readonly<Record<string, AppliedFacts>> {
    return Object.fromEntries(this.#memos);
  }

  noteApplied(
    key: string,
    done: { hash: string; object: KubeObject; replacedRv: string | null },
  ): void {
    const { hash, object, replacedRv } = done;
    const answer = answerAfter(this.#memos.get(key)?.answer ?? null, object, replacedRv);
    this.#memos.set(key, { hash, rv: rvOf(object) ?? '', answer });
  }

  noteRefused(key: string, refused: AppliedFacts & { readonly refused: object }): void {
    this.#memos.set(key, { ...refused, answer: null });
  }

  noteGone(key: string): void {
    const memo = this.#memos.get(key);
    if (memo !== undefined) this.#memos.set(key, { ...memo, answer: null });
  }

  /** The newer of what the cache has and what our last apply answered. */
  freshest(key: string, cached: KubeObject | null): KubeObject | null {
    const memo = this.#memos.get(key);
    if (memo === undefined || memo.answer === null) return cached;
    if (memo.answer.olderRvs.has(rvOf(cached))) return memo.answer.object;
    this.#memos.set(key, { ...memo, answer: null });
    return cached;
  }

  noteStatus(cluster: KubeObject, replacedRv: string | null): void {
    this.#statusAnswer = answerAfter(this.#statusAnswer, cluster, replacedRv);
  }

  /** As `freshest`: conditions judged by an older cluster would get another time, a write without a reason. */
  freshestCluster(cached: KubeObject): KubeObject {
    if (this.#statusAnswer?.olderRvs.has(rvOf(cached)) === true) return this.#statusAnswer.object;
    this.#statusAnswer = null;
    return cached;
  }

  wasSought(key: string, generation: number): boolean {
    return this.#soughtAt.get(key) === generation;
  }

  noteSought(key: string, generation: number): void {
    this.#soughtAt.set(key, generation);
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

/** While the cache lags behind several writes, it may have what any of them replaced. */
function answerAfter(before: Answer | null, object: KubeObject, replacedRv: string | null): Answer {
  return { object, olderRvs: new Set([...(before?.olderRvs ?? []), replacedRv]) };
}

const rvOf = (object: KubeObject | null): string | null => object?.metadata.resourceVersion ?? null;
