/**
 * The second home of term and vote, with the witness of the log and the recovering mark: a two-slot
 * file beside the log. The witness is an offset of the log known durable; it is never beyond it.
 */
import { ByteReader, ByteWriter } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { nodeId, term } from '../common/ids.ts';
import { KIB } from '../common/units.ts';
import type { Disk } from '../disk/disk.ts';
import { TwoSlotFile } from '../disk/two-slot-file.ts';
import type { HardState } from '../raft/types.ts';

const VERSION = 1;
const SLOT_BYTES = 4 * KIB;

export interface VoteRecord {
  readonly hardState: HardState;
  /** Every byte of the log below this was durable once. */
  readonly witnessOffset: number;
  readonly recovering: boolean;
}

const FRESH: VoteRecord = {
  hardState: { term: term(0), vote: nodeId(0) },
  witnessOffset: 0,
  recovering: false,
};

export class VoteFile {
  readonly #file: TwoSlotFile;
  #record: VoteRecord;
  /** Writes in order, one at a time. */
  #last: Promise<void> = Promise.resolve();

  private constructor(file: TwoSlotFile, record: VoteRecord) {
    this.#file = file;
    this.#record = record;
  }

  /** `damaged`: the file was there and neither slot verifies. */
  static async open(disk: Disk, path: string): Promise<{ file: VoteFile; damaged: boolean }> {
    const file = await TwoSlotFile.open(disk, { path, slotBytes: SLOT_BYTES });
    const { found } = file;
    const record = found.kind === 'record' ? decode(found.record) : FRESH;
    return { file: new VoteFile(file, record), damaged: found.kind === 'damaged' };
  }

  get record(): VoteRecord {
    return this.#record;
  }

  /** Changes fields of the record, durably once resolved. */
  update(change: Partial<VoteRecord>): Promise<void> {
    this.#last = this.#last.then(async () => {
      this.#record = { ...this.#record, ...change };
      await this.#file.write(encode(this.#record));
    });
    return this.#last;
  }

  async close(): Promise<void> {
    await this.#last;
    await this.#file.close();
  }
}

function encode(record: VoteRecord): Uint8Array {
  const writer = new ByteWriter(64).u8(VERSION).u64(record.hardState.term);
  writer
    .u64(record.hardState.vote)
    .u64(record.witnessOffset)
    .u8(record.recovering ? 1 : 0);
  return writer.finish();
}

function decode(bytes: Uint8Array): VoteRecord {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) {
    throw new KvError('CORRUPT', `vote file version ${version} is not known to this build`);
  }
  const hardState = { term: term(reader.u64()), vote: nodeId(reader.u64()) };
  const record = { hardState, witnessOffset: reader.u64(), recovering: reader.u8() === 1 };
  reader.end();
  return record;
}
