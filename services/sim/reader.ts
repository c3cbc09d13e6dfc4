/** Reads of a client: every byte is compared, and what was seen goes into the history. */
import { compareBytes, textOf, utf8 } from '../common/bytes.ts';
import { logIndex } from '../common/ids.ts';
import type { Consistency, Gateway, Page, ReadContext } from '../coordinator/gateway.ts';
import { type Answer, pause } from './call.ts';
import type { ClientSession } from './client-session.ts';
import type { Access, Operation } from './history.ts';

const PAGE_LIMIT = 7;
const NONE = new Uint8Array(0);

export class Reader {
  readonly #session: ClientSession;

  constructor(session: ClientSession) {
    this.#session = session;
  }

  async read(key: string, consistency: Consistency, how: 'get' | 'head' | 'range'): Promise<void> {
    const { counters, recorder, draw } = this.#session.parts;
    const startMs = recorder.now();
    const minIndex = draw.chance(0.3) ? this.#session.seenIndex : 0;
    const answer = await this.#session.call(async (gateway, signal, timeoutMs) => {
      const context: ReadContext = { consistency, minIndex: logIndex(minIndex), signal, timeoutMs };
      const found = await gateway.find(utf8(key), context);
      if (how === 'head') return found;
      return this.#readValue(gateway, key, { found, how, context });
    });
    const seen = this.#seenOf(answer);
    if (seen === null) return;
    counters.sometimes(consistency === 'stale', 'stale read');
    if (answer.kind === 'ok') {
      const { blobId, digest, size } = answer.value.record;
      this.#session.see(key, blobId, digest, size);
    }
    this.#addRead({ key, kind: 'read', ...seen }, { startMs, consistency, minIndex });
  }

  async list(): Promise<void> {
    const { recorder, counters, draw, plan } = this.#session.parts;
    const prefix = draw.chance(0.5) || plan.coldKeys === 0 ? 'hot/' : 'cold/';
    let after: Uint8Array | null = null;
    for (let page = 0; page < 8; page += 1) {
      const from: Uint8Array | null = after;
      const startMs = recorder.now();
      const answer: Answer<Page> = await this.#session.call((gateway, signal, timeoutMs) =>
        gateway.list(
          { prefix: utf8(prefix), start: NONE, end: NONE, after: from, limit: PAGE_LIMIT },
          { consistency: 'linearizable', minIndex: logIndex(0), signal, timeoutMs },
        ),
      );
      if (answer.kind === 'error') this.#session.judgeCode(answer.error, 'read');
      if (answer.kind !== 'ok') return;
      this.#addPage(prefix, { from, page: answer.value, startMs });
      if (!answer.value.more) return;
      counters.note('listing of several pages');
      after = answer.value.entries.at(-1)?.key ?? null;
    }
  }

  /** What a read has seen; null: it has seen nothing. */
  #seenOf(
    answer: Answer<{
      readonly record: { readonly digest: string; readonly version: { readonly index: number } };
      readonly readIndex: number;
    }>,
  ): { readonly value: string | null; readonly version?: number; readonly index: number } | null {
    if (answer.kind === 'ok') {
      const { record, readIndex } = answer.value;
      const value = this.#session.parts.recorder.nameOf(record.digest);
      return { value, version: record.version.index, index: readIndex };
    }
    if (answer.kind !== 'error') return null;
    const { code, detail } = answer.error;
    if (code === 'KEY_NOT_FOUND') {
      return { value: null, index: Number(detail['raftIndex'] ?? 0) };
    }
    this.#session.countRefusal(code);
    this.#session.judgeCode(answer.error, 'read');
    return null;
  }

  /** Reads a value, or a part of it, and compares every byte. */
  async #readValue(
    gateway: Gateway,
    key: string,
    {
      found,
      how,
      context,
    }: {
      readonly found: Awaited<ReturnType<Gateway['find']>>;
      readonly how: 'get' | 'range';
      readonly context: ReadContext;
    },
  ): Promise<Awaited<ReturnType<Gateway['find']>>> {
    const { draw, recorder, counters, cluster } = this.#session.parts;
    const { size } = found.record;
    const offset = how === 'range' ? draw.below(size + 1) : 0;
    const length = how === 'range' ? draw.below(size - offset + 1) : size;
    const range = how === 'range' ? { offset, length } : null;
    const opened = await gateway.open(found, range, utf8(key), context);
    const pieces: Uint8Array[] = [];
    const slowMs = draw.chance(0.1) ? 100 : 0;
    for await (const piece of opened.body) {
      pieces.push(piece);
      if (slowMs > 0) await pause(cluster, draw.exponential(slowMs));
    }
    const { digest } = opened.found.record;
    const whole = recorder.valueOf(digest);
    if (whole === null) {
      recorder.wrong(
        `${this.#session.name} read ${key}: a value that nobody has written, ${digest}`,
      );
      return opened.found;
    }
    counters.sometimes(whole.length > 300_000, 'read of a value of many chunks');
    const wanted = range === null ? whole : whole.subarray(offset, offset + length);
    // A range of a value that was replaced meanwhile is a range of the newer one.
    if (compareBytes(Buffer.concat(pieces), wanted) !== 0) {
      recorder.wrong(`${this.#session.name} read ${key}: not the bytes of ${digest} (${how})`);
    }
    return opened.found;
  }

  /** A page says of each key within its bounds what it is, or that it is not. */
  #addPage(
    prefix: string,
    {
      from,
      page,
      startMs,
    }: { readonly from: Uint8Array | null; readonly page: Page; readonly startMs: number },
  ): void {
    const { plan } = this.#session.parts;
    const count = prefix === 'hot/' ? plan.hotKeys : plan.coldKeys;
    const listed = new Map(page.entries.map((entry) => [textOf(entry.key), entry]));
    const last = page.entries.at(-1)?.key;
    for (let n = 0; n < count; n += 1) {
      const key = `${prefix}${n}`;
      const isBefore = from !== null && compareBytes(utf8(key), from) <= 0;
      const isBehind = page.more && last !== undefined && compareBytes(utf8(key), last) > 0;
      if (isBefore || isBehind) continue;
      const entry = listed.get(key);
      this.#addRead(
        {
          key,
          kind: 'read',
          value: entry === undefined ? null : this.#session.parts.recorder.nameOf(entry.digest),
          ...(entry === undefined ? {} : { version: entry.version.index }),
          index: page.readIndex,
        },
        { startMs, consistency: 'linearizable', minIndex: 0 },
      );
    }
  }

  #addRead(
    { index, ...access }: Access & { readonly index: number },
    how: { readonly startMs: number; readonly consistency: Consistency; readonly minIndex: number },
  ): void {
    const { recorder } = this.#session.parts;
    const { startMs, consistency, minIndex } = how;
    // A stale answer says nothing of the present, so a later read may be older.
    if (consistency === 'linearizable')
      this.#session.seenIndex = Math.max(this.#session.seenIndex, index);
    const operation: Operation = {
      ...access,
      startMs,
      endMs: recorder.now(),
      outcome: 'ok',
      client: this.#session.name,
      raftIndex: index,
      ...(minIndex > 0 ? { minIndex } : {}),
      ...(consistency === 'stale' ? { isStale: true } : {}),
    };
    recorder.add(operation);
  }
}
