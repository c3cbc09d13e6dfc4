/**
 * Disks and their sessions. A number is given once; Gone is final; a session is the index of the
 * newest accepted Register, so accepting one ends every vote of the session before it. A start that was
 * unclean, or is not the one after the last known, may have lost copies: the disk is to be reconciled.
 */
import { diskId, type LogIndex, session } from '../common/ids.ts';
import type { Reconciled, Register, SetDisk } from './commands.ts';
import type { RegisterResult } from './machine.ts';
import type { DiskRecord, DiskState } from './records.ts';
import type { SmallState } from './small-state.ts';

export function applyRegister(
  small: SmallState,
  index: LogIndex,
  command: Register,
): RegisterResult {
  if (command.disk === 0) return format(small, index, command);
  const known = small.disks.get(command.disk);
  if (known === undefined) return { kind: 'refused', why: 'unknown-disk' };
  if (known.state === 'gone') return { kind: 'refused', why: 'disk-gone' };
  if (known.volume !== command.volume) return { kind: 'refused', why: 'other-volume' };
  if (known.nonce === command.nonce) return accepted(known);
  if (command.boots <= known.boots) return { kind: 'refused', why: 'stale-boot' };
  const isExpected = command.clean && command.boots === known.boots + 1;
  known.reconciled = known.reconciled && isExpected;
  known.boots = command.boots;
  known.nonce = command.nonce;
  known.session = session(index);
  known.zone = command.zone ?? known.zone;
  known.capacityBytes = command.capacityBytes;
  return accepted(known);
}

/** Gives an unformatted folder its number; the same nonce again gets the same number. */
function format(small: SmallState, index: LogIndex, command: Register): RegisterResult {
  for (const known of small.disks.values()) {
    if (known.nonce === command.nonce) return accepted(known);
  }
  const disk = diskId(small.cluster.nextDisk);
  small.cluster = { ...small.cluster, nextDisk: disk + 1 };
  const state: DiskState = 'active';
  const formatted = {
    disk,
    volume: command.volume,
    boots: command.boots,
    nonce: command.nonce,
    session: session(index),
    state,
    zone: command.zone ?? '',
    capacityBytes: command.capacityBytes,
    refs: 0,
    reconciled: true,
  };
  small.disks.set(disk, formatted);
  return accepted(formatted);
}

const accepted = (disk: DiskRecord): RegisterResult => ({
  kind: 'accepted',
  disk: disk.disk,
  session: disk.session,
});

/** What was found in a session says nothing of a later one. */
export function applyReconciled(small: SmallState, command: Reconciled): void {
  const known = small.disks.get(command.disk);
  if (known?.session === command.session) known.reconciled = true;
}

/** Gone stays gone; its references are mended by Move, its garbage rows go by Reclaimed. */
export function applySetDisk(small: SmallState, command: SetDisk): void {
  const known = small.disks.get(command.disk);
  if (known === undefined || known.state === 'gone') return;
  known.state = command.state ?? known.state;
  known.zone = command.zone ?? known.zone;
}
