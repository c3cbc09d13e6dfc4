/**
 * Snapshots between nodes: captured once to a file, sent in checksummed pieces that resume where the
 * receiver stands, verified whole before anything is replaced. Invariant: a file named `.snap` is
 * complete; a `.part` is not and may be thrown away. None outlives its attempt, for the log and the state
 * need the same disk, and a full one ends the node.
 */
import { join } from 'node:path';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { failpoint } from '../common/failpoint.ts';
import type { LogIndex, NodeId, Term } from '../common/ids.ts';
import { Semaphore } from '../common/semaphore.ts';
import { KIB, MIB } from '../common/units.ts';
import type { Disk, DiskFile } from '../disk/disk.ts';
import type { LogPoint } from '../raft/types.ts';
import type { StateMachine } from './state-machine.ts';
import type { SnapshotChunk, SnapshotProgress, Transport } from './transport.ts';

const CHUNK_BYTES = 256 * KIB;
/** Pieces in a row that fail or are not taken before the transfer is given up. */
const ATTEMPTS_MAX = 20;
const PIECES_WAITING_MAX = 16;
/** A capture leaves so much to log and state, on a small disk this share of it. */
const RESERVE_BYTES_MAX = 64 * MIB;
const RESERVE_SHARE = 8;
/** The room is looked at anew after so many captured bytes. */
const MEASURE_EVERY_BYTES = 4 * MIB;

interface Captured {
  readonly path: string;
  readonly point: LogPoint;
  readonly totalBytes: number;
  readonly fileCrc: number;
}

interface Incoming {
  readonly from: NodeId;
  readonly path: string;
  readonly file: DiskFile;
  readonly point: LogPoint;
  readonly totalBytes: number;
  readonly fileCrc: number;
  heldBytes: number;
  crc: number;
  staged: boolean;
}

/** Where a snapshot goes, and how its sender waits and knows that it may go on. */
export interface SnapshotTarget {
  readonly peer: NodeId;
  readonly term: Term;
  readonly stillLeads: () => boolean;
  /** The time between a failed piece and the next attempt. */
  readonly pause: () => Promise<void>;
}

export interface SnapshotTransferParts {
  readonly disk: Disk;
  readonly transport: Transport;
  readonly machine: StateMachine;
  readonly self: NodeId;
}

export class SnapshotTransfer {
  readonly #parts: SnapshotTransferParts;
  readonly #folder: string;
  #incoming: Incoming | null = null;
  /** Points of snapshots in transit: the log keeps what follows them. */
  readonly #sending = new Map<NodeId, LogIndex>();
  /** The state had at least so many bytes when it was captured last. */
  #stateBytes = 0;
  /** Pieces are taken one at a time: a repeated one may come while the first is being written. */
  readonly #turn = new Semaphore(1, PIECES_WAITING_MAX);

  private constructor(parts: SnapshotTransferParts, folder: string) {
    this.#parts = parts;
    this.#folder = folder;
  }

  /** Opens the folder and clears what an earlier life left half done. */
  static async open(parts: SnapshotTransferParts, folder: string): Promise<SnapshotTransfer> {
    await parts.disk.removeFolder(folder);
    await parts.disk.makeFolder(folder);
    return new SnapshotTransfer(parts, folder);
  }

  /** The log must be kept from here on; Infinity while nothing is in transit. */
  get keepFrom(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#sending.values());
  }

  isSendingTo(peer: NodeId): boolean {
    return this.#sending.has(peer);
  }

  /**
   * Captures the state and brings it to `peer`; answers its point once staged there. However it ends,
   * nothing of it stays here. @throws KvError `NO_SPACE` where the capture would leave the log too little.
   */
  async send(target: SnapshotTarget): Promise<LogPoint> {
    const { machine } = this.#parts;
    const { peer } = target;
    this.#sending.set(peer, machine.flushed.index);
    try {
      const captured = await this.#capture(target);
      this.#sending.set(peer, captured.point.index);
      failpoint('snapshot.captured');
      await this.#stream(captured, target);
      return captured.point;
    } finally {
      await this.#removeCaptured(peer);
    }
  }

  /** The peer has what it needs, or the attempt is over: the log may be cut again. */
  finished(peer: NodeId): void {
    this.#sending.delete(peer);
  }

  /** Takes one piece; pieces of a new snapshot replace an unfinished older one. */
  receive(chunk: SnapshotChunk): Promise<SnapshotProgress> {
    return this.#turn.run(() => this.#receive(chunk));
  }

  /**
   * From now on `leader` sends: what another node has begun and not finished is not waited for. Never
   * rejects: what cannot be removed now goes at the next start.
   */
  async leaderIs(leader: NodeId): Promise<void> {
    try {
      await this.#turn.run(async () => {
        const incoming = this.#incoming;
        if (incoming !== null && !incoming.staged && incoming.from !== leader) await this.discard();
      });
    } catch {
      // Only room is lost.
    }
  }

  /** The chunks of the staged snapshot of `point`. */
  async *read(point: LogPoint): AsyncIterable<Uint8Array> {
    const incoming = this.#incoming;
    if (incoming?.staged !== true || incoming.point.index !== point.index) {
      throw new KvError('NOT_FOUND', `no snapshot of index ${point.index} is staged`);
    }
    for (let offset = 0; offset < incoming.totalBytes; offset += CHUNK_BYTES) {
      yield await incoming.file.read(offset, Math.min(CHUNK_BYTES, incoming.totalBytes - offset));
    }
  }

  /** Forgets the staged snapshot: it is installed, or not wanted. */
  async discard(): Promise<void> {
    const incoming = this.#incoming;
    this.#incoming = null;
    if (incoming === null) return;
    await incoming.file.close();
    await this.#parts.disk.remove(incoming.path);
  }

  async #receive(chunk: SnapshotChunk): Promise<SnapshotProgress> {
    const incoming = await this.#incomingOf(chunk);
    if (!incoming.staged && chunk.offset === incoming.heldBytes && chunk.data.length > 0) {
      await this.#hold(incoming, chunk);
      failpoint('snapshot.received');
      incoming.heldBytes += chunk.data.length;
      incoming.crc = crc32(chunk.data, incoming.crc);
      if (incoming.heldBytes >= incoming.totalBytes) await this.#finish(incoming);
    }
    return { heldBytes: incoming.heldBytes, staged: incoming.staged };
  }

  async #hold({ file }: Incoming, { offset, data }: SnapshotChunk): Promise<void> {
    try {
      await file.write(offset, [data]);
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  async #capture(target: SnapshotTarget): Promise<Captured> {
    const { machine, disk } = this.#parts;
    // An earlier attempt may not have got its file removed.
    await this.#removeCaptured(target.peer);
    await this.#awaitRoom(target);
    const source = await machine.openSnapshot();
    try {
      const { point, chunks } = source;
      const path = join(this.#folder, `${captureOf(target.peer)}${point.index}.part`);
      const file = await disk.open(path, 'create');
      try {
        return { path, point, ...(await this.#store(file, chunks, target)) };
      } finally {
        await file.close();
      }
    } finally {
      await source.close();
    }
  }

  async #store(
    file: DiskFile,
    chunks: AsyncIterable<Uint8Array>,
    { stillLeads }: SnapshotTarget,
  ): Promise<Pick<Captured, 'totalBytes' | 'fileCrc'>> {
    let totalBytes = 0;
    let fileCrc = 0;
    let measuredBytes = 0;
    for await (const chunk of chunks) {
      if (!stillLeads()) throw deposed();
      if (totalBytes - measuredBytes >= MEASURE_EVERY_BYTES) {
        measuredBytes = totalBytes;
        this.#stateBytes = Math.max(this.#stateBytes, totalBytes);
        if (!(await this.#hasRoom(0))) throw noRoom();
      }
      await file.write(totalBytes, [chunk]);
      totalBytes += chunk.length;
      fileCrc = crc32(chunk, fileCrc);
    }
    this.#stateBytes = totalBytes;
    return { totalBytes, fileCrc };
  }

  /** Waits a while for it, since the next attempt would come with the next heartbeat. */
  async #awaitRoom({ stillLeads, pause }: SnapshotTarget): Promise<void> {
    for (let attempts = 1; !(await this.#hasRoom(this.#stateBytes)); attempts += 1) {
      if (attempts === ATTEMPTS_MAX) {
        // It may have shrunk since; while it is captured the room is looked at all the same.
        this.#stateBytes = Math.floor(this.#stateBytes / 2);
        throw noRoom();
      }
      if (!stillLeads()) throw deposed();
      await pause();
    }
  }

  async #hasRoom(neededBytes: number): Promise<boolean> {
    const { freeBytes, totalBytes } = await this.#parts.disk.space(this.#folder);
    const reserveBytes = Math.min(RESERVE_BYTES_MAX, totalBytes / RESERVE_SHARE);
    return freeBytes >= reserveBytes + neededBytes;
  }

  async #removeCaptured(peer: NodeId): Promise<void> {
    const names = await this.#parts.disk.list(this.#folder);
    for (const name of names) {
      if (name.startsWith(captureOf(peer))) await this.#parts.disk.remove(join(this.#folder, name));
    }
  }

  /** Goes on where the receiver says; a broken link only costs the pieces that were on their way. */
  async #stream(captured: Captured, target: SnapshotTarget): Promise<void> {
    const { disk, transport, self } = this.#parts;
    const file = await disk.open(captured.path, 'read');
    try {
      let offset = 0;
      for (let failures = 0; failures < ATTEMPTS_MAX; ) {
        if (!target.stillLeads()) throw deposed();
        const data = await file.read(offset, Math.min(CHUNK_BYTES, captured.totalBytes - offset));
        const { point, totalBytes, fileCrc } = captured;
        const addressed = { from: self, to: target.peer, term: target.term };
        const piece = { ...addressed, point, totalBytes, fileCrc, offset, data };
        failpoint('snapshot.sending');
        const progress = await transport.sendSnapshotChunk(piece).catch(unlessFinal);
        if (progress?.staged === true) return;
        const isTaken = progress?.heldBytes === offset + data.length;
        failures = isTaken ? 0 : failures + 1;
        offset = Math.min(progress?.heldBytes ?? offset, totalBytes);
        if (progress === null) await target.pause();
      }
      throw new KvError('UNAVAILABLE', 'the follower does not take the snapshot');
    } finally {
      await file.close();
    }
  }

  async #incomingOf(chunk: SnapshotChunk): Promise<Incoming> {
    const present = this.#incoming;
    if (
      present !== null &&
      present.point.index === chunk.point.index &&
      present.fileCrc === chunk.fileCrc &&
      present.totalBytes === chunk.totalBytes
    ) {
      return present;
    }
    await this.discard();
    const path = join(this.#folder, `from-${chunk.from}-${chunk.point.index}.part`);
    await this.#parts.disk.remove(path);
    const file = await this.#parts.disk.open(path, 'create');
    const { point, totalBytes, fileCrc } = chunk;
    this.#incoming = {
      from: chunk.from,
      path,
      file,
      point,
      totalBytes,
      fileCrc,
      heldBytes: 0,
      crc: 0,
      staged: false,
    };
    return this.#incoming;
  }

  async #finish(incoming: Incoming): Promise<void> {
    if (incoming.crc !== incoming.fileCrc) {
      await this.discard();
      throw new KvError('CHECKSUM_MISMATCH', 'the snapshot arrived damaged; send it again');
    }
    await incoming.file.sync();
    failpoint('snapshot.staged');
    incoming.staged = true;
  }
}

/** What the name of a snapshot captured for `peer` begins with. */
const captureOf = (peer: NodeId): string => `to-${peer}-`;

const deposed = (): KvError => new KvError('NOT_LEADER', 'leadership ended during a snapshot');

const noRoom = (): KvError =>
  new KvError('NO_SPACE', 'the disk has too little room for a snapshot beside the log');

/** null: the link failed, and the piece may be sent again. */
function unlessFinal(error: unknown): null {
  if (error instanceof KvError && (error.code === 'UNAVAILABLE' || error.code === 'OVERLOADED')) {
    return null;
  }
  throw error;
}
