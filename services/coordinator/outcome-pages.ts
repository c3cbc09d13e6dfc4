/**
 * Outcome rows on disk: many, small, never asked for by their keys, and gone after a while in the order
 * in which they came. So a flush adds those since the last one as a page, one row of LevelDB in the place
 * of one for each. The newest page says where the oldest row that is left stands
 * (docs/formats/metadata.md).
 */
import { ByteReader, ByteWriter, concatBytes } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';
import { checkFormat } from '../common/format.ts';
import { TABLE } from '../metadata/keys.ts';
import type { OutcomeRow } from '../metadata/outcomes.ts';
import type { TableOperation } from './table.ts';
import { checked, numberedKey, numberOfKey, sealed, type TableRow } from './table-rows.ts';

const PAGE_VERSION = 1;
const HEAD_BYTES = 13;

/** Pages stand below all tables of the metadata, as the flush chain does. */
const PAGE_TABLE = 0x02;
export const PAGES_FIRST = Uint8Array.of(PAGE_TABLE);
export const PAGES_END = Uint8Array.of(PAGE_TABLE + 1);

/** Where the outcome rows stand among all rows: [first, end). */
export const OUTCOMES_FIRST = Uint8Array.of(TABLE.outcome);
export const OUTCOMES_END = Uint8Array.of(TABLE.outcome + 1);

interface Page {
  readonly sequence: number;
  /** Rows that it was given. */
  readonly count: number;
}

/** What stored pages hold. */
export interface ReadPages {
  readonly pages: OutcomePages;
  /** Oldest first, made one by one: there may be a million, and each is two objects. */
  readonly rows: Iterable<OutcomeRow>;
}

export class OutcomePages {
  /** Oldest first; the newest stays even when all its rows have gone. */
  readonly #pages: Page[];
  /** Rows that have gone since the beginning of the oldest page. */
  #gone: number;
  /** Rows since the last `take`. */
  #young = new ByteWriter();
  #youngCount = 0;
  #hasChanged = false;

  constructor(pages: Page[] = [], gone = 0) {
    this.#pages = pages;
    this.#gone = gone;
  }

  /** From the stored pages, in their order. @throws KvError `CORRUPT`. */
  static read(stored: readonly TableRow[]): ReadPages {
    const pages: Page[] = [];
    const contents: Uint8Array[] = [];
    let head = { oldest: 0, gone: 0 };
    for (const [key, value] of stored) {
      const content = checked(key, value);
      const reader = new ByteReader(content);
      head = readHead(reader);
      contents.push(content.subarray(HEAD_BYTES));
      pages.push({ sequence: numberOfKey(key), count: rowCount(reader) });
    }
    for (const [i, { sequence }] of pages.entries()) {
      if (sequence === head.oldest + i) continue;
      throw new KvError('CORRUPT', `outcome page ${head.oldest + i} is missing`);
    }
    return { pages: new OutcomePages(pages, head.gone), rows: rowsIn(contents, head.gone) };
  }

  push(key: Uint8Array, value: Uint8Array): void {
    this.#young.bytes(key).bytes(value);
    this.#youngCount += 1;
    this.#hasChanged = true;
  }

  shift(): void {
    this.#gone += 1;
    this.#hasChanged = true;
  }

  /** What makes the stored pages those of this moment; all of it goes into one batch. */
  take(): readonly TableOperation[] {
    if (!this.#hasChanged) return [];
    const sequence = 1 + (this.#pages.at(-1)?.sequence ?? 0);
    this.#pages.push({ sequence, count: this.#youngCount });
    const emptied = this.#dropEmptied();
    const oldest = this.#pages[0]?.sequence ?? sequence;
    const head = new ByteWriter(HEAD_BYTES).u8(PAGE_VERSION).u64(oldest).u32(this.#gone);
    const key = numberedKey(PAGE_TABLE, sequence);
    const page = sealed(key, concatBytes([head.finish(), this.#young.finish()]));
    this.#young = new ByteWriter();
    this.#youngCount = 0;
    this.#hasChanged = false;
    return [{ type: 'put', key, value: page }, ...emptied];
  }

  #dropEmptied(): readonly TableOperation[] {
    const operations: TableOperation[] = [];
    let [oldest, next] = this.#pages;
    while (oldest !== undefined && next !== undefined && this.#gone >= oldest.count) {
      operations.push({ type: 'del', key: numberedKey(PAGE_TABLE, oldest.sequence) });
      this.#gone -= oldest.count;
      this.#pages.shift();
      [oldest, next] = this.#pages;
    }
    return operations;
  }
}

function rowCount(reader: ByteReader): number {
  let count = 0;
  for (; reader.remaining > 0; count += 1) {
    reader.skipBytes();
    reader.skipBytes();
  }
  return count;
}

/** The rows of some pages but the first `gone`. */
function* rowsIn(contents: readonly Uint8Array[], gone: number): Generator<OutcomeRow> {
  let left = gone;
  for (const content of contents) {
    const reader = new ByteReader(content);
    for (; reader.remaining > 0 && left > 0; left -= 1) {
      reader.skipBytes();
      reader.skipBytes();
    }
    while (reader.remaining > 0) yield [reader.bytes(), reader.bytes()];
  }
}

function readHead(reader: ByteReader): { readonly oldest: number; readonly gone: number } {
  checkFormat('an outcome page is', reader.u8(), PAGE_VERSION);
  return { oldest: reader.u64(), gone: reader.u32() };
}
