/**
 * Named steps at which a test may kill a process: between any two that are durable each for itself.
 * Nothing in the program installs a hook and no setting can; a test does, in a process of its own. The
 * build takes each call and this file out of a release (image/build.ts), so a call is a statement of
 * its own and computes nothing that the program does not need. Pure rooms have none, since whatever
 * they decide is carried out by a driver that has.
 */

/** The steps of the store, each with what is so when it is met. Order: as data meets them. */
export const STORE_FAILPOINTS = {
  // A write at its gateway, at a volume, and through the log. About: the key, the copy or the command.
  'gateway.minted': 'all bytes are out and the transaction has its id; no stage-end has left',
  'volume.written': 'records are in the segment and not synced',
  'volume.staged': 'a stage-end is as durable as the policy says; its vote has not left',
  'gateway.voted': 'all votes are there; nothing is proposed',
  'gateway.proposed': 'the command is handed to consensus',
  'raft.appended': 'entries have entered the own log and are about to be written',
  'raft.durable': 'entries are durable in the own log and not acknowledged',
  'raft.committed': 'entries are committed and not applied here',
  'gateway.decided': 'the outcome is applied here; the client has no answer',
  'gateway.finalizing': 'a Finalize is about to go to one volume',
  'volume.finalized': 'the commit record of a copy is written; nobody is told',
  'gateway.finalized': 'one volume has acknowledged its Finalize',
  'gateway.discarding': 'the write is refused for good; its copies are not discarded',

  // Bootstrap and the identity of a coordinator.
  'node.booted': 'the boot id has risen; nothing listens',
  'node.armed': 'the identity is durable; no peer knows',
  'node.confirmed': 'log and state are open; the node is not marked a member',
  'node.member': 'the node is a member for ever; Raft has not started',
  'cluster.initializing': 'there is a first leader; the cluster has no record',

  // The identity of a volume and its sessions.
  'folder.booted': 'boots and nonce of the volume are durable; nothing listens',
  'registry.registered': 'a Register is applied; its volume is not told',
  'registration.answered': 'a Register is answered; the volume has kept nothing of it',
  'folder.registered': 'the number of the disk is durable; no session has begun',
  'registration.begun': 'the session has begun; no heartbeat has left',
  'folder.raised': 'an older image of a disk has raised its boots; it has not registered',
  'engine.closed': 'the segments are drained and described; the folder is not marked clean',
  'folder.clean': 'the folder is marked clean and still locked',

  // Files: two slots, names, the frame log and its vote file.
  'slots.half': 'one of two slots holds the new record',
  'file.prepared': 'a file is whole and synced; it has no name',
  'file.renamed': 'a file has its name; the folder is not synced',
  'log.rolled': 'the next segment of the log has its header and nothing else',
  'log.based': 'the log knows that it begins later; nothing is cut',
  'log.restarted': 'the log begins at an installed snapshot; the old segments are there',
  'log.cut': 'one segment of the log is gone, durably; the next may go too',
  'log.damaged': 'what the damage of the log means is durable; nothing is repaired',
  'vote.durable': 'term, vote or witness are durable in the vote file',

  // Metadata: flushes and snapshots, the sender first.
  'metadata.created': 'the first table has its folder; nothing points to it',
  'metadata.frozen': 'a flush is about to be written',
  'metadata.flushed': 'a flush is durable; the log may be cut behind it',
  'snapshot.captured': 'the sender has the whole snapshot in a file; nothing is sent',
  'snapshot.sending': 'a piece is about to leave its sender',
  'snapshot.received': 'a piece is written at the receiver and not acknowledged',
  'snapshot.staged': 'the snapshot is whole and synced at the receiver; it is not acknowledged',
  'snapshot.built': 'the new table stands beside the present one, synced',
  'snapshot.published': 'the new table is the present one; the log is that of the old one',
  'snapshot.replaced': 'the old table is gone; the log is that of the old one',
  'snapshot.installed': 'log and state begin at the snapshot; the leader does not know',

  // Segments of a volume, the snapshot of their index, and compaction.
  'segment.created': 'the next segment has its header and its name and nothing else',
  'segment.sealed': 'a segment is sealed and synced; it is still among those that grow',
  'segment.moved': 'a sealed segment is among its like; the index does not say so',
  'index.prepared': 'an index snapshot is whole and synced; it has no name',
  'index.published': 'an index snapshot has taken the place of the one before',
  'compaction.begun': 'the new segment has its header, aside',
  'compaction.copied': 'all that lives is copied; nothing of it is synced',
  'compaction.prepared': 'the new segment is sealed and synced; it has no name',
  'compaction.published': 'the new segment has its name; the index means the old ones',
  'compaction.switched': 'the index means the new segment; the old ones are there',
  'compaction.removing': 'one of the old segments is removed; the folder is not synced',
  'compaction.removed': 'the old segments are gone',

  // Garbage, copies in doubt, marks.
  'advance.proposing': 'marks are about to be raised',
  'reaper.dropping': 'rows of garbage are read; no drop has left',
  'volume.dropped': 'a drop is durable; it is not acknowledged',
  'reaper.dropped': 'a disk has acknowledged drops; the rows are there',
  'reaper.reclaiming': 'the rows are proposed to go',
  'asker.answered': 'a question about a copy is answered; nothing is done about it',
  'reconcile.checked': 'a disk has said what it lacks; no copy is suspect',
  'reconcile.reported': 'what a disk lacks is suspect; the walk has not gone on',
  'reconcile.ended': 'all records are walked over; the disk is not said to be checked',

  // Repair.
  'puller.fetched': 'a piece is fetched from the source; it is not staged',
  'puller.staged': 'the new copy is staged and synced; its vote has not left',
  'repair.pulled': 'the new copy has its vote; no Move is proposed',
  'repair.moved': 'a Move is decided; nothing is made of it',
} as const;

export type StoreFailpoint = keyof typeof STORE_FAILPOINTS;

/** Between two steps of the operator that are not one. */
export type OperatorFailpoint =
  | 'identity.minted'
  | 'identity.written'
  | 'apply.each'
  | 'bootstrap.before'
  | 'bootstrap.partial'
  | 'bootstrap.before-latch'
  | 'recreate.orphaned'
  | 'broken.before-delete'
  | 'broken.deleted'
  | 'evict.before'
  | 'evict.done'
  | 'transfer.before'
  | 'transfer.done'
  | 'claim.owner-set'
  | 'zone.sent'
  | 'status.before'
  | 'status.done';

export type Failpoint = StoreFailpoint | OperatorFailpoint;

/** `about` are bytes by which the hook can tell one write from another; it must not keep them. */
export type FailpointHook = (name: Failpoint, about: Uint8Array) => void;

const NOTHING = new Uint8Array(0);
let installed: FailpointHook | null = null;

/** Calls the hook, where there is one. */
export function failpoint(name: Failpoint, about: Uint8Array = NOTHING): void {
  if (installed !== null) installed(name, about);
}

/** For tests alone: `hook` is called at every failpoint of this process; null: no more. */
export function hookFailpoints(hook: FailpointHook | null): void {
  installed = hook;
}
