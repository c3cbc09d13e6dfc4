/** Writes of a client: sent, sent again under the same idempotency key, and judged by what was answered. */
import { utf8 } from '../common/bytes.ts';
import { blobId as asBlobId, type TxnId, txnId } from '../common/ids.ts';
import type { Gateway, MutationContext, MutationResult } from '../coordinator/gateway.ts';
import type { Condition } from '../metadata/commands.ts';
import { type Answer, pause } from './call.ts';
import type { ClientSession } from './client-session.ts';
import type { Access, Operation } from './history.ts';
import { type Planned, toOp } from './planner.ts';
import type { Value } from './values.ts';

const RETRIES_MAX = 4;
const MAX_BYTES = 2 ** 30;
const CHUNK_BYTES = 50_000;
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

export class Writer {
  readonly #session: ClientSession;
  #mutations = 0;

  constructor(session: ClientSession) {
    this.#session = session;
  }

  /** Sends a mutation, again under the same idempotency key where that is its habit. */
  async mutate(planned: readonly Planned[]): Promise<void> {
    const { draw, plan, recorder, counters } = this.#session.parts;
    const isIdempotent = draw.chance(plan.idempotent);
    this.#mutations += 1;
    const idempotencyKey = isIdempotent ? `${this.#session.name}-${this.#mutations}` : null;
    const startMs = recorder.now();
    let isOpen = false;
    for (let attempt = 0; ; attempt += 1) {
      const answer = await this.#session.call((gateway, signal, timeoutMs) =>
        this.#send(gateway, planned, this.#session.context(signal, timeoutMs, idempotencyKey)),
      );
      const verdict = await this.#judge(planned, answer);
      if (verdict.outcome === 'ok' || verdict.outcome === 'refused') {
        counters.sometimes(isOpen, 'idempotent retry was answered by the first');
        this.#record(planned, startMs, verdict);
        return;
      }
      isOpen ||= verdict.outcome === 'unknown';
      const isLast = !isOpen || !isIdempotent || attempt >= RETRIES_MAX || this.#session.isStopped;
      if (isLast) {
        this.#record(planned, startMs, { ...verdict, outcome: isOpen ? 'unknown' : 'failed' });
        return;
      }
      await pause(this.#session.parts.cluster, draw.exponential(200));
    }
  }

  /** An upload whose client is gone before its end: it must never be seen. */
  async vanish(key: string): Promise<void> {
    const { cluster, draw, recorder, counters } = this.#session.parts;
    const value = recorder.nextValue(key, 8 + draw.below(600_000));
    const sent = draw.below(value.bytes.length);
    const startMs = recorder.now();
    const patienceMs = 20 + draw.exponential(100);
    await this.#session.call(
      (gateway, signal, timeoutMs) =>
        this.#put(
          gateway,
          { key: utf8(key), condition: null, value, sent },
          this.#session.context(signal, timeoutMs, null),
        ),
      patienceMs,
    );
    counters.note('client was gone in the middle of a body');
    const access = { key, kind: 'write', value: recorder.nameOf(value.digest) } as const;
    const endMs = recorder.now();
    recorder.add({ ...access, startMs, endMs, outcome: 'failed', client: this.#session.name });
    await pause(cluster, 1);
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

  /** As HTTP does it: asked first, then the body: whole where it came with the headers, or by pieces. */
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
    const { cluster, draw } = this.#session.parts;
    const { key, condition, value, sent } = put;
    const declaredBytes = draw.chance(0.8) ? value.bytes.length : null;
    const slowMs = draw.chance(0.1) ? 30 : 0;
    await gateway.admitWrite(declaredBytes, context.timeoutMs);
    const isAtHand = slowMs === 0 && sent === value.bytes.length && sent <= CHUNK_BYTES;
    const pieces = async function* (): AsyncGenerator<Uint8Array> {
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
        body: isAtHand ? value.bytes : pieces(),
        expectedDigest: draw.chance(0.5) ? value.digest : null,
        maxBytes: MAX_BYTES,
      },
      context,
    );
  }

  async #judge(planned: readonly Planned[], answer: Answer<MutationResult>): Promise<Verdict> {
    const { counters } = this.#session.parts;
    if (answer.kind === 'refused') return { outcome: 'failed' };
    if (answer.kind === 'lost') return { outcome: 'unknown' };
    if (answer.kind === 'ok') {
      this.#learn(planned, answer.value);
      const { index, results } = answer.value;
      const found = results.map(({ effect }) => FOUND[effect]);
      return { outcome: 'ok', index, found };
    }
    const { error } = answer;
    this.#session.countRefusal(error.code);
    const { failedOp, raftIndex, txnId: txn } = error.detail;
    if (error.code === 'PRECONDITION_FAILED') {
      counters.note('condition failed');
      return {
        outcome: 'refused',
        ...(typeof raftIndex === 'number' ? { index: raftIndex } : {}),
        ...(typeof failedOp === 'number' ? { failedOp } : {}),
      };
    }
    this.#session.judgeCode(error, 'write');
    if (error.row.outcome === 'not_applied') return { outcome: 'failed' };
    counters.note('write answered unknown');
    if (typeof txn === 'string' && this.#session.parts.draw.chance(0.6)) {
      return this.#resolve(txnId(txn));
    }
    return { outcome: 'unknown' };
  }

  /** Asks what became of a transaction until that is known, or for as long as the client cares. */
  async #resolve(txn: TxnId): Promise<Verdict> {
    const { cluster, counters, draw } = this.#session.parts;
    for (let turns = 0; turns < 10 && !this.#session.isStopped; turns += 1) {
      await pause(cluster, draw.exponential(400));
      const answer = await this.#session.call((gateway, _, timeoutMs) =>
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
    const { recorder } = this.#session.parts;
    const { outcome, index, failedOp, found } = verdict;
    const endMs = outcome === 'unknown' ? Number.POSITIVE_INFINITY : recorder.now();
    const accesses = planned.map(({ access, op }, place): Access => {
      const was = op === 'check' ? undefined : found?.[place];
      return was === undefined ? access : { ...access, found: was };
    });
    const [first, ...together] = accesses;
    if (first === undefined) return;
    if (index !== undefined) this.#session.seenIndex = Math.max(this.#session.seenIndex, index);
    if (outcome === 'ok' && index !== undefined) {
      for (const { key } of planned) recorder.onAcknowledged({ index, key });
    }
    recorder.add({
      ...first,
      ...(together.length > 0 ? { together } : {}),
      startMs,
      endMs,
      outcome,
      client: this.#session.name,
      ...(index === undefined ? {} : { raftIndex: index }),
      ...(failedOp === undefined ? {} : { failedOp }),
    });
  }

  /** What an answered write tells about its keys. */
  #learn(planned: readonly Planned[], { results }: MutationResult): void {
    planned.forEach(({ key, value }, place) => {
      const id = results[place]?.blobId ?? '';
      if (value === null || id === '') this.#session.sights.delete(key);
      else this.#session.see(key, asBlobId(id), value.digest, value.bytes.length);
    });
  }
}
