/**
 * One cell of the crash matrix at a time: a write is under way, the victim dies by SIGKILL exactly at
 * the named step, and whatever the client was told must be what the key says from then on.
 */
import { expect } from '@jest/globals';
import { present } from '../../services/common/assert.ts';
import type { Failpoint } from '../../services/common/failpoint.ts';
import { decodeCommand } from '../../services/metadata/command-codec.ts';
import { type Cluster, httpUrl } from './cluster.ts';
import { CrashPlanner, type Fired } from './crash-plan.ts';
import { calm, volumesOf } from './health.ts';
import { type Answer, call, get, put, randomValue } from './kv.ts';
import { scrape } from './scrape.ts';
import { putOnce, type UploadAnswer } from './upload.ts';
import { waitFor } from './wait-for.ts';

/**
 * Who dies. The leader is the client's gateway as well; the gateway leads nobody; the far leader is
 * that of another gateway's write, so the client still waits for its answer.
 */
export const VICTIMS = ['leader', 'gateway', 'volume', 'far leader'] as const;
export type Victim = (typeof VICTIMS)[number];

export interface Step {
  readonly name: string;
  readonly point: Failpoint;
  /** Which process has to be at the point for the step to be reached. */
  readonly seenAt: 'volume' | 'gateway' | 'leader' | 'follower';
}

/** The seven steps of a write, in order. */
export const STEPS: readonly Step[] = [
  { name: 'before the stage sync', point: 'volume.written', seenAt: 'volume' },
  { name: 'after the stage sync and before the vote', point: 'volume.staged', seenAt: 'volume' },
  { name: 'after all votes', point: 'gateway.voted', seenAt: 'gateway' },
  { name: 'after propose', point: 'raft.appended', seenAt: 'leader' },
  {
    name: 'after commit and before apply is seen',
    point: 'raft.committed',
    seenAt: 'gateway',
  },
  { name: 'before a Finalize', point: 'gateway.finalizing', seenAt: 'gateway' },
  { name: 'after a Finalize', point: 'gateway.finalized', seenAt: 'gateway' },
];

/** A leader that dies after propose may be the only one to know of it, or not. */
export const SECOND_LOG: Step = {
  name: 'after propose, when the entry is in a second log',
  point: 'raft.durable',
  seenAt: 'follower',
};

/** What the write finds and how its bytes travel. */
export const VARIANTS = ['replaces', 'creates', 'streams'] as const;
export type Variant = (typeof VARIANTS)[number];

export interface Cell {
  readonly victim: Victim;
  readonly step: Step;
  readonly variant: Variant;
  /** For steps that one write meets several times, from 1. */
  readonly nth: number;
}

type Names = Readonly<Record<Step['seenAt'] | 'victim', string>>;

const SMALL_BYTES = 700;
const STREAMED_BYTES = 3 * 1024 * 1024 + 17;
const READ_TIMEOUT_MS = 20_000;
const DEATH_TIMEOUT_MS = 20_000;

/** What a step says of the write: by then no proposal had left; it was committed; it was answered. */
const UNPROPOSED: readonly Failpoint[] = ['volume.written', 'volume.staged', 'gateway.voted'];
const COMMITTED: readonly Failpoint[] = [
  'raft.committed',
  'gateway.finalizing',
  'gateway.finalized',
];

export class CrashMatrix {
  readonly cluster: Cluster;
  readonly #planner: CrashPlanner;
  /** The value that each key must have from now on, and what is known of the write that was cut short. */
  readonly #ledger = new Map<
    string,
    { value: Buffer | null; txnId: string | null; applied: boolean }
  >();
  readonly #prepared: { readonly key: string; readonly before: Buffer }[] = [];
  #cells = 0;

  constructor(cluster: Cluster, planner: CrashPlanner) {
    this.cluster = cluster;
    this.#planner = planner;
  }

  /** Runs one cell from calm to calm, and writes the key once more. */
  async run(cell: Cell): Promise<void> {
    const { key, seen } = await this.runAlone(cell);
    const value = randomValue(SMALL_BYTES);
    const followed = await put(this.#anyUrl(), key, value);
    expect(followed.status).toBe(seen === null ? 201 : 200);
    await this.#sameEverywhere(key, value);
    this.#ledger.set(key, { ...present(this.#ledger.get(key), key), value });
  }

  /** Runs one cell and leaves its key as it is. */
  async runAlone(cell: Cell): Promise<{ readonly key: string; readonly seen: Buffer | null }> {
    const { cluster } = this;
    this.#cells += 1;
    await calm(this.cluster);
    const names = await this.#cast(cell.victim);
    const { key, before } = this.#subject(cell.variant);
    const wanted = randomValue(cell.variant === 'streams' ? STREAMED_BYTES : SMALL_BYTES);
    const gatewayUrl = this.#url(names.gateway);
    this.#arm(cell, names, key);
    const answer = await putOnce(gatewayUrl, key, wanted);
    await cluster.death(names.victim, DEATH_TIMEOUT_MS);
    const fired = this.#planner.fired();
    expect(fired).not.toBeNull();
    this.#judgeAnswer(cell, answer);
    const seen = await this.#survivorsRead(key, names.victim);
    cluster.restart(names.victim);
    await calm(this.cluster);
    const applied = this.#judgeState(cell, { answer, before, wanted, seen });
    await this.#sameEverywhere(key, seen);
    const txnId = txnIdOf(cell.step.point, fired, answer);
    if (txnId !== null) await this.#transactionAgrees(txnId, applied);
    this.#ledger.set(key, { value: seen, txnId, applied });
    return { key, seen };
  }

  /**
   * Writes the old values of so many cells, and waits until no Finalize of them is on its way: a cell
   * must not take it for one of its own write.
   */
  async prepare(cells: number): Promise<void> {
    await calm(this.cluster);
    for (let i = 0; i < cells; i += 1) {
      const row = { key: `old/${i}/`, before: randomValue(SMALL_BYTES) };
      expect((await put(this.#anyUrl(), row.key, row.before)).status).toBe(201);
      this.#prepared.push(row);
    }
    for (const { name, http } of volumesOf(this.cluster)) {
      await waitFor(`nothing new is staged on ${name}`, READ_TIMEOUT_MS, async () => {
        const now = (await scrape(httpUrl(http))).get('minikv_volume_staged_copies');
        return now === 0;
      });
    }
  }

  /** Every key still has the value that was written after its cell, and its cut write is decided. */
  async everythingStands(): Promise<void> {
    for (const [key, { value, txnId, applied }] of this.#ledger) {
      await this.#sameEverywhere(key, value);
      if (txnId === null) continue;
      expect([key, await this.#outcomeOf(txnId)]).toEqual([
        key,
        applied ? 'applied' : 'not_applied',
      ]);
    }
  }

  #subject(variant: Variant): { readonly key: string; readonly before: Buffer | null } {
    if (variant === 'creates') return { key: `new/${this.#cells}/`, before: null };
    const row = this.#prepared.pop();
    if (row === undefined) throw new Error('more cells than were prepared');
    return row;
  }

  async #cast(victim: Victim): Promise<Names> {
    const leader = await this.cluster.leader();
    const others = this.#names('coordinator').filter((name) => name !== leader);
    const volumes = this.#names('volume');
    const volume = volumes[this.#cells % volumes.length] ?? '';
    const follower = others[this.#cells % others.length] ?? '';
    const gateway = victim === 'leader' ? leader : follower;
    const victims = { leader, gateway, volume, 'far leader': leader };
    return { leader, follower, gateway, volume, victim: victims[victim] };
  }

  #arm({ victim, step, nth }: Cell, names: Names, key: string): void {
    // A coordinator may die while any of the volumes is at the step; a volume only at its own.
    const isAnywhere = step.seenAt === 'volume' && victim !== 'volume';
    this.#planner.arm({
      point: step.point,
      key,
      nth,
      at: isAnywhere ? null : this.cluster.pid(names[step.seenAt]),
      victim: this.cluster.pid(names.victim),
    });
  }

  /** A dead gateway answers nothing, unless it had answered before; everybody else's death is survived. */
  #judgeAnswer({ victim, step, variant }: Cell, { status, body }: UploadAnswer): void {
    const isGateway = victim === 'leader' || victim === 'gateway';
    // The other two may have committed the entry before the follower that is watched had it.
    const isEither = step === SECOND_LOG && status === 0;
    const isDead = isGateway && step.point !== 'gateway.finalized' && step !== SECOND_LOG;
    if (isDead || isEither) expect(status).toBe(0);
    else expect([status, body]).toEqual([variant === 'creates' ? 201 : 200, '']);
  }

  /** True when the write was applied, which the answer and the step must allow. */
  #judgeState(
    { step }: Cell,
    at: { answer: UploadAnswer; before: Buffer | null; wanted: Buffer; seen: Buffer | null },
  ): boolean {
    const { answer, before, wanted, seen } = at;
    const isNew = seen?.equals(wanted) === true;
    const isOld = before === null ? seen === null : seen?.equals(before) === true;
    expect(isNew || isOld).toBe(true);
    if (answer.status !== 0 || COMMITTED.includes(step.point)) expect(isNew).toBe(true);
    else if (UNPROPOSED.includes(step.point)) expect(isOld).toBe(true);
    return isNew;
  }

  async #survivorsRead(key: string, victim: string): Promise<Buffer | null> {
    const name = this.#names('coordinator').find((other) => other !== victim) ?? '';
    return this.#read(this.#url(name), key);
  }

  async #sameEverywhere(key: string, value: Buffer | null): Promise<void> {
    for (const url of this.cluster.urls) {
      const read = await this.#read(url, key);
      expect([url, read?.toString('hex')]).toEqual([url, value?.toString('hex')]);
    }
  }

  /** The value, null where there is none; what is merely not available is asked again. */
  async #read(url: string, key: string): Promise<Buffer | null> {
    let answer: Answer | null = null;
    await waitFor(`an answer for ${key} from ${url}`, READ_TIMEOUT_MS, async () => {
      answer = await get(url, key);
      return answer.status === 200 || answer.status === 404;
    });
    const { status, body } = answer as unknown as Answer;
    return status === 404 ? null : body;
  }

  async #transactionAgrees(txnId: string, applied: boolean): Promise<void> {
    const outcome = await this.#outcomeOf(txnId);
    if (applied) expect(outcome).toBe('applied');
    else expect(['pending', 'not_applied']).toContain(outcome);
  }

  async #outcomeOf(txnId: string): Promise<string> {
    const { status, body } = await call(`${this.#anyUrl()}/txn/${txnId}`);
    expect([status, body.toString()]).toEqual([200, expect.stringContaining(txnId)]);
    return (JSON.parse(body.toString()) as { outcome: string }).outcome;
  }

  #names(role: 'coordinator' | 'volume'): string[] {
    return this.cluster.rows.filter((row) => row.role === role).map(({ name }) => name);
  }

  #url(name: string): string {
    return httpUrl(this.cluster.row(name).http);
  }

  #anyUrl(): string {
    return this.cluster.urls[this.#cells % this.cluster.urls.length] ?? '';
  }
}

/** The transaction of the write, from whatever tells it; null where nothing does. */
function txnIdOf(point: Failpoint, fired: Fired | null, answer: UploadAnswer): string | null {
  const told = answer.headers['x-minikv-txn'];
  if (typeof told === 'string') return told;
  if (fired === null) return null;
  if (point === 'volume.written') return fired.about.subarray(0, 16).toString('hex');
  if (point !== 'gateway.voted' && !point.startsWith('raft.')) return null;
  const command = decodeCommand(fired.about);
  return command.kind === 'commit' ? command.txnId : null;
}
