/**
 * Volumes find a coordinator that has just started within a second or so, or as soon as its name means
 * its new address. Until then it has a state but nobody to keep bytes, and would refuse what any other
 * coordinator can do; so it is not ready, and does not say of any volume that it is away.
 * Invariant: this ends by itself, once for each start, whether or not the volumes are well.
 */
import type { Clock } from '../common/clock.ts';
import { SECOND_MS } from '../common/units.ts';
import type { Metadata } from './metadata-port.ts';
import type { VolumeDirectory } from './volume-port.ts';

/** In Kubernetes a name may mean the pod before for five seconds: so long are its answers kept. */
const PATIENCE_MS = 6 * SECOND_MS;

export interface FirstContactComponents {
  readonly clock: Clock;
  readonly metadata: Pick<Metadata, 'disks'>;
  readonly directory: Pick<VolumeDirectory, 'find'>;
}

export class FirstContact {
  readonly #components: FirstContactComponents;
  readonly #endMs: number;
  #isMade = false;

  /** Patience counts from here on. */
  constructor(components: FirstContactComponents) {
    this.#components = components;
    this.#endMs = components.clock.monotonicMs() + PATIENCE_MS;
  }

  /** Every registered disk was heard at the same time once, or there was time enough for it. */
  get isMade(): boolean {
    const { clock, metadata, directory } = this.#components;
    this.#isMade ||=
      clock.monotonicMs() >= this.#endMs ||
      metadata.disks().every(({ disk, state }) => state === 'gone' || isHere(directory, disk));
    return this.#isMade;
  }
}

const isHere = (
  directory: FirstContactComponents['directory'],
  disk: Parameters<VolumeDirectory['find']>[0],
): boolean => directory.find(disk) !== undefined;
