/**
 * Brings faults about and undoes them. Each runs alone beside the others; what links do is always the
 * sum of the faults in force. Invariant: once `heal` has resolved, nothing of any fault is left.
 */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { waitFor } from '../harness/wait-for.ts';
import { decay, endBefore } from './decay.ts';
import type { Trouble } from './link-proxy.ts';
import { CLIENTS, type Cut, cutsBetween, type Network, others } from './network.ts';
import { COORDINATORS, type Fault } from './schedule.ts';
import type { Site } from './site.ts';

/** A fault as it came to pass. */
export interface Passed {
  readonly fault: Fault;
  readonly startMs: number;
  endMs: number;
  /** What exactly was done; null: nothing that could be done now. */
  told: string | null;
}

const READY_TIMEOUT_MS = 60_000;
/** Of a full disk, in turn: a rest below the reserve, or not a byte. */
const LEFT_BYTES = [8 * 1024 * 1024, 0];
const CLOCK_JUMPS_S = [-86_400, -3600, -5, 5, 3600, 86_400, 30 * 86_400];
const DESCRIPTORS_MAX = 4;

export class Nemesis {
  readonly passed: Passed[] = [];
  readonly #site: Site;
  readonly #network: Network;
  readonly #say: (line: string) => void;
  readonly #cuts = new Map<number, readonly Cut[]>();
  readonly #troubles = new Map<number, readonly [string, Trouble]>();
  readonly #running = new Set<Promise<void>>();
  readonly #failures: string[] = [];
  #active = 0;
  #quietSinceMs = performance.now();

  constructor(site: Site, network: Network, say: (line: string) => void) {
    this.#site = site;
    this.#network = network;
    this.#say = say;
  }

  /** Milliseconds without any fault; 0 while there is one. */
  get quietMs(): number {
    return this.#active > 0 ? 0 : performance.now() - this.#quietSinceMs;
  }

  /** Faults that could not be brought about or undone: the harness is at fault then. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** Begins a fault, which ends by itself. */
  start(fault: Fault): void {
    const row: Passed = { fault, startMs: performance.now(), endMs: Infinity, told: '' };
    this.passed.push(row);
    this.#active += 1;
    const running = this.#befall(fault)
      .then((told) => {
        row.told = told;
      })
      .catch((error: unknown) => {
        this.#failures.push(`${describe(fault)}: ${String(error)}`);
        this.#say(`! ${describe(fault)}: ${String(error)}`);
      })
      .finally(() => {
        row.endMs = performance.now();
        this.#active -= 1;
        this.#quietSinceMs = row.endMs;
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  /** Resolves once every fault that has begun is over and every process answers. */
  async heal(): Promise<void> {
    await Promise.all(this.#running);
    this.#site.startAll();
    await this.#site.ready(READY_TIMEOUT_MS);
  }

  async #befall(fault: Fault): Promise<string | null> {
    this.#say(`+ ${describe(fault)}`);
    const told = await this.#act(fault);
    const what = told === null ? ': nothing to do it to' : told === '' ? '' : `: ${told}`;
    this.#say(`- ${describe(fault)}${what}`);
    return told;
  }

  #act(fault: Fault): Promise<string | null> {
    const { kind, names } = fault;
    const [name = ''] = names;
    switch (kind) {
      case 'kill-one':
      case 'kill-majority':
      case 'kill-all':
        return this.#kill(fault);
      case 'pause':
        return this.#pause(fault, name);
      case 'partition':
      case 'one-way':
      case 'client-cut':
        return this.#cut(fault, cutsOf(fault));
      case 'leader-apart':
        return this.#partLeader(fault);
      case 'slow':
      case 'reset':
      case 'half-open':
        return this.#trouble(fault, kind);
      case 'disk-full':
        return this.#fill(fault, name);
      case 'damage':
        return this.#decay(fault, name);
      case 'clock':
        return this.#turnClock(fault, name);
      case 'descriptors':
        return this.#starve(fault, name);
      case 'rolling':
        return this.#roll(names);
    }
  }

  async #kill({ names, lengthMs }: Fault): Promise<string> {
    await Promise.all(names.map((name) => this.#site.kill(name, 'SIGKILL')));
    await pause(lengthMs);
    for (const name of names) this.#site.start(name);
    await this.#back(names);
    return '';
  }

  async #pause({ lengthMs }: Fault, name: string): Promise<string> {
    this.#site.signal(name, 'SIGSTOP');
    await pause(lengthMs);
    this.#site.signal(name, 'SIGCONT');
    return `${lengthMs} ms`;
  }

  async #cut({ id, lengthMs }: Fault, cuts: readonly Cut[]): Promise<string> {
    this.#cuts.set(id, cuts);
    await this.#setLinks();
    await pause(lengthMs);
    this.#cuts.delete(id);
    await this.#setLinks();
    return `${lengthMs} ms`;
  }

  async #partLeader(fault: Fault): Promise<string | null> {
    const leader = await this.#site.leader();
    if (leader === null) return null;
    const peers = COORDINATORS.filter((name) => name !== leader);
    const told = await this.#cut(fault, cutsBetween([leader], peers));
    return `${leader}, ${told}`;
  }

  async #trouble({ id, lengthMs, draw }: Fault, trouble: Trouble): Promise<string> {
    const { troubled } = this.#network;
    const name = troubled[draw % troubled.length] ?? '';
    this.#troubles.set(id, [name, trouble]);
    await this.#setLinks();
    await pause(lengthMs);
    this.#troubles.delete(id);
    await this.#setLinks();
    return `links to ${name}, ${lengthMs} ms`;
  }

  #setLinks(): Promise<void> {
    return this.#network.set(
      new Set([...this.#cuts.values()].flat()),
      new Map(this.#troubles.values()),
    );
  }

  async #fill({ lengthMs, draw }: Fault, name: string): Promise<string> {
    const path = join(this.#site.diskOf(name), 'ballast');
    const leftBytes = LEFT_BYTES[draw % LEFT_BYTES.length] ?? 0;
    await fillUp(path, leftBytes);
    await pause(lengthMs);
    await rm(path);
    await this.#back([name]);
    return `${leftBytes} bytes left for ${lengthMs} ms`;
  }

  async #decay(fault: Fault, name: string): Promise<string | null> {
    const { file, draw, lengthMs } = fault;
    if (file === undefined) return null;
    await this.#site.kill(name, endBefore(file));
    const told = await decay(this.#site.row(name).dataDir, file, draw);
    await pause(lengthMs);
    this.#site.start(name);
    await this.#back([name]);
    return told;
  }

  async #turnClock({ lengthMs, draw }: Fault, name: string): Promise<string> {
    const seconds = CLOCK_JUMPS_S[draw % CLOCK_JUMPS_S.length] ?? 0;
    await this.#site.turnClock(name, seconds);
    await pause(lengthMs);
    await this.#site.turnClock(name, 0);
    return `${seconds} s`;
  }

  async #starve({ lengthMs, draw }: Fault, name: string): Promise<string> {
    const more = draw % DESCRIPTORS_MAX;
    await this.#site.limitDescriptors(name, more);
    await pause(lengthMs);
    await this.#site.limitDescriptors(name, null);
    await this.#back([name]);
    return `${more} more for ${lengthMs} ms`;
  }

  async #roll(names: readonly string[]): Promise<string> {
    for (const name of names) {
      await this.#site.kill(name, 'SIGTERM');
      this.#site.start(name);
      await this.#back([name]);
    }
    return '';
  }

  /** The processes answer again; ready they may only be when others are too. */
  async #back(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await waitFor(`${name} answers`, READY_TIMEOUT_MS, () => this.#site.isAlive(name));
    }
  }
}

export const describe = ({ id, kind, names, file }: Fault): string =>
  `#${id} ${kind} ${names.join(' ')}${file === undefined ? '' : ` ${file}`}`;

function cutsOf({ kind, names, draw }: Fault): readonly Cut[] {
  if (kind === 'client-cut') return cutsBetween([CLIENTS], names);
  const rest = others(names);
  // Clients stand on the larger side, or on both.
  if (kind === 'partition') {
    return cutsBetween(names, draw % 2 === 0 ? rest : [...rest, CLIENTS]);
  }
  const [name = ''] = names;
  return rest.map((other): Cut => (draw % 2 === 0 ? `${name}>${other}` : `${other}>${name}`));
}

/** Writes a file until the file system has only so many bytes left. */
async function fillUp(path: string, leftBytes: number): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (let piece = Buffer.alloc(1024 * 1024); piece.length > 0; ) {
      try {
        await file.write(piece);
      } catch (error) {
        if (!(error instanceof Error) || !error.message.includes('ENOSPC')) throw error;
        piece = piece.subarray(0, Math.floor(piece.length / 2));
      }
    }
    const { size } = await file.stat();
    if (leftBytes > 0) await file.truncate(Math.max(0, size - leftBytes));
  } finally {
    await file.close();
  }
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
