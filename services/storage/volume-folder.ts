/**
 * Who a volume folder is: cluster, disk number, name, and how often it was opened. Boots and a fresh
 * nonce are durable before anything else happens, so an older image of the disk, or a restart, is seen
 * by those who knew a later one (docs/formats/volume-folder.md).
 */
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import { checkFormat } from '../common/format.ts';
import { type ClusterId, clusterId, type DiskId, diskId, hexOf } from '../common/ids.ts';
import type { Random } from '../common/random.ts';
import type { Disk, DiskLock } from '../disk/disk.ts';
import { TwoSlotFile } from '../disk/two-slot-file.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { FolderReport } from './types.ts';

export interface VolumeIdentity {
  /** null before the first registration. */
  readonly clusterId: ClusterId | null;
  /** 0 before the first registration. */
  readonly disk: DiskId;
  readonly name: string;
  /** Opens so far, this one included. */
  readonly boots: number;
  /** 32 hex digits, fresh at each open. */
  readonly nonce: string;
  /** The life before this one ended by `close`; true for a new folder. */
  readonly cleanStop: boolean;
}

export interface VolumeFolderComponents {
  readonly disk: Disk;
  readonly random: Random;
  readonly logger: Logger;
}

export interface VolumeFolderOptions {
  readonly dataPath: string;
  readonly name: string;
  /** What the settings say; null: whatever the folder holds. */
  readonly clusterId: ClusterId | null;
}

const SLOT_BYTES = 4096;
const VERSION = 1;

export class VolumeFolder {
  readonly #slots: TwoSlotFile;
  readonly #lock: DiskLock;
  #identity: VolumeIdentity;

  private constructor(slots: TwoSlotFile, lock: DiskLock, identity: VolumeIdentity) {
    this.#slots = slots;
    this.#lock = lock;
    this.#identity = identity;
  }

  /**
   * Locks the folder, raises boots and draws a nonce, both durable once resolved.
   * @throws KvError `LOCKED`, `IDENTITY_MISMATCH` (another name or cluster), `CORRUPT` (no slot
   * verifies).
   */
  static async open(
    components: VolumeFolderComponents,
    options: VolumeFolderOptions,
  ): Promise<VolumeFolder> {
    const { disk, random, logger } = components;
    await disk.makeFolder(options.dataPath);
    const lock = await disk.lock(options.dataPath);
    try {
      const path = `${options.dataPath}/volume.identity`;
      const slots = await TwoSlotFile.open(disk, { path, slotBytes: SLOT_BYTES });
      const known = readKnown(slots);
      if (known !== null) checkSettings(known, options);
      const identity = {
        clusterId: known?.clusterId ?? null,
        disk: known?.disk ?? diskId(0),
        name: options.name,
        boots: (known?.boots ?? 0) + 1,
        nonce: hexOf(random.bytes(16)),
        cleanStop: known?.cleanStop ?? true,
      };
      await slots.writeBoth(encode({ ...identity, cleanStop: false }));
      failpoint('folder.booted');
      const { boots, cleanStop } = identity;
      logger.info({ name: options.name, disk: identity.disk, boots, cleanStop }, 'folder opened');
      return new VolumeFolder(slots, lock, identity);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** What the store needs to know of the folder's last life. */
  get found(): FolderReport {
    const { found } = this.#slots;
    return {
      endedCleanly: found.kind === 'record' && this.#identity.cleanStop,
      damagedSlots: found.kind === 'record' ? found.damagedSlots : 0,
    };
  }

  get identity(): VolumeIdentity {
    return this.#identity;
  }

  /**
   * Keeps what the first registration gave; durable once resolved. A repeat changes nothing.
   * @throws KvError `IDENTITY_MISMATCH` where the folder belongs to another cluster or disk.
   */
  async setRegistered(cluster: ClusterId, disk: DiskId): Promise<void> {
    const known = this.#identity;
    if (known.clusterId === cluster && known.disk === disk) return;
    if (known.clusterId !== null) {
      throw mismatch('the folder is registered as another disk', known.disk, disk);
    }
    this.#identity = { ...known, clusterId: cluster, disk };
    await this.#slots.writeBoth(encode({ ...this.#identity, cleanStop: false }));
    failpoint('folder.registered');
  }

  /**
   * This folder is an older image of its disk: goes on behind `later`, the starts that were known of
   * it. Durable once resolved; counts as a start after a crash, as what those starts kept is missing.
   */
  async raiseBoots(later: number): Promise<number> {
    const boots = Math.max(this.#identity.boots, later) + 1;
    const raised = { ...this.#identity, boots, cleanStop: false };
    await this.#slots.writeBoth(encode(raised));
    failpoint('folder.raised');
    this.#identity = raised;
    return boots;
  }

  /** Marks a clean stop and lets go of the lock. Close the engine first. */
  async close(): Promise<void> {
    await this.#slots.writeBoth(encode({ ...this.#identity, cleanStop: true }));
    failpoint('folder.clean');
    await this.abandon();
  }

  /** Lets go of the lock without the mark: the next start takes this for a crash. */
  async abandon(): Promise<void> {
    await this.#slots.close();
    await this.#lock.release();
  }
}

function readKnown(slots: TwoSlotFile): VolumeIdentity | null {
  switch (slots.found.kind) {
    case 'record':
      return decode(slots.found.record);
    case 'absent':
      return null;
    case 'damaged':
      throw new KvError('CORRUPT', 'the identity of the volume folder cannot be read');
  }
}

function checkSettings(known: VolumeIdentity, options: VolumeFolderOptions): void {
  if (known.name !== options.name) {
    throw mismatch('the folder belongs to a volume of another name', known.name, options.name);
  }
  const { clusterId: wanted } = options;
  if (wanted !== null && known.clusterId !== null && known.clusterId !== wanted) {
    throw mismatch('the folder belongs to another cluster', known.clusterId, wanted);
  }
}

const mismatch = (message: string, held: string | number, wanted: string | number): KvError =>
  new KvError('IDENTITY_MISMATCH', `${message}: it holds ${held}, not ${wanted}`, {
    detail: { held, wanted },
  });

/** version u8 · clean u8 · disk u64 · boots u64 · nonce 16 · cluster (0 or 32 hex digits) · name. */
const encode = (identity: VolumeIdentity): Uint8Array =>
  new ByteWriter()
    .u8(VERSION)
    .u8(identity.cleanStop ? 1 : 0)
    .u64(identity.disk)
    .u64(identity.boots)
    .hex(identity.nonce)
    .text(identity.clusterId ?? '')
    .text(identity.name)
    .finish();

function decode(record: Uint8Array): VolumeIdentity {
  const input = new ByteReader(record);
  checkFormat('the volume identity is', input.u8(), VERSION);
  const cleanStop = input.u8() === 1;
  const disk = diskId(input.u64());
  const boots = input.u64();
  const nonce = input.hex(16);
  const cluster = input.text();
  const name = input.text();
  input.end();
  const known = cluster === '' ? null : clusterId(cluster);
  return { clusterId: known, disk, name, boots, nonce, cleanStop };
}
