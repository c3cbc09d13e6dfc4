/** Carries out the faults of a plan at their times, as far as the atlas admits them. */
import { GIB } from '../common/units.ts';
import type { Atlas } from './atlas.ts';
import type { DamagedFiles, Fault, FaultKind } from './fault-types.ts';
import type { LinkTable } from './links.ts';
import type { Supervisor } from './supervisor.ts';
import type { SimCluster, SimHost } from './types.ts';

export interface InjectorParts {
  readonly cluster: SimCluster;
  readonly atlas: Atlas;
  readonly links: LinkTable;
  readonly supervisor: Supervisor;
  readonly events: InjectorEvents;
}

export interface InjectorEvents {
  readonly injected: (fault: Fault, hosts: readonly string[]) => void;
  readonly transferWanted: () => void;
}

/** Sizes of files are remembered so often and for so long. */
const SAMPLE_EVERY_MS = 500;
/** What a coordinator's log had for so long stands below its witness: its loss is always found. */
const WITNESSED_AFTER_MS = 2500;
/** Bytes at the front of a file: its header, whose loss is the loss of the whole file. */
const FILES: Readonly<Record<DamagedFiles, RegExp>> = {
  segments: /\.seg$/,
  index: /index\.snapshot$/,
  log: /\/raft\/.*\d+\.\w+$/,
  state: /\/state\//,
};

type HostFault = Extract<
  Fault,
  { kind: 'pause' | 'wipe' | 'slow-disk' | 'disk-error' | 'full-disk' | 'damage' }
>;

interface Sample {
  readonly atMs: number;
  readonly sizes: ReadonlyMap<string, number>;
}

export class Injector {
  readonly counts = new Map<FaultKind, number>();
  /** Kinds that were drawn at a moment at which the atlas forbade them. */
  readonly refused = new Map<FaultKind, number>();
  readonly #parts: InjectorParts;
  readonly #samples = new Map<SimHost, Sample[]>();
  readonly #undoings = new Set<() => void>();
  #isOver = false;

  constructor(parts: InjectorParts) {
    this.#parts = parts;
  }

  start(faults: readonly Fault[]): void {
    for (const fault of faults) {
      this.#parts.cluster.after(fault.atMs, () => {
        if (!this.#isOver) this.#inject(fault);
      });
    }
    this.#sample();
  }

  /** Ends whatever is in force; nothing is injected any more. */
  end(): void {
    this.#isOver = true;
    for (const undo of [...this.#undoings]) undo();
    this.#parts.links.clear();
  }

  #inject(fault: Fault): void {
    const hosts = this.#parts.atlas.admit(fault);
    const counts = hosts.length === 0 ? this.refused : this.counts;
    counts.set(fault.kind, (counts.get(fault.kind) ?? 0) + 1);
    if (hosts.length === 0) return;
    this.#parts.events.injected(fault, hosts);
    const struck = this.#parts.cluster.hosts.filter(({ name }) => hosts.includes(name));
    this.#carryOut(fault, struck);
  }

  #carryOut(fault: Fault, struck: readonly SimHost[]): void {
    const { links, supervisor, cluster, events } = this.#parts;
    switch (fault.kind) {
      case 'delay': {
        const { delayMsMin, delayMsMean } = fault;
        this.#for(fault.forMs, links.add(fault.links, { delayMsMin, delayMsMean }));
        return;
      }
      case 'partition':
        this.#for(fault.forMs, links.add(fault.links, { isCut: true }));
        return;
      case 'flaky':
        this.#for(fault.forMs, links.add(fault.links, { resetChance: fault.resetChance }));
        return;
      case 'reset':
        for (const { name } of struck) cluster.network.resetAll(name);
        return;
      case 'kill':
      case 'power-cut':
        for (const host of struck) supervisor.takeDown(host, fault.kind, fault.downMs);
        return;
      case 'restart':
        for (const host of struck) supervisor.takeDown(host, 'stop', fault.downMs);
        return;
      case 'transfer':
        events.transferWanted();
        return;
      case 'pause':
      case 'wipe':
      case 'slow-disk':
      case 'disk-error':
      case 'full-disk':
      case 'damage':
        for (const host of struck) this.#strike(fault, host);
        return;
    }
  }

  #strike(fault: HostFault, host: SimHost): void {
    const { supervisor } = this.#parts;
    switch (fault.kind) {
      case 'pause':
        if (!host.isUp || host.isPaused) return;
        host.pause();
        this.#for(fault.forMs, () => host.resume());
        return;
      case 'wipe':
        supervisor.takeDown(host, 'kill', fault.downMs);
        host.disk.wipe();
        return;
      case 'slow-disk': {
        const usual = { ...USUAL_LATENCY };
        const { meanMs } = fault;
        host.disk.latency = { readMs: meanMs / 4, writeMs: meanMs / 4, syncMs: meanMs };
        this.#for(fault.forMs, () => {
          host.disk.latency = usual;
        });
        return;
      }
      case 'disk-error':
        host.disk.failNext(fault.call);
        return;
      case 'full-disk':
        host.disk.fill(fault.freeBytes);
        this.#for(fault.forMs, () => host.disk.fill(DISK_BYTES));
        return;
      case 'damage':
        supervisor.takeDown(host, 'kill', fault.downMs);
        this.#damage(fault, host);
        return;
    }
  }

  #damage(fault: Extract<Fault, { kind: 'damage' }>, host: SimHost): void {
    const oldEnough = this.#samples.get(host)?.findLast(({ atMs }) => {
      return atMs <= this.#parts.cluster.nowMs - WITNESSED_AFTER_MS;
    });
    const files = host.disk
      .files()
      .filter(({ path }) => FILES[fault.files].test(path))
      .map(({ path, sizeBytes }) => {
        const known = host.role === 'volume' ? sizeBytes : (oldEnough?.sizes.get(path) ?? 0);
        return { path, sizeBytes: Math.min(sizeBytes, known) };
      })
      .filter(({ sizeBytes }) => sizeBytes > 0);
    const file = files[Math.floor(fault.file * files.length)];
    if (file === undefined) return;
    const at = Math.floor(fault.place * file.sizeBytes);
    if (fault.how === 'flip') host.disk.flipBit(file.path, at, fault.bit);
    else host.disk.truncate(file.path, at);
  }

  #for(ms: number, undo: () => void): void {
    const once = (): void => {
      if (this.#undoings.delete(once)) undo();
    };
    this.#undoings.add(once);
    this.#parts.cluster.after(ms, once);
  }

  #sample(): void {
    const { cluster } = this.#parts;
    for (const host of cluster.coordinators) {
      const samples = this.#samples.get(host) ?? [];
      if (host.isUp) {
        const sizes = new Map(host.disk.files().map(({ path, sizeBytes }) => [path, sizeBytes]));
        samples.push({ atMs: cluster.nowMs, sizes });
      }
      if (samples.length > 20) samples.shift();
      this.#samples.set(host, samples);
    }
    cluster.after(SAMPLE_EVERY_MS, () => this.#sample());
  }
}

/** As much as a simulated disk has to begin with. */
const DISK_BYTES = 1024 * GIB;
const USUAL_LATENCY = { readMs: 0.1, writeMs: 0.05, syncMs: 1 } as const;
