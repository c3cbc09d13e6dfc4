/**
 * What an operator does in a run: declares the disk of a wiped volume gone once its successor is there, and
 * asks for another leader now and then.
 */
import { NOBODY } from '../common/ids.ts';
import type { Member } from '../coordinator/member.ts';
import { encodeCommand } from '../metadata/command-codec.ts';
import type { DiskRecord } from '../metadata/records.ts';
import type { SimCluster, SimHost } from './types.ts';

const LOOK_EVERY_MS = 500;
const TRANSFER_MS = 2000;

/** The member that leads, as far as it knows itself; of several that think so the one of the newest term. */
export function leaderOf(cluster: SimCluster): Member | null {
  const leaders = cluster.coordinators.flatMap((host) => {
    const member = host.isUp && !host.isPaused ? (host.coordinator?.member ?? null) : null;
    return member?.consensus.status().role === 'leader' ? [member] : [];
  });
  const newest = leaders.toSorted((a, b) => b.consensus.status().term - a.consensus.status().term);
  return newest[0] ?? null;
}

/**
 * Disks of volumes that run on another one, by the volume's own word: the newest number may be that of a
 * folder that is wiped by now, whose registration was late.
 */
export function replacedDisks(
  { volumes }: SimCluster,
  disks: readonly DiskRecord[],
): readonly DiskRecord[] {
  return volumes.flatMap((host) => {
    const current = registrationOf(host);
    if (current === null) return [];
    return disks.filter(({ volume, disk }) => volume === host.name && disk !== current.disk);
  });
}

/** Disk and session that a volume which answers has been given; null: none, or it does not answer. */
export function registrationOf({
  isUp,
  isPaused,
  volumePort,
}: SimHost): { readonly disk: number; readonly session: number } | null {
  if (!isUp || isPaused || volumePort === null) return null;
  const { disk, session } = volumePort.status();
  return session === 0 ? null : { disk, session };
}

/** Disks that are gone and still named by keys: those keys are counted as thin only once they are come to. */
export function namedGoneDisks(disks: readonly DiskRecord[]): readonly DiskRecord[] {
  return disks.filter(({ state, refs }) => state === 'gone' && refs > 0);
}

export class Operator {
  readonly #cluster: SimCluster;

  constructor(cluster: SimCluster) {
    this.#cluster = cluster;
  }

  start(): void {
    this.#cluster.after(LOOK_EVERY_MS, () => {
      this.#declareGone();
      this.start();
    });
  }

  /** Answers whether leadership has moved. */
  async transfer(): Promise<boolean> {
    const leader = leaderOf(this.#cluster);
    if (leader === null) return false;
    try {
      await leader.consensus.transferLeadership(NOBODY, TRANSFER_MS);
      return true;
    } catch {
      return false;
    }
  }

  #declareGone(): void {
    const leader = leaderOf(this.#cluster);
    if (leader === null) return;
    for (const { disk, state } of replacedDisks(this.#cluster, leader.metadata.disks())) {
      if (state === 'gone') continue;
      const command = { kind: 'set-disk', disk, state: 'gone', zone: null } as const;
      leader.consensus.propose(encodeCommand(command), () => undefined);
    }
  }
}
