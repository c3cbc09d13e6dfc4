/**
 * Who a coordinator is, as its folder holds it: identity, member list, boot id. A folder is locked
 * while it is open, and its boot id has risen durably before the first message leaves. Invariant: an
 * identity is written once; another name or cluster in the settings is refused, never adopted
 * (docs/formats/node-folder.md).
 */
import { join } from 'node:path';
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { checkFormat } from '../common/format.ts';
import { type ClusterId, clusterId, nodeId } from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { TwoSlotFile } from '../disk/two-slot-file.ts';
import type { Identity, Member } from './transport.ts';

const VERSION = 1;
const SLOT_BYTES = 16 * KIB;
const MEMBERS_MAX = 15;

/**
 * `empty`: no identity. `armed`: identity and members durable. `member`: has seen all others armed.
 * `recovering`: lost part of its log. `void`: its state cannot be trusted.
 */
export type DirectoryState = 'empty' | 'armed' | 'member' | 'recovering' | 'void';

interface Stored {
  readonly bootId: number;
  readonly identity: Identity | null;
  /** All members were seen armed: this node may vote, now and after every restart. */
  readonly isMember: boolean;
}

export class NodeFolder {
  readonly path: string;
  readonly name: string;
  readonly #lock: DiskLock;
  readonly #file: TwoSlotFile;
  #stored: Stored;

  private constructor(
    options: { readonly path: string; readonly name: string },
    opened: { readonly lock: DiskLock; readonly file: TwoSlotFile; readonly stored: Stored },
  ) {
    this.path = options.path;
    this.name = options.name;
    this.#lock = opened.lock;
    this.#file = opened.file;
    this.#stored = opened.stored;
  }

  /**
   * Locks the folder, reads the identity and raises the boot id, durably.
   * @throws KvError `LOCKED`, `IDENTITY_MISMATCH`, `CORRUPT` (both slots damaged: no identity left).
   */
  static async open(
    disk: Disk,
    options: { readonly path: string; readonly name: string; readonly clusterId: ClusterId | null },
  ): Promise<NodeFolder> {
    await disk.makeFolder(options.path);
    const lock = await disk.lock(options.path);
    try {
      const path = join(options.path, 'identity');
      const file = await TwoSlotFile.open(disk, { path, slotBytes: SLOT_BYTES });
      const found = readStored(file, path);
      checkIdentity(found.identity, options);
      const stored = { ...found, bootId: found.bootId + 1 };
      // Both slots: decay of one must not bring an earlier boot id back.
      await file.writeBoth(encode(stored));
      failpoint('node.booted');
      return new NodeFolder(options, { lock, file, stored });
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Slots of the identity that did not verify at open; the other one served. */
  get damagedSlots(): number {
    const { found } = this.#file;
    return found.kind === 'record' ? found.damagedSlots : 0;
  }

  get bootId(): number {
    return this.#stored.bootId;
  }

  /** null while the folder is empty. */
  get identity(): Identity | null {
    return this.#stored.identity;
  }

  directoryState(): DirectoryState {
    return stateOf(this.#stored);
  }

  /**
   * Makes identity and member list durable; a repeat with the same cluster changes nothing.
   * @throws KvError `CLUSTER_EXISTS` when this folder already belongs to another cluster.
   */
  async arm(identity: Identity): Promise<void> {
    const present = this.#stored.identity;
    if (present !== null) {
      if (present.clusterId === identity.clusterId && present.node === identity.node) return;
      throw new KvError(
        'CLUSTER_EXISTS',
        `this node already belongs to cluster ${present.clusterId}`,
      );
    }
    this.#stored = { ...this.#stored, identity };
    await this.#file.writeBoth(encode(this.#stored));
    failpoint('node.armed');
  }

  /** Every member was seen armed: from now on this node may vote. Durable once resolved. */
  async becomeMember(): Promise<void> {
    this.#stored = { ...this.#stored, isMember: true };
    await this.#file.writeBoth(encode(this.#stored));
    failpoint('node.member');
  }

  async close(): Promise<void> {
    await this.#file.close();
    await this.#lock.release();
  }
}

function readStored(file: TwoSlotFile, path: string): Stored {
  const { found } = file;
  switch (found.kind) {
    case 'absent':
      return { bootId: 0, identity: null, isMember: false };
    case 'damaged':
      throw new KvError('CORRUPT', `${path} is damaged in both places: this node has no identity`);
    case 'record':
      return decode(found.record);
  }
}

function stateOf({ identity, isMember }: Stored): DirectoryState {
  if (identity === null) return 'empty';
  return isMember ? 'member' : 'armed';
}

function checkIdentity(
  identity: Identity | null,
  options: { readonly path: string; readonly name: string; readonly clusterId: ClusterId | null },
): void {
  if (identity === null) return;
  if (identity.name !== options.name) {
    throw new KvError(
      'IDENTITY_MISMATCH',
      `${options.path} belongs to the coordinator ${identity.name}, not to ${options.name}`,
    );
  }
  if (options.clusterId !== null && identity.clusterId !== options.clusterId) {
    throw new KvError(
      'IDENTITY_MISMATCH',
      `${options.path} belongs to cluster ${identity.clusterId}, not to ${options.clusterId}`,
    );
  }
}

function encode(stored: Stored): Uint8Array {
  const writer = new ByteWriter(512).u8(VERSION).u64(stored.bootId);
  const { identity } = stored;
  if (identity === null) return writer.u8(0).finish();
  writer
    .u8(stored.isMember ? 2 : 1)
    .hex(identity.clusterId)
    .u64(identity.node)
    .text(identity.name);
  writer.u8(identity.members.length);
  for (const { node, name, address } of identity.members) writer.u64(node).text(name).text(address);
  return writer.finish();
}

function decode(bytes: Uint8Array): Stored {
  const reader = new ByteReader(bytes);
  checkFormat('the identity is', reader.u8(), VERSION);
  const bootId = reader.u64();
  const phase = reader.u8();
  if (phase === 0) return { bootId, identity: null, isMember: false };
  const cluster = clusterId(reader.hex(16));
  const node = nodeId(reader.u64());
  const name = reader.text();
  const count = reader.u8();
  if (count > MEMBERS_MAX) throw new KvError('CORRUPT', `a member list of ${count} is too long`);
  const members: Member[] = [];
  for (let i = 0; i < count; i += 1) {
    members.push({ node: nodeId(reader.u64()), name: reader.text(), address: reader.text() });
  }
  reader.end();
  const identity = { clusterId: cluster, node, name, members };
  return { bootId, identity, isMember: phase === 2 };
}
