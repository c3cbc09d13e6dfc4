/**
 * The second home of term and vote, with what must outlive damage of the log: the witness and the
 * recovering mark. A two-slot file beside the log.
 */
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { failpoint } from '../common/failpoint.ts';
import { checkFormat } from '../common/format.ts';
import { nodeId, term } from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import type { Disk } from '../disk/disk.ts';
import { TwoSlotFile, type TwoSlotRead } from '../disk/two-slot-file.ts';
import type { HardState } from '../raft/types.ts';

const VERSION = 1;
const SLOT_BYTES = 4 * KIB;

export interface VoteRecord {
  readonly hardState: HardState;
  /** Every byte of the log below this position was durable once; never beyond that. */
  readonly witness: number;
  readonly recovering: boolean;
}

const FRESH: VoteRecord = {
  hardState: { term: term(0), vote: nodeId(0) },
  witness: 0,
  recovering: false,
};

export class VoteFile {
  readonly #file: TwoSlotFile;
  #record: VoteRecord;
  /** Writes in order, one at a time; an error stays. */
  #tail: Promise<void> = Promise.resolve();

  private constructor(file: TwoSlotFile) {
    this.#file = file;
    this.#record = file.found.kind === 'record' ? decode(file.found.record) : FRESH;
  }

  static async open(disk: Disk, path: string): Promise<VoteFile> {
    return new VoteFile(await TwoSlotFile.open(disk, { path, slotBytes: SLOT_BYTES }));
  }

  /** What stood in the file at open. */
  get found(): TwoSlotRead {
    return this.#file.found;
  }

  get record(): VoteRecord {
    return this.#record;
  }

  /** Changes fields of the record, durably once resolved. */
  update(change: Partial<VoteRecord>): Promise<void> {
    return this.#inTurn(async () => {
      await this.#file.write(this.#changed(change));
      failpoint('vote.durable');
    });
  }

  /** Like `update`, into both slots: for marks that no decay of one slot may take back. */
  updateBoth(change: Partial<VoteRecord>): Promise<void> {
    return this.#inTurn(() => this.#file.writeBoth(this.#changed(change)));
  }

  async close(): Promise<void> {
    await this.#tail;
    await this.#file.close();
  }

  #changed(change: Partial<VoteRecord>): Uint8Array {
    this.#record = { ...this.#record, ...change };
    return encode(this.#record);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#tail.then(work);
    this.#tail = done;
    return done;
  }
}

function encode({ hardState, witness, recovering }: VoteRecord): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION).u64(hardState.term).u64(hardState.vote);
  return writer
    .u64(witness)
    .u8(recovering ? 1 : 0)
    .finish();
}

function decode(bytes: Uint8Array): VoteRecord {
  const reader = new ByteReader(bytes);
  checkFormat('the vote file is', reader.u8(), VERSION);
  const hardState = { term: term(reader.u64()), vote: nodeId(reader.u64()) };
  const record = { hardState, witness: reader.u64(), recovering: reader.u8() === 1 };
  reader.end();
  return record;
}
