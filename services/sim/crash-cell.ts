/**
 * One cell of the crash matrix of docs/testing.md: a write is under way, and exactly at the named step
 * a process dies, a machine loses power or is cut off, or leadership moves. Whatever the client was told
 * must be so from then on, and the rest of the cluster goes on serving before anything is mended.
 */
import { expect } from '@jest/globals';
import { present } from '../common/assert.ts';
import { utf8 } from '../common/bytes.ts';
import type { StoreFailpoint } from '../common/failpoint.ts';
import type { TxnId } from '../common/ids.ts';
import { decodeCommand } from '../metadata/command-codec.ts';
import { type Ledger, type Told, tell } from './ledger.ts';
import { leaderOf, settled, untilServing } from './serving.ts';
import { Trap } from './trap.ts';
import type { SimCluster, SimHost } from './types.ts';

/**
 * Whom it hits. The leader is the client's gateway as well; the gateway leads nobody; the far leader is
 * that of another gateway's write, so the client still waits for its answer.
 */
export const VICTIMS = ['leader', 'gateway', 'volume', 'far leader'] as const;
export type Victim = (typeof VICTIMS)[number];

export const FAULTS = ['SIGKILL', 'power loss', 'partition', 'leader change'] as const;
export type Fault = (typeof FAULTS)[number];

export interface Step {
  readonly name: string;
  readonly point: StoreFailpoint;
  /** Which process has to be at the point for the step to be reached. */
  readonly seenAt: 'volume' | 'gateway' | 'leader';
  /** A write meets it once for each copy. */
  readonly isEach?: boolean;
}

/** The seven steps of the matrix, in order. */
export const STEPS: readonly Step[] = [
  { name: 'before the stage sync', point: 'volume.written', seenAt: 'volume' },
  { name: 'after the stage sync and before the vote', point: 'volume.staged', seenAt: 'volume' },
  { name: 'after all votes', point: 'gateway.voted', seenAt: 'gateway' },
  { name: 'after propose', point: 'raft.appended', seenAt: 'leader' },
  { name: 'after commit and before apply is seen', point: 'raft.committed', seenAt: 'gateway' },
  { name: 'before each Finalize', point: 'gateway.finalizing', seenAt: 'gateway', isEach: true },
  { name: 'after each Finalize', point: 'gateway.finalized', seenAt: 'gateway', isEach: true },
];

export interface Cell {
  readonly victim: Victim;
  readonly step: Step;
  readonly fault: Fault;
}

/** What the write finds, how its bytes travel, and which of several meetings of the step is meant. */
export interface Variant {
  readonly before: string | null;
  readonly wanted: string;
  readonly nth: number;
}

/** By then no proposal had left; it was committed. */
const UNPROPOSED: readonly StoreFailpoint[] = ['volume.written', 'volume.staged', 'gateway.voted'];
const COMMITTED: readonly StoreFailpoint[] = [
  'raft.committed',
  'gateway.finalizing',
  'gateway.finalized',
];

/** Longer than any request may take, and than another leader is looked for. */
const TOLD_MS = 30_000;
const POLL_MS = 5;
/** A command that some log holds is decided by whoever leads by then. */
const DECIDED_MS = 5000;

interface Cast {
  readonly leader: SimHost;
  readonly gateway: SimHost;
  readonly volume: SimHost;
  readonly victim: SimHost;
  /** A coordinator that nothing happens to. */
  readonly bystander: SimHost;
}

export class CrashCells {
  readonly #cluster: SimCluster;
  readonly #ledger: Ledger;
  #count = 0;

  constructor(cluster: SimCluster, ledger: Ledger) {
    this.#cluster = cluster;
    this.#ledger = ledger;
  }

  /** From calm to calm; the key keeps what the cell made of it. */
  async run(cell: Cell, { before, wanted, nth }: Variant): Promise<void> {
    const cluster = this.#cluster;
    this.#count += 1;
    const key = `cell-${this.#count}`;
    const cast = this.#cast(cell.victim);
    if (before !== null) await this.#ledger.mustPut(cast.bystander, key, before);
    // Long enough for the Finalizes of the old value, which must not be taken for those of the new one.
    await cluster.run(500);
    const term = termOf(cast.leader);
    const trap = new Trap(
      cluster,
      {
        point: cell.step.point,
        isMeant: (host) => isAt(cell, cast, host),
        about: utf8(key),
        nth,
      },
      () => this.#strike(cell, cast),
    );
    const answer = tell(cluster, cast.gateway, { key, value: wanted });
    await cluster.runUntil(() => trap.hasSprung, TOLD_MS);
    expect(trap.hasSprung).toBe(true);
    const told = await settled(cluster, answer);
    judgeAnswer(cell, told, before === null);
    // Of what is not decided yet a read may still find the old value, and a later one the new.
    if (told.kind === 'unknown') await cluster.run(DECIDED_MS);
    // Nothing is mended yet: the others read and write all the same.
    const seen = await this.#ledger.read(cast.bystander, key);
    await this.#ledger.mustPut(cast.bystander, `beside-${this.#count}`, `beside ${this.#count}`);
    judgeState(cell, told, { before, wanted, seen });
    this.#ledger.expectValue(key, seen);
    if (cell.fault === 'leader change') await this.#expectChange(cell, cast, term);
    cluster.network.heal();
    cast.victim.start();
    await untilServing(cluster);
    await this.#ledger.stands();
    const txnId = txnIdOf(cell.step.point, trap.about, told);
    if (txnId !== null) await this.#outcomeAgrees(cast.bystander, txnId, seen === wanted);
  }

  #cast(victim: Victim): Cast {
    const { coordinators, volumes } = this.#cluster;
    const leader = present(leaderOf(this.#cluster), 'a leader');
    const [follower, bystander] = coordinators.filter((host) => host !== leader);
    const volume = present(volumes[this.#count % volumes.length], 'a volume');
    const gateway = victim === 'leader' ? leader : present(follower, 'a follower');
    const victims = { leader, gateway, volume, 'far leader': leader };
    return {
      leader,
      gateway,
      volume,
      victim: victims[victim],
      bystander: present(bystander, 'a bystander'),
    };
  }

  /** Within the step. */
  #strike({ victim: role, fault }: Cell, { victim, leader, gateway }: Cast): void {
    const cluster = this.#cluster;
    switch (fault) {
      case 'SIGKILL':
        victim.kill();
        return;
      case 'power loss':
        victim.cutPower();
        return;
      case 'partition':
        for (const { name } of cluster.hosts) {
          if (name === victim.name) continue;
          cluster.network.set(name, victim.name, { isCut: true });
          cluster.network.set(victim.name, name, { isCut: true });
        }
        return;
      case 'leader change':
        // The gateway becomes the leader in good order; else the leader stands still till there is another.
        if (role === 'gateway') this.#handOver(leader, gateway);
        else this.#holdUntilReplaced(leader);
        return;
    }
  }

  #handOver(leader: SimHost, to: SimHost): void {
    this.#cluster.after(0, () => {
      const transferred = leader.admin?.transferLeader({ to: to.name }, TOLD_MS);
      transferred?.catch(() => undefined);
    });
  }

  #holdUntilReplaced(leader: SimHost): void {
    leader.pause();
    const look = (): void => {
      const other = this.#cluster.coordinators.find((host) => host !== leader && leads(host));
      if (other === undefined) this.#cluster.after(POLL_MS, look);
      else leader.resume();
    };
    look();
  }

  async #expectChange({ victim }: Cell, { leader, gateway }: Cast, term: number): Promise<void> {
    const isChanged = (): boolean => {
      const now = leaderOf(this.#cluster);
      if (now === undefined || termOf(now) <= term) return false;
      return victim === 'gateway' ? now === gateway : now !== leader;
    };
    expect(await this.#cluster.runUntil(isChanged, TOLD_MS)).toBe(true);
  }

  async #outcomeAgrees(host: SimHost, txnId: TxnId, isApplied: boolean): Promise<void> {
    const gateway = present(host.gateway, 'a gateway');
    const answer = await settled(this.#cluster, gateway.transaction(txnId, TOLD_MS));
    const outcome = answer.kind === 'decided' ? answer.outcome.kind : answer.kind;
    expect(isApplied ? ['applied'] : ['pending', 'not-applied']).toContain(outcome);
  }
}

function isAt({ victim, step }: Cell, cast: Cast, host: SimHost): boolean {
  // A coordinator may be hit while any of the volumes is at the step; a volume only at its own.
  if (step.seenAt === 'volume' && victim !== 'volume') return host.role === 'volume';
  return host === cast[step.seenAt];
}

/** What a client is told must follow from who was hit; a value that is new must be said to be. */
function judgeAnswer({ victim, step, fault }: Cell, told: Told, isNew: boolean): void {
  const isGateway = victim === 'leader' || victim === 'gateway';
  const isDead = fault === 'SIGKILL' || fault === 'power loss';
  if (isGateway && isDead && step.point !== 'gateway.finalized') {
    expect(told).toEqual({ kind: 'unknown', code: 'CONNECTION_LOST' });
    return;
  }
  // Cut off from the others, a gateway learns of nothing more.
  if (isGateway && fault === 'partition' && !COMMITTED.includes(step.point)) return;
  expect(told).toMatchObject({ kind: 'acknowledged', isNew });
}

function judgeState(
  { victim, step, fault }: Cell,
  told: Told,
  at: { readonly before: string | null; readonly wanted: string; readonly seen: string | null },
): void {
  const is = at.seen === at.wanted ? 'new' : at.seen === at.before ? 'old' : 'halfway';
  const isGateway = victim === 'leader' || victim === 'gateway';
  const isDead = fault === 'SIGKILL' || fault === 'power loss';
  if (told.kind === 'acknowledged' || COMMITTED.includes(step.point)) expect(is).toBe('new');
  else if (told.kind === 'refused') expect(is).toBe('old');
  else if (isGateway && isDead && UNPROPOSED.includes(step.point)) expect(is).toBe('old');
  else expect(['new', 'old']).toContain(is);
}

/** The transaction of the write, from whatever tells it; null where nothing does. */
function txnIdOf(point: StoreFailpoint, about: Uint8Array, told: Told): TxnId | null {
  if (told.kind === 'acknowledged') return told.txnId;
  if (point !== 'gateway.voted' && !point.startsWith('raft.')) return null;
  const command = decodeCommand(about);
  return command.kind === 'commit' ? command.txnId : null;
}

const leads = ({ admin }: SimHost): boolean => admin?.status().role === 'leader';
const termOf = ({ admin }: SimHost): number => admin?.status().term ?? 0;
