/** Goal: a snapshot that comes to nothing leaves nothing, neither where it was captured nor where it was to go. */
import { beforeEach, describe, expect, test } from '@jest/globals';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';
import { logIndex, nodeId, term } from '../common/ids.ts';
import { KIB, MIB } from '../common/units.ts';
import { MemoryDisk } from '../disk/memory-disk.ts';
import { TextMachine } from '../testing/text-machine.ts';
import { SnapshotTransfer } from './snapshot-transfer.ts';
import type { SnapshotSource } from './state-machine.ts';
import type { SnapshotChunk, SnapshotProgress, Transport } from './transport.ts';

const FOLDER = '/snapshots';
const CHUNK = new Uint8Array(256 * KIB).fill(7);
const CHUNKS = 80;
const ROOM = 1024 * MIB;

/** A machine whose state is so many chunks, and which counts the views that are open. */
class LargeMachine extends TextMachine {
  openViews = 0;
  captures = 0;
  /** Called before each chunk. */
  onChunk: (at: number) => void = () => undefined;

  override async openSnapshot(): Promise<SnapshotSource> {
    await Promise.resolve();
    this.openViews += 1;
    this.captures += 1;
    return {
      point: { index: logIndex(this.captures), term: term(1) },
      chunks: this.#chunks(),
      close: async () => {
        await Promise.resolve();
        this.openViews -= 1;
      },
    };
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < CHUNKS; at += 1) {
      await Promise.resolve();
      this.onChunk(at);
      yield CHUNK;
    }
  }
}

let disk: MemoryDisk;
let machine: LargeMachine;
let transfer: SnapshotTransfer;
let receive: (chunk: SnapshotChunk) => SnapshotProgress;
let leads: boolean;

beforeEach(async () => {
  disk = new MemoryDisk();
  machine = new LargeMachine();
  leads = true;
  receive = ({ offset, data, totalBytes }) => ({
    heldBytes: offset + data.length,
    staged: offset + data.length === totalBytes,
  });
  const transport: Transport = {
    listen: () => undefined,
    send: () => undefined,
    sendSnapshotChunk: async (chunk) => receive(chunk),
  };
  transfer = await SnapshotTransfer.open({ disk, transport, machine, self: nodeId(1) }, FOLDER);
});

const send = (): Promise<unknown> => {
  const target = { peer: nodeId(2), term: term(3), stillLeads: () => leads };
  return transfer.send({ ...target, pause: () => Promise.resolve() });
};
const files = (): readonly string[] => disk.files().map(({ path }) => path);

describe('a capture', () => {
  const afterIt = async (): Promise<void> => {
    expect(files()).toEqual([]);
    expect(machine.openViews).toBe(0);
    disk.fill(ROOM);
    machine.onChunk = () => undefined;
    leads = true;
    expect(await send()).toMatchObject({ index: machine.captures });
    expect(files()).toEqual([]);
    expect(machine.openViews).toBe(0);
  };

  test('that finds the disk full in its middle leaves nothing, and the next one works', async () => {
    disk.skipNext('write', 'to-2-');
    disk.failNext('write', 'to-2-', 'NO_SPACE');
    await expect(send()).rejects.toMatchObject({ code: 'NO_SPACE' });
    await afterIt();
  });

  test('whose source fails leaves nothing', async () => {
    machine.onChunk = (at) => {
      if (at === 3) throw new KvError('CORRUPT', 'a bad row');
    };
    await expect(send()).rejects.toMatchObject({ code: 'CORRUPT' });
    await afterIt();
  });

  test('whose file cannot be made lets go of the view', async () => {
    disk.failNext('open', 'to-2-');
    await expect(send()).rejects.toMatchObject({ code: 'DISK_FAILED' });
    await afterIt();
  });

  test('that cannot be streamed leaves nothing', async () => {
    receive = () => {
      throw new KvError('CORRUPT', 'the peer is broken');
    };
    await expect(send()).rejects.toMatchObject({ code: 'CORRUPT' });
    receive = ({ totalBytes }) => ({ heldBytes: totalBytes, staged: true });
    await afterIt();
  });

  test('is not begun where the disk has no more than the log may need', async () => {
    disk.fill(30 * MIB);
    await expect(send()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(machine.captures).toBe(0);
    await afterIt();
  });

  test('ends before it takes the room that the log may need', async () => {
    disk.fill(70 * MIB);
    await expect(send()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(machine.captures).toBe(1);
    expect((await disk.space()).freeBytes).toBeGreaterThan(50 * MIB);
    // The same room is known to be too little now.
    disk.fill(70 * MIB);
    await expect(send()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(machine.captures).toBe(1);
    // The state may be smaller by now: it is tried again.
    await expect(send()).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(machine.captures).toBe(2);
    await afterIt();
  });

  test('waits a while for room', async () => {
    disk.fill(30 * MIB);
    let pauses = 0;
    const target = { peer: nodeId(2), term: term(3), stillLeads: () => true };
    const pause = async (): Promise<void> => {
      pauses += 1;
      if (pauses === 3) disk.fill(ROOM);
    };
    await transfer.send({ ...target, pause });
    expect(pauses).toBe(3);
  });

  test('of a leader that was deposed ends at once', async () => {
    let read = 0;
    machine.onChunk = (at) => {
      leads = at < 5;
      read = at;
    };
    await expect(send()).rejects.toMatchObject({ code: 'NOT_LEADER' });
    expect(read).toBe(5);
    await afterIt();
  });

  test('removes what an earlier one for the same peer could not remove', async () => {
    const left = await disk.open(`${FOLDER}/to-2-900.part`, 'create');
    await left.close();
    const other = await disk.open(`${FOLDER}/to-20-900.part`, 'create');
    await other.close();
    await send();
    expect(files()).toEqual([`${FOLDER}/to-20-900.part`]);
  });
});

describe('an unfinished snapshot that is being received', () => {
  const whole = new Uint8Array(1000).fill(5);
  const chunk = (offset: number, end: number, from = 2): SnapshotChunk => ({
    from: nodeId(from),
    to: nodeId(1),
    term: 3,
    point: { index: logIndex(7), term: term(2) },
    totalBytes: whole.length,
    fileCrc: crc32(whole),
    offset,
    data: whole.subarray(offset, end),
  });

  test('goes once another node leads, and stays while its sender does', async () => {
    await transfer.receive(chunk(0, 500));
    await transfer.leaderIs(nodeId(2));
    expect(files()).toHaveLength(1);
    await transfer.leaderIs(nodeId(3));
    expect(files()).toEqual([]);
    expect(await transfer.receive(chunk(500, 1000))).toEqual({ heldBytes: 0, staged: false });
    expect(await transfer.receive(chunk(0, 1000))).toEqual({ heldBytes: 1000, staged: true });
    // Staged: whether it is installed is not decided here.
    await transfer.leaderIs(nodeId(3));
    expect(files()).toHaveLength(1);
  });

  test('goes where the disk has no room for it', async () => {
    await transfer.receive(chunk(0, 500));
    disk.failNext('write', 'from-2-', 'NO_SPACE');
    await expect(transfer.receive(chunk(500, 1000))).rejects.toMatchObject({ code: 'NO_SPACE' });
    expect(files()).toEqual([]);
    expect(await transfer.receive(chunk(500, 1000))).toEqual({ heldBytes: 0, staged: false });
    expect(await transfer.receive(chunk(0, 1000))).toEqual({ heldBytes: 1000, staged: true });
  });
});
