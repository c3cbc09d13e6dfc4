/**
 * One client of a run: calls a gateway, any of them, waits for the answer as long as it likes, thinks, and
 * goes on. All that it does and sees goes into the history; what no order of events could explain is said at once.
 */
import { compareBytes, textOf, utf8 } from '../common/bytes.ts';
import { type ErrorCode, type KvError } from '../common/errors.ts';
import { blobId as asBlobId, type BlobId, logIndex, type TxnId, txnId } from '../common/ids.ts';
import type {
  Consistency,
  Gateway,
  MutationContext,
  MutationResult,
  Page,
  ReadContext,
  TransactionOp,
} from '../coordinator/gateway.ts';
import type { Condition } from '../metadata/commands.ts';
import { type Answer, type ClientWorld, callGateway, type Door, pause } from './call.ts';
import type { Draw } from './draw.ts';
import type { Access, Operation } from './history.ts';
import type { Mix, Profile, WorkloadPlan } from './plan.ts';
import type { Recorder } from './recorder.ts';
import type { SometimesCounters } from './sometimes.ts';
import type { Value } from './values.ts';

export interface ClientParts {
  readonly cluster: ClientWorld;
  readonly draw: Draw;
  readonly recorder: Recorder;
  readonly counters: SometimesCounters;
  readonly plan: WorkloadPlan;
  readonly profile: Profile;
}

/** A key as a client last saw it: what conditions are made of. */
interface Sight {
  readonly blobId: BlobId;
  readonly name: string;
}

/** One key of a mutation: for the gateway and for the history. */
interface Planned {
  readonly key: string;
  readonly op: 'put' | 'delete' | 'check';
  readonly value: Value | null;
  readonly condition: Condition | null;
  readonly access: Access;
}

const RETRIES_MAX = 4;
const MAX_BYTES = 2 ** 30;
const PAGE_LIMIT = 7;
const GROUP_KEYS = 3;
const CHUNK_BYTES = 50_000;
/** Answers that no client may ever get from requests that are well-formed. */
const NEVER: ReadonlySet<ErrorCode> = new Set([
  'INTERNAL',
  'INVALID_ARGUMENT',
  'INVALID_KEY',
  'CHECKSUM_MISMATCH',
  'IDEMPOTENCY_KEY_REUSED',
  'TOO_LARGE',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'STALE_SESSION',
  'UNREADABLE',
  'OUT_OF_RANGE',
  'CORRUPT',
  'LOCKED',
  'STATE_DIVERGED',
]);

export class Client {
  readonly name: string;
  readonly #parts: ClientParts;
  readonly #sights = new Map<string, Sight>();
  /** The greatest index that an answer has named. */
  #seenIndex = 0;
  #requests = 0;
  #mutations = 0;
  #isStopped = false;
  /** Through which all calls go; null: any. */
  #gateway: Door | null = null;
  operations = 0;

  constructor(name: string, parts: ClientParts) {
    this.name = name;
    this.#parts = parts;
  }

  stop(): void {
    this.#isStopped = true;
  }

  /** Writes a key through that host; answers whether it was acknowledged. */
  async probe(host: Door, key: string): Promise<boolean> {
    this.#gateway = host;
    const { recorder, cluster } = this.#parts;
    await this.#mutate([this.#planPut(key, null)]);
    const isDone = recorder.operations.at(-1)?.outcome === 'ok';
    if (!isDone) await pause(cluster, 20);
    return isDone;
  }

  /** Reads a key through that host; answers whether it was told what the key is. */
  async readBack(host: Door, key: string): Promise<boolean> {
    this.#gateway = host;
    const { recorder, cluster } = this.#parts;
    const before = recorder.operations.length;
    await this.#read(key, 'linearizable', 'get');
    const isRead = recorder.operations.length > before;
    if (!isRead) await pause(cluster, 20);
    return isRead;
  }

  /** One operation after the other until it is stopped. */
  async run(operationsMax: number): Promise<void> {
    const { cluster, draw, plan } = this.#parts;
    while (!this.#isStopped && this.operations < operationsMax) {
      await pause(cluster, draw.exponential(plan.thinkMsMean));
      if (this.#isStopped) return;
      this.operations += 1;
      await this.#one(pickKind(draw, plan.mix));
    }
  }

  async #one(kind: keyof Mix): Promise<void> {
    const { draw } = this.#parts;
    const key = this.#key();
    switch (kind) {
      case 'put':
        if (draw.chance(this.#parts.plan.vanishing)) return this.#vanish(key);
        return this.#mutate([this.#planPut(key, null)]);
      case 'delete':
        return this.#mutate([this.#planDelete(key, null)]);
      case 'conditionalPut':
        return this.#mutate([this.#planPut(key, this.#condition(key))]);
      case 'conditionalDelete':
        return this.#mutate([this.#planDelete(key, this.#condition(key))]);
      case 'transaction':
        return this.#mutate(this.#planTransaction());
      case 'get':
        return this.#read(key, draw.chance(0.1) ? 'stale' : 'linearizable', 'get');
      case 'head':
        return this.#read(key, draw.chance(0.1) ? 'stale' : 'linearizable', 'head');
      case 'range':
        return this.#read(key, 'linearizable', 'range');
      case 'list':
        return this.#list();
    }
  }

  #key(): string {
    const { draw, plan } = this.#parts;
    const isHot = plan.coldKeys === 0 || draw.chance(plan.heat);
    return isHot ? `hot/${draw.below(plan.hotKeys)}` : `cold/${draw.below(plan.coldKeys)}`;
  }

  /** Keys that transactions join: few, since an order of all keys together is dear to find. */
  #keyGroup(): readonly string[] {
    const { draw, plan } = this.#parts;
    if (plan.coldKeys < GROUP_KEYS || draw.chance(plan.heat)) {
      return Array.from({ length: plan.hotKeys }, (_, n) => `hot/${n}`);
    }
    const first = GROUP_KEYS * draw.below(Math.floor(plan.coldKeys / GROUP_KEYS));
    return Array.from({ length: GROUP_KEYS }, (_, n) => `cold/${first + n}`);
  }

  #planPut(key: string, condition: Condition | null): Planned {
    const { draw, plan, recorder } = this.#parts;
    const largest = draw.chance(0.1) ? plan.valueBytesMax : Math.min(2000, plan.valueBytesMax);
    const value = recorder.nextValue(key, draw.chance(0.02) ? 0 : 8 + draw.below(largest));
    const access: Access = {
      key,
      kind: 'write',
      value: recorder.nameOf(value.digest),
      condition: this.#named(key, condition),
    };
    return { key, op: 'put', value, condition, access };
  }

  #planDelete(key: string, condition: Condition | null): Planned {
    const access: Access = {
      key,
      kind: 'write',
      value: null,
      condition: this.#named(key, condition),
    };
    return { key, op: 'delete', value: null, condition, access };
  }

  #planTransaction(): readonly Planned[] {
    const { draw, counters } = this.#parts;
    const group = this.#keyGroup();
    const keys = draw.shuffled(group).slice(0, draw.between(2, 3));
    counters.sometimes(keys.length > 1, 'transaction of several keys');
    return keys.map((key): Planned => {
      const condition = draw.chance(0.3) ? this.#condition(key) : null;
      const wish = draw.below(10);
      if (wish < 6) return this.#planPut(key, condition);
      if (wish < 8) return this.#planDelete(key, condition);
      const asked = condition ?? ({ kind: 'exists' } as const);
      const access: Access = {
        key,
        kind: 'check',
        value: null,
        condition: this.#named(key, asked),
      };
      return { key, op: 'check', value: null, condition: asked, access };
    });
  }

  #condition(key: string): Condition {
    const { draw } = this.#parts;
    const sight = this.#sights.get(key);
    if (sight === undefined || draw.chance(0.3)) {
      return { kind: draw.chance(0.6) ? 'absent' : 'exists' };
    }
    return { kind: draw.chance(0.8) ? 'match' : 'none-match', blobIds: [sight.blobId] };
  }

  /** The same condition with values named as in the history. */
  #named(key: string, condition: Condition | null): Access['condition'] {
    if (condition === null) return null;
    if (!('blobIds' in condition)) return condition;
    const sight = this.#sights.get(key);
    return { kind: condition.kind, values: sight === undefined ? [] : [sight.name] };
  }

  /** Sends a mutation, again under the same idempotency key where that is its habit. */
  async #mutate(planned: readonly Planned[]): Promise<void> {
    const { draw, plan, recorder, counters } = this.#parts;
    const isIdempotent = draw.chance(plan.idempotent);
    this.#mutations += 1;
    const idempotencyKey = isIdempotent ? `${this.name}-${this.#mutations}` : null;
    const startMs = recorder.now();
    let isOpen = false;
    for (let attempt = 0; ; attempt += 1) {
      const answer = await this.#call((gateway, signal, timeoutMs) =>
        this.#send(gateway, planned, this.#context(signal, timeoutMs, idempotencyKey)),
      );
      const verdict = await this.#judge(planned, answer);
      if (verdict.outcome === 'ok' || verdict.outcome === 'refused') {
        counters.sometimes(isOpen, 'idempotent retry was answered by the first');
        this.#record(planned, startMs, verdict);
        return;
      }
      isOpen ||= verdict.outcome === 'unknown';
      const isLast = !isOpen || !isIdempotent || attempt >= RETRIES_MAX || this.#isStopped;
      if (isLast) {
        this.#record(planned, startMs, { ...verdict, outcome: isOpen ? 'unknown' : 'failed' });
        return;
      }
      await pause(this.#parts.cluster, draw.exponential(200));
    }
  }

  /** Each once: a delete is no put, a single put travels as a stream, all else as a transaction. */
  #send(
    gateway: Gateway,
    planned: readonly Planned[],
    context: MutationContext,
  ): Promise<MutationResult> {
    const [only] = planned;
    if (planned.length === 1 && only !== undefined && only.op !== 'check') {
      const key = utf8(only.key);
      const { value, condition } = only;
      if (value === null) return gateway.delete(key, condition, context);
      return this.#put(gateway, { key, condition, value, sent: value.bytes.length }, context);
    }
    return gateway.transact(planned.map(toOp), context);
  }

  /** As HTTP does it: asked first, then the body piece by piece. */
  async #put(
    gateway: Gateway,
    put: {
      readonly key: Uint8Array;
      readonly condition: Condition | null;
      readonly value: Value;
      readonly sent: number;
    },
    context: MutationContext,
  ): Promise<MutationResult> {
    const { cluster, draw } = this.#parts;
    const { key, condition, value, sent } = put;
    const declaredBytes = draw.chance(0.8) ? value.bytes.length : null;
    const slowMs = draw.chance(0.1) ? 30 : 0;
    await gateway.admitWrite(declaredBytes, context.timeoutMs);
    const body = async function* (): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < sent; at += CHUNK_BYTES) {
        if (slowMs > 0 || at > 0) await pause(cluster, draw.exponential(slowMs + 0.2));
        yield value.bytes.subarray(at, Math.min(at + CHUNK_BYTES, sent));
      }
      // A client that goes away never ends what it sends.
      if (sent < value.bytes.length) await new Promise<never>(() => undefined);
    };
    return gateway.put(
      {
        key,
        condition,
        headers: [],
        declaredBytes,
        body: body(),
        expectedDigest: draw.chance(0.5) ? value.digest : null,
        maxBytes: MAX_BYTES,
      },
      context,
    );
  }

  /** An upload whose client is gone before its end: it must never be seen. */
  async #vanish(key: string): Promise<void> {
    const { cluster, draw, recorder, counters } = this.#parts;
    const value = recorder.nextValue(key, 8 + draw.below(600_000));
    const sent = draw.below(value.bytes.length);
    const startMs = recorder.now();
    const patienceMs = 20 + draw.exponential(100);
    await this.#call(
      (gateway, signal, timeoutMs) =>
        this.#put(
          gateway,
          { key: utf8(key), condition: null, value, sent },
          this.#context(signal, timeoutMs, null),
        ),
      patienceMs,
    );
    counters.note('client was gone in the middle of a body');
    const access = { key, kind: 'write', value: recorder.nameOf(value.digest) } as const;
    const endMs = recorder.now();
    recorder.add({ ...access, startMs, endMs, outcome: 'failed', client: this.name });
    await pause(cluster, 1);
  }

  async #judge(planned: readonly Planned[], answer: Answer<MutationResult>): Promise<Verdict> {
    const { counters } = this.#parts;
    if (answer.kind === 'refused') return { outcome: 'failed' };
    if (answer.kind === 'lost') return { outcome: 'unknown' };
    if (answer.kind === 'ok') {
      this.#learn(planned, answer.value);
      const { index, results } = answer.value;
      const found = results.map(({ effect }) => FOUND[effect]);
      return { outcome: 'ok', index, found };
    }
    const { error } = answer;
    this.#countRefusal(error.code);
    const { failedOp, raftIndex, txnId: txn } = error.detail;
    if (error.code === 'PRECONDITION_FAILED') {
      counters.note('condition failed');
      return {
        outcome: 'refused',
        ...(typeof raftIndex === 'number' ? { index: raftIndex } : {}),
        ...(typeof failedOp === 'number' ? { failedOp } : {}),
      };
    }
    this.#judgeCode(error, 'write');
    if (error.row.outcome === 'not_applied') return { outcome: 'failed' };
    counters.note('write answered unknown');
    if (typeof txn === 'string' && this.#parts.draw.chance(0.6)) {
      return this.#resolve(txnId(txn));
    }
    return { outcome: 'unknown' };
  }

  /** Asks what became of a transaction until that is known, or for as long as the client cares. */
  async #resolve(txn: TxnId): Promise<Verdict> {
    const { cluster, counters, draw } = this.#parts;
    for (let turns = 0; turns < 10 && !this.#isStopped; turns += 1) {
      await pause(cluster, draw.exponential(400));
      const answer = await this.#call((gateway, _, timeoutMs) =>
        gateway.transaction(txn, timeoutMs),
      );
      if (answer.kind !== 'ok' || answer.value.kind === 'pending') continue;
      if (answer.value.kind === 'unknown') return { outcome: 'unknown' };
      const outcome = answer.value.kind === 'decided' ? answer.value.outcome : null;
      if (outcome?.kind !== 'applied') {
        counters.note('unknown write was not applied');
        return { outcome: 'failed' };
      }
      counters.note('unknown write was applied');
      const found = outcome.results.map(({ effect }) => FOUND[effect]);
      return { outcome: 'ok', index: outcome.index, found };
    }
    return { outcome: 'unknown' };
  }

  #record(planned: readonly Planned[], startMs: number, verdict: Verdict): void {
    const { recorder } = this.#parts;
    const { outcome, index, failedOp, found } = verdict;
    const endMs = outcome === 'unknown' ? Number.POSITIVE_INFINITY : recorder.now();
    const accesses = planned.map(({ access, op }, place): Access => {
      const was = op === 'check' ? undefined : found?.[place];
      return was === undefined ? access : { ...access, found: was };
    });
    const [first, ...together] = accesses;
    if (first === undefined) return;
    if (index !== undefined) this.#seenIndex = Math.max(this.#seenIndex, index);
    if (outcome === 'ok' && index !== undefined) {
      for (const { key } of planned) recorder.onAcknowledged({ index, key });
    }
    recorder.add({
      ...first,
      ...(together.length > 0 ? { together } : {}),
      startMs,
      endMs,
      outcome,
      client: this.name,
      ...(index === undefined ? {} : { raftIndex: index }),
      ...(failedOp === undefined ? {} : { failedOp }),
    });
  }

  /** What an answered write tells about its keys. */
  #learn(planned: readonly Planned[], { results }: MutationResult): void {
    planned.forEach(({ key, value }, place) => {
      const id = results[place]?.blobId ?? '';
      if (value === null || id === '') this.#sights.delete(key);
      else this.#see(key, asBlobId(id), value.digest, value.bytes.length);
    });
  }

  /** Empty values are all alike, so none of them can be told from another one. */
  #see(key: string, id: BlobId, digest: string, size: number): void {
    if (size === 0) this.#sights.delete(key);
    else this.#sights.set(key, { blobId: id, name: this.#parts.recorder.nameOf(digest) });
  }

  async #read(key: string, consistency: Consistency, how: 'get' | 'head' | 'range'): Promise<void> {
    const { counters, recorder, draw } = this.#parts;
    const startMs = recorder.now();
    const minIndex = draw.chance(0.3) ? this.#seenIndex : 0;
    const answer = await this.#call(async (gateway, signal, timeoutMs) => {
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
      this.#see(key, blobId, digest, size);
    }
    this.#addRead({ key, kind: 'read', ...seen }, { startMs, consistency, minIndex });
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
      const value = this.#parts.recorder.nameOf(record.digest);
      return { value, version: record.version.index, index: readIndex };
    }
    if (answer.kind !== 'error') return null;
    const { code, detail } = answer.error;
    if (code === 'KEY_NOT_FOUND') {
      return { value: null, index: Number(detail['raftIndex'] ?? 0) };
    }
    this.#countRefusal(code);
    this.#judgeCode(answer.error, 'read');
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
    const { draw, recorder, counters, cluster } = this.#parts;
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
      recorder.wrong(`${this.name} read ${key}: a value that nobody has written, ${digest}`);
      return opened.found;
    }
    counters.sometimes(whole.length > 300_000, 'read of a value of many chunks');
    const wanted = range === null ? whole : whole.subarray(offset, offset + length);
    // A range of a value that was replaced meanwhile is a range of the newer one.
    if (compareBytes(Buffer.concat(pieces), wanted) !== 0) {
      recorder.wrong(`${this.name} read ${key}: not the bytes of ${digest} (${how})`);
    }
    return opened.found;
  }

  async #list(): Promise<void> {
    const { recorder, counters, draw, plan } = this.#parts;
    const prefix = draw.chance(0.5) || plan.coldKeys === 0 ? 'hot/' : 'cold/';
    let after: Uint8Array | null = null;
    for (let page = 0; page < 8; page += 1) {
      const from: Uint8Array | null = after;
      const startMs = recorder.now();
      const answer: Answer<Page> = await this.#call((gateway, signal, timeoutMs) =>
        gateway.list(
          { prefix: utf8(prefix), start: NONE, end: NONE, after: from, limit: PAGE_LIMIT },
          { consistency: 'linearizable', minIndex: logIndex(0), signal, timeoutMs },
        ),
      );
      if (answer.kind === 'error') this.#judgeCode(answer.error, 'read');
      if (answer.kind !== 'ok') return;
      this.#addPage(prefix, { from, page: answer.value, startMs });
      if (!answer.value.more) return;
      counters.note('listing of several pages');
      after = answer.value.entries.at(-1)?.key ?? null;
    }
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
    const { plan } = this.#parts;
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
          value: entry === undefined ? null : this.#parts.recorder.nameOf(entry.digest),
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
    const { recorder } = this.#parts;
    const { startMs, consistency, minIndex } = how;
    // A stale answer says nothing of the present, so a later read may be older.
    if (consistency === 'linearizable') this.#seenIndex = Math.max(this.#seenIndex, index);
    const operation: Operation = {
      ...access,
      startMs,
      endMs: recorder.now(),
      outcome: 'ok',
      client: this.name,
      raftIndex: index,
      ...(minIndex > 0 ? { minIndex } : {}),
      ...(consistency === 'stale' ? { isStale: true } : {}),
    };
    recorder.add(operation);
  }

  #judgeCode(error: KvError, what: string): void {
    const { recorder, profile } = this.#parts;
    const isLoss = error.code === 'DATA_LOSS' && profile === 'within';
    if (!isLoss && !NEVER.has(error.code)) return;
    recorder.wrong(`${this.name}: a ${what} was answered ${error.code}: ${error.message}`);
  }

  #countRefusal(code: ErrorCode): void {
    const { counters } = this.#parts;
    counters.sometimes(code === 'NO_REPLICAS', 'write refused: NO_REPLICAS');
    counters.sometimes(code === 'TOO_FEW_VOLUMES', 'write refused: too few volumes');
    counters.sometimes(code === 'NO_LEADER', 'no leader was known');
    counters.sometimes(code === 'EXPIRED', 'fence passed an undecided birth');
  }

  #context(signal: AbortSignal, timeoutMs: number, idempotencyKey: string | null): MutationContext {
    this.#requests += 1;
    const requestId = `${this.name}-${this.#requests}`;
    return { requestId, principal: this.name, idempotencyKey, signal, timeoutMs };
  }

  async #call<T>(
    request: (gateway: Gateway, signal: AbortSignal, timeoutMs: number) => Promise<T>,
    patienceMs?: number,
  ): Promise<Answer<T>> {
    const { cluster, draw, plan, recorder, counters } = this.#parts;
    const host: Door = this.#gateway ?? draw.pick(cluster.coordinators);
    const { timeoutMs } = plan;
    const isPatient = draw.chance(0.9);
    const usualMs = isPatient ? timeoutMs * 2 + 1000 : draw.exponential(timeoutMs / 2);
    try {
      const answer = await callGateway({ cluster, draw }, host, request, {
        timeoutMs,
        patienceMs: patienceMs ?? usualMs,
      });
      counters.sometimes(answer.kind === 'lost', 'connection lost under a call');
      const code = answer.kind === 'error' ? `${answer.error.code} ${answer.error.message}` : '';
      if (answer.kind !== 'ok')
        recorder.say(`${this.name} at ${host.name}: ${answer.kind} ${code}`);
      // Whoever finds a door closed tries another one, not the same at once.
      if (answer.kind === 'refused') await pause(cluster, draw.exponential(50));
      return answer;
    } catch (error) {
      recorder.wrong(`${this.name}: ${host.name} threw ${String(error)}`);
      return { kind: 'lost' };
    }
  }
}

const NONE = new Uint8Array(0);

const FOUND = {
  created: false,
  replaced: true,
  deleted: true,
  absent: false,
  checked: undefined,
} as const;

interface Verdict {
  readonly outcome: Operation['outcome'];
  readonly index?: number;
  readonly failedOp?: number;
  readonly found?: readonly (boolean | undefined)[];
}

function toOp({ key, op, value, condition }: Planned): TransactionOp {
  const asked = { key: utf8(key), condition };
  if (op === 'put' && value !== null) {
    return { ...asked, body: { kind: 'put', data: value.bytes, headers: [] } };
  }
  return { ...asked, body: op === 'check' ? { kind: 'check' } : { kind: 'delete' } };
}

function pickKind(draw: Draw, mix: Mix): keyof Mix {
  const kinds = KINDS.flatMap((kind) => Array.from({ length: mix[kind] }, () => kind));
  return draw.pick(kinds);
}

const KINDS: readonly (keyof Mix)[] = [
  'put',
  'get',
  'head',
  'delete',
  'conditionalPut',
  'conditionalDelete',
  'transaction',
  'list',
  'range',
];
