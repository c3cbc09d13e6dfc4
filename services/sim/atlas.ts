/**
 * What may break at a moment so that everything acknowledged can still be kept: at least one good copy of
 * every blob, and fewer than a majority of coordinators without their log. Whatever is lost within these
 * bounds is a bug. `beyond` lifts the bounds on how many may break, not what a single fault is.
 */
import type { Fault } from './fault-types.ts';
import type { Profile } from './plan.ts';

/** How the run stands, as far as the atlas asks. */
export interface Standing {
  readonly coordinators: readonly string[];
  readonly volumes: readonly string[];
  readonly minReplicas: number;
  /** Bytes of acknowledged writes are synced on their volumes. */
  readonly isSynced: boolean;
  /** Every key has all its copies, and every disk has been looked through since it last lost something. */
  isWhole(): boolean;
}

export class Atlas {
  readonly #standing: Standing;
  readonly #profile: Profile;
  /** The only volume that has lost bytes since everything was whole. */
  #harmedVolume: string | null = null;
  /** Its bytes may have decayed without anybody knowing, so nothing ever shows that all is whole again. */
  #isUnseen = false;
  readonly #harmedCoordinators = new Set<string>();

  constructor(standing: Standing, profile: Profile) {
    this.#standing = standing;
    this.#profile = profile;
  }

  /** What the fault may strike, hosts or the network; empty: not now. Whoever is answered counts as struck. */
  admit(fault: Fault): readonly string[] {
    switch (fault.kind) {
      case 'power-cut':
        if (this.#standing.isSynced) return fault.hosts;
        return this.#admitUnsynced(fault.hosts);
      case 'disk-error':
        // What a failed sync or write had taken is gone with the page cache, acknowledged or not.
        if (this.#standing.isSynced || !this.#isVolume(fault.host) || fault.call === 'read') {
          return [fault.host];
        }
        return this.#harm(fault.host) ? [fault.host] : [];
      case 'wipe':
        return this.#harm(fault.host) ? [fault.host] : [];
      case 'damage':
        if (!this.#harm(fault.host)) return [];
        this.#isUnseen ||= this.#isVolume(fault.host);
        return [fault.host];
      case 'delay':
      case 'partition':
      case 'flaky':
      case 'transfer':
        return ['network'];
      case 'kill':
        return fault.hosts;
      case 'reset':
      case 'pause':
      case 'restart':
      case 'slow-disk':
      case 'full-disk':
        return [fault.host];
    }
  }

  /** Of several volumes that lose power at once only one may lose what it had not synced. */
  #admitUnsynced(hosts: readonly string[]): readonly string[] {
    const volumes = hosts.filter((host) => this.#isVolume(host));
    const struck = this.#profile === 'beyond' ? volumes : volumes.slice(0, 1);
    const admitted = struck.filter((host) => this.#harm(host));
    return hosts.filter((host) => !this.#isVolume(host) || admitted.includes(host));
  }

  #isVolume(host: string): boolean {
    return this.#standing.volumes.includes(host);
  }

  #harm(host: string): boolean {
    if (this.#profile === 'beyond') return true;
    return this.#isVolume(host) ? this.#harmVolume(host) : this.#harmCoordinator(host);
  }

  #harmVolume(host: string): boolean {
    const { minReplicas } = this.#standing;
    if (minReplicas < 2) return false;
    if (this.#harmedVolume !== host) {
      if (this.#harmedVolume !== null && (this.#isUnseen || !this.#standing.isWhole()))
        return false;
      this.#harmedVolume = host;
    }
    return true;
  }

  /** A coordinator that has lost its log once is one of the minority for good. */
  #harmCoordinator(host: string): boolean {
    const { coordinators } = this.#standing;
    if (this.#harmedCoordinators.has(host)) return true;
    const minority = Math.ceil(coordinators.length / 2) - 1;
    if (this.#harmedCoordinators.size >= minority) return false;
    this.#harmedCoordinators.add(host);
    return true;
  }
}
