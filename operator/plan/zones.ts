/** Step 14: with `failureDomain: Zone` the store is told in which zone the node of each volume is. */
import { findPod } from './pods.ts';
import type { AdminCall, Snapshot } from './types.ts';

export interface ZonesFinding {
  readonly calls: readonly AdminCall[];
  /** Nodes whose zone nobody can tell; their volumes count as a zone of their own. */
  readonly unknown: readonly string[];
}

export function zonesFinding(s: Snapshot): ZonesFinding {
  if (s.cr.spec.volumes.failureDomain !== 'Zone' || s.cluster === 'unknown') {
    return { calls: [], unknown: [] };
  }
  const calls: AdminCall[] = [];
  const unknown = new Set<string>();
  for (const { name, disk, zone: stored, live } of s.cluster.volumes) {
    const node = findPod(s, name)?.node ?? null;
    if (!live || node === null) continue;
    const zone = s.zones[node] ?? 'unknown';
    if (zone === 'unknown') unknown.add(node);
    else if (zone !== stored) calls.push({ kind: 'zone', volume: name, disk, zone });
  }
  return { calls, unknown: [...unknown].sort() };
}
