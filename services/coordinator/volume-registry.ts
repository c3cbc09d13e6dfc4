/**
 * Who is where and well: soft state from heartbeats over the replicated disk records. A volume is
 * live while its stream is open and it was heard within five seconds; nothing here survives a
 * restart, and nothing that must be right for safety depends on it.
 */
import type { Clock, Timer } from '../common/clock.ts';
import type { DiskId, Session } from '../common/ids.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { Metadata } from './metadata-port.ts';
import type { LiveVolume, VolumeDirectory } from './volume-port.ts';

/** What a heartbeat says. */
export interface Vitals {
  readonly disk: DiskId;
  readonly session: Session;
  readonly name: string;
  readonly grpcAddress: string;
  readonly directAddress: string;
  readonly bootId: number;
  readonly httpAddress: string;
  readonly capacityBytes: number;
  readonly freeBytes: number;
  readonly usedBytes: number;
  readonly copies: number;
  readonly acceptsWrites: boolean;
  readonly version: string;
  readonly fsyncPolicy: string;
  readonly damage: number;
}

export interface RegistryComponents {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metadata: Pick<Metadata, 'disk'>;
}

const SILENCE_MAX_MS = 5 * SECOND_MS;
const SWEEP_MS = 500;

interface Entry {
  /** Made once a heartbeat, because every write asks for all of them. */
  readonly volume: LiveVolume;
  /** The stream that it was heard on: only its closing counts. */
  readonly stream: object;
}

export interface RegistryOptions {
  /** How long the place of a volume that left on purpose is kept. */
  readonly leaveWaitMs: number;
}

export class VolumeRegistry implements VolumeDirectory {
  readonly #components: RegistryComponents;
  readonly #leaveWaitMs: number;
  readonly #entries = new Map<DiskId, Entry>();
  /** Which session left, and when. */
  readonly #departures = new Map<DiskId, { readonly session: Session; readonly atMs: number }>();
  readonly #listeners: (() => void)[] = [];
  #sweep: Timer | null = null;

  constructor(components: RegistryComponents, { leaveWaitMs }: RegistryOptions) {
    this.#components = components;
    this.#leaveWaitMs = leaveWaitMs;
  }

  start(): void {
    this.#sweep = this.#components.clock.after(SWEEP_MS, () => {
      this.#dropSilent();
      this.start();
    });
  }

  stop(): void {
    this.#sweep?.cancel();
  }

  live(): readonly LiveVolume[] {
    const volumes: LiveVolume[] = [];
    for (const entry of this.#entries.values()) volumes.push(this.#inItsZone(entry));
    return volumes;
  }

  find(disk: DiskId): LiveVolume | undefined {
    const entry = this.#entries.get(disk);
    return entry === undefined ? undefined : this.#inItsZone(entry);
  }

  suspect(disk: DiskId): void {
    this.#change(disk, { suspected: true });
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /** A volume that left on purpose, not long ago, and is not back: its place is kept free. */
  isAwaited(disk: DiskId): boolean {
    const departure = this.#departures.get(disk);
    if (departure === undefined) return false;
    return this.#components.clock.monotonicMs() - departure.atMs < this.#leaveWaitMs;
  }

  /** Takes a heartbeat. Answers the newer session where this one is superseded, else null. */
  heard(vitals: Vitals, stream: object): Session | null {
    const { disk, session } = vitals;
    const current = this.#components.metadata.disk(disk)?.session ?? session;
    const before = this.#entries.get(disk);
    if (current > session) return current;
    if (before !== undefined && before.volume.session > session) return before.volume.session;
    const left = this.#departures.get(disk);
    if (left !== undefined && left.session < session) this.#departures.delete(disk);
    const volume = {
      ...vitals,
      zone: this.#zoneOf(disk),
      leaving: left !== undefined && left.session >= session,
      suspected: false,
      heardAtMs: this.#components.clock.monotonicMs(),
    };
    this.#entries.set(disk, { volume, stream });
    if (before === undefined) {
      this.#components.logger.info({ disk, session, volume: vitals.name }, 'volume is here');
    }
    if (before === undefined || isOtherwise(before.volume, vitals)) this.#changed();
    return null;
  }

  /** The volume is about to stop: reads only, and no repair because of it for a while. */
  leaving(disk: DiskId): void {
    const entry = this.#entries.get(disk);
    if (entry === undefined) return;
    const { session } = entry.volume;
    this.#departures.set(disk, { session, atMs: this.#components.clock.monotonicMs() });
    this.#change(disk, { leaving: true });
    this.#changed();
  }

  /** The stream closed: what was heard on it is gone at once. */
  closed(stream: object): void {
    for (const [disk, entry] of this.#entries) {
      if (entry.stream === stream) this.#drop(disk, 'volume stream closed');
    }
  }

  #dropSilent(): void {
    const nowMs = this.#components.clock.monotonicMs();
    for (const [disk, entry] of this.#entries) {
      if (nowMs - entry.volume.heardAtMs >= SILENCE_MAX_MS) this.#drop(disk, 'volume is silent');
    }
  }

  #drop(disk: DiskId, message: string): void {
    this.#entries.delete(disk);
    this.#components.logger.warn({ disk }, message);
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** The zone is replicated, and may change between two heartbeats. */
  #inItsZone({ volume }: Entry): LiveVolume {
    const zone = this.#zoneOf(volume.disk);
    return volume.zone === zone ? volume : { ...volume, zone };
  }

  #zoneOf(disk: DiskId): string {
    return this.#components.metadata.disk(disk)?.zone ?? '';
  }

  #change(disk: DiskId, change: Partial<LiveVolume>): void {
    const entry = this.#entries.get(disk);
    if (entry === undefined) return;
    this.#entries.set(disk, { ...entry, volume: { ...entry.volume, ...change } });
  }
}

/** True when somebody may have to act on the difference. */
function isOtherwise(before: Vitals, now: Vitals): boolean {
  return (
    before.session !== now.session ||
    before.grpcAddress !== now.grpcAddress ||
    before.directAddress !== now.directAddress ||
    before.bootId !== now.bootId ||
    before.httpAddress !== now.httpAddress ||
    before.acceptsWrites !== now.acceptsWrites
  );
}
