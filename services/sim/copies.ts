/**
 * Looks for the bytes behind the records: no copy that a record names may have been dropped, or be absent, on
 * a volume that never lost any. What changes while it is looked at is left for the next look.
 */
import { utf8 } from '../common/bytes.ts';
import type { CopyId, DiskId } from '../common/ids.ts';
import type { Member } from '../coordinator/member.ts';
import type { CopyInfo, CopyState, StorageEngine } from '../storage/types.ts';
import type { SimCluster, SimHost } from './types.ts';

/** Listed states of a volume's copies. */
const PRESENT = new Set(['staged', 'committed']);
const STATES = ['staged', 'committed', 'dropped'] as const;
const LIST_MAX = 1000;

export interface CopyLook {
  readonly cluster: SimCluster;
  readonly keys: readonly string[];
  /** The newest applied index of the run: whoever is behind it is not asked. */
  readonly appliedMax: () => number;
  /** Hosts whose disks have lost something. */
  readonly hasLost: (host: SimHost) => boolean;
}

interface Named {
  readonly key: string;
  readonly disk: DiskId;
  readonly copyId: CopyId;
  readonly volume: string;
}

/** A sentence for each copy that should be there and is not. */
export async function missingCopies(look: CopyLook): Promise<readonly string[]> {
  const before = namedCopies(look);
  if (before === null) return [];
  const seen = await copiesOf(look.cluster.volumes);
  const after = new Set((namedCopies(look) ?? []).map(nameOf));
  return before
    .filter((named) => after.has(nameOf(named)))
    .flatMap((named) => {
      const volume = seen.find(({ host }) => host.name === named.volume);
      // Down or started anew meanwhile: nothing is known of it.
      if (volume === undefined || volume.host.volume?.engine !== volume.engine) return [];
      const state = volume.states.get(named.copyId);
      const told = `${named.key} names copy ${named.copyId} on ${named.volume}`;
      const isThere = state !== undefined && PRESENT.has(state);
      // What lost the end of a copy drops the rest of it at its next start.
      if (isThere || look.hasLost(volume.host)) return [];
      if (state === 'dropped') return [`${told}, where it was dropped`];
      return [`${told}, which does not have it (${state ?? 'unknown'})`];
    });
}

const nameOf = ({ key, disk, copyId }: Named): string => `${key} ${disk} ${copyId}`;

/** Copies that the newest state names on disks of the present; null where nobody has that state. */
function namedCopies({ cluster, keys, appliedMax }: CopyLook): readonly Named[] | null {
  const member = newestMember(cluster, appliedMax());
  if (member === null) return null;
  const disks = new Map(member.metadata.disks().map((disk) => [disk.disk, disk]));
  return keys.flatMap((key) => {
    const copies = member.metadata.record(utf8(key))?.copies ?? [];
    return copies.flatMap(({ disk, copyId }): readonly Named[] => {
      const record = disks.get(disk);
      if (record === undefined || record.state === 'gone') return [];
      return [{ key, disk, copyId, volume: record.volume }];
    });
  });
}

function newestMember(cluster: SimCluster, appliedMax: number): Member | null {
  for (const { gateway, coordinator } of cluster.coordinators) {
    const member = coordinator?.member ?? null;
    // One that stops serves no more, and has closed its state or is about to.
    if (gateway !== null && member !== null && member.metadata.appliedIndex >= appliedMax)
      return member;
  }
  return null;
}

interface Seen {
  readonly host: SimHost;
  readonly engine: StorageEngine;
  readonly states: ReadonlyMap<CopyId, CopyState>;
}

/** All copies of the volumes that are up. A volume that goes down meanwhile never answers. */
async function copiesOf(volumes: readonly SimHost[]): Promise<readonly Seen[]> {
  const seen: Seen[] = [];
  for (const host of volumes) {
    const engine = host.isUp && !host.isPaused ? (host.volume?.engine ?? null) : null;
    if (engine === null) continue;
    try {
      seen.push({ host, engine, states: await statesOf(engine, STATES) });
    } catch {
      // Its disk failed: it is about to end.
    }
  }
  return seen;
}

/** Copies of an engine by their states. */
export async function statesOf(
  engine: StorageEngine,
  states: readonly CopyState[],
): Promise<ReadonlyMap<CopyId, CopyState>> {
  const found = new Map<CopyId, CopyState>();
  for (let after: CopyId | null = null; ; ) {
    const part: readonly CopyInfo[] = await engine.list(after, LIST_MAX, states);
    for (const { copyId, state } of part) found.set(copyId, state);
    const last = part.at(-1);
    if (last === undefined) return found;
    after = last.copyId;
  }
}
