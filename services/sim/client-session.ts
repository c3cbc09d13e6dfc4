/** What the parts of one client share: its name and draws, what it has seen of keys, and its way to a gateway. */
import { type ErrorCode, type KvError } from '../common/errors.ts';
import { type BlobId } from '../common/ids.ts';
import type { Gateway, MutationContext } from '../coordinator/gateway.ts';
import { type Answer, type ClientWorld, callGateway, type Door, pause } from './call.ts';
import type { Draw } from './draw.ts';
import type { Profile, WorkloadPlan } from './plan.ts';
import type { Recorder } from './recorder.ts';
import type { SometimesCounters } from './sometimes.ts';

export interface ClientParts {
  readonly cluster: ClientWorld;
  readonly draw: Draw;
  readonly recorder: Recorder;
  readonly counters: SometimesCounters;
  readonly plan: WorkloadPlan;
  readonly profile: Profile;
}

/** A key as a client last saw it: what conditions are made of. */
export interface Sight {
  readonly blobId: BlobId;
  readonly name: string;
}

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

export class ClientSession {
  readonly name: string;
  readonly parts: ClientParts;
  readonly sights = new Map<string, Sight>();
  /** The greatest index that an answer has named. */
  seenIndex = 0;
  isStopped = false;
  /** Through which all calls go; null: any. */
  gateway: Door | null = null;
  #requests = 0;

  constructor(name: string, parts: ClientParts) {
    this.name = name;
    this.parts = parts;
  }

  async call<T>(
    request: (gateway: Gateway, signal: AbortSignal, timeoutMs: number) => Promise<T>,
    patienceMs?: number,
  ): Promise<Answer<T>> {
    const { cluster, draw, plan, recorder, counters } = this.parts;
    const host: Door = this.gateway ?? draw.pick(cluster.coordinators);
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

  context(signal: AbortSignal, timeoutMs: number, idempotencyKey: string | null): MutationContext {
    this.#requests += 1;
    const requestId = `${this.name}-${this.#requests}`;
    return { requestId, principal: this.name, idempotencyKey, signal, timeoutMs };
  }

  /** Empty values are all alike, so none of them can be told from another one. */
  see(key: string, id: BlobId, digest: string, size: number): void {
    if (size === 0) this.sights.delete(key);
    else this.sights.set(key, { blobId: id, name: this.parts.recorder.nameOf(digest) });
  }

  judgeCode(error: KvError, what: string): void {
    const { recorder, profile } = this.parts;
    const isLoss = error.code === 'DATA_LOSS' && profile === 'within';
    if (!isLoss && !NEVER.has(error.code)) return;
    recorder.wrong(`${this.name}: a ${what} was answered ${error.code}: ${error.message}`);
  }

  countRefusal(code: ErrorCode): void {
    const { counters } = this.parts;
    counters.sometimes(code === 'NO_REPLICAS', 'write refused: NO_REPLICAS');
    counters.sometimes(code === 'TOO_FEW_VOLUMES', 'write refused: too few volumes');
    counters.sometimes(code === 'NO_LEADER', 'no leader was known');
    counters.sometimes(code === 'EXPIRED', 'fence passed an undecided birth');
  }
}
