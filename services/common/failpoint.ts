/**
 * Named steps at which a test may kill a process. Nothing in the program installs a hook and no setting
 * can: a test preloads a module that does. Without a hook a failpoint costs one null check. Pure
 * rooms have none, since whatever they decide is carried out by a driver that has.
 */

/** The steps of the write path, in the order in which a write meets them, and those of the operator. */
export type Failpoint =
  /** Volume: records are in the file and not synced. About: what the record says besides its data. */
  | 'volume.written'
  /** Volume: a stage-end is as durable as the policy says, and its vote has not left. About: owner. */
  | 'volume.staged'
  /** Gateway: all votes are there and nothing is proposed yet. About: the command. */
  | 'gateway.voted'
  /** Any coordinator: entries have entered the own log and are about to be written. About: an entry. */
  | 'raft.appended'
  /** Any coordinator: entries are durable in the own log and not acknowledged. About: an entry. */
  | 'raft.durable'
  /** Any coordinator: entries are committed and not applied here. About: an entry. */
  | 'raft.committed'
  /** Gateway: a Finalize is about to go to one volume. About: the key. */
  | 'gateway.finalizing'
  /** Gateway: one volume has acknowledged its Finalize. About: the key. */
  | 'gateway.finalized'
  | OperatorFailpoint;

/** Between two steps of the operator that are not one; its page of procedures says what each must survive. */
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

/** `about` are bytes by which the hook can tell one write from another; it must not keep them. */
export type FailpointHook = (name: Failpoint, about: Uint8Array) => void;

let installed: FailpointHook | null = null;

/** Calls the hook, where there is one. */
export function failpoint(name: Failpoint, about: Uint8Array): void {
  if (installed !== null) installed(name, about);
}

/** For tests alone: `hook` is called at every failpoint of this process; null: no more. */
export function hookFailpoints(hook: FailpointHook | null): void {
  installed = hook;
}
