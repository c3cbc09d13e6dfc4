/**
 * The admin port over HTTP. Every doubt ends as `unknown`: no address, no connection, too late, 5xx,
 * not understood, the wrong pod. Invariant: an answer is believed only if its podUid is the pod's.
 */
import {
  type ClusterView,
  clusterViewSchema,
  coordinatorStatusSchema,
  volumeStatusSchema,
} from '../../services/api/admin.ts';
import { type HttpRequest, HttpTransport } from '../../services/client/http.ts';
import { type Decoder, readJson } from '../../services/client/json-body.ts';
import { underEither } from '../../services/common/abort.ts';
import type { Clock } from '../../services/common/clock.ts';
import { asError, type KvError } from '../../services/common/errors.ts';
import { SECOND_MS } from '../../services/common/units.ts';
import type { Answers, Caller, ClusterAdmin, Outcome, ReadTargets, Target } from './types.ts';

const STATUS_MS = 2 * SECOND_MS;
const CLUSTER_MS = 5 * SECOND_MS;
const CHANGE_MS = 5 * SECOND_MS;
const READS_MS = 6 * SECOND_MS;
const TRANSPORT = { connectionsMax: 2, silenceMs: CLUSTER_MS };

export interface HttpClusterAdminComponents {
  readonly clock: Clock;
  /** Told of each call, by name, and how it ended. */
  readonly onCall: (call: string, result: string) => void;
}

export class HttpClusterAdmin implements ClusterAdmin {
  readonly #parts: HttpClusterAdminComponents;
  readonly #transport = new HttpTransport(TRANSPORT);

  constructor(parts: HttpClusterAdminComponents) {
    this.#parts = parts;
  }

  async read(targets: ReadTargets, signal: AbortSignal): Promise<Answers> {
    const { coordinators, volumes, clusterId } = targets;
    return this.#within(READS_MS, signal, async (all) => {
      const [ofCoordinators, ofVolumes, cluster] = await Promise.all([
        this.#statuses(coordinators, coordinatorStatusSchema, all),
        this.#statuses(volumes, volumeStatusSchema, all),
        this.#cluster(coordinators, clusterId, all),
      ]);
      return { coordinators: ofCoordinators, volumes: ofVolumes, cluster };
    });
  }

  bootstrap(
    target: Target,
    { clusterId, members }: Parameters<ClusterAdmin['bootstrap']>[1],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const headers = { 'x-minikv-cluster-id': clusterId };
    return this.#change('bootstrap', target, { ...post({ clusterId, members }, headers), signal });
  }

  transferLeader(
    target: Target,
    { to, expectedTerm, ...caller }: Parameters<ClusterAdmin['transferLeader']>[1],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const request = post({ to, expectedTerm }, headersOf(caller));
    return this.#change('leader/transfer', target, { ...request, signal });
  }

  setZone(
    target: Target,
    { volume, disk, zone, ...caller }: Parameters<ClusterAdmin['setZone']>[1],
    signal: AbortSignal,
  ): Promise<Outcome> {
    const request = post({ disk, zone }, headersOf(caller));
    return this.#change(`volumes/${encodeURIComponent(volume)}`, target, { ...request, signal });
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #statuses<T extends { readonly podUid: string }>(
    targets: readonly Target[],
    schema: Decoder<T>,
    signal: AbortSignal,
  ): Promise<Record<string, T | 'unknown'>> {
    const answers = await Promise.all(
      targets.map(async (target) => {
        // No cluster id goes with it: a foreign cluster must show itself, not hide behind a refusal.
        const call = { path: '/admin/status', timeoutMs: STATUS_MS, headers: {} };
        const answer = await this.#get(target, call, { schema, signal });
        const isOwn = answer !== 'unknown' && answer.podUid === target.uid;
        this.#parts.onCall('status', isOwn ? 'ok' : 'unknown');
        return [target.pod, isOwn ? answer : 'unknown'] as const;
      }),
    );
    return Object.fromEntries(answers);
  }

  /** Every coordinator is asked at once and the first to answer is believed: each asks the leader. */
  async #cluster(
    targets: readonly Target[],
    clusterId: string | null,
    signal: AbortSignal,
  ): Promise<ClusterView | 'unknown'> {
    if (clusterId === null) return 'unknown';
    const over = new AbortController();
    const any = AbortSignal.any([signal, over.signal]);
    const headers = { 'x-minikv-cluster-id': clusterId };
    const call = { path: '/admin/cluster', timeoutMs: CLUSTER_MS, headers };
    const asked = targets.map(async (target) => {
      const answer = await this.#get(target, call, { schema: clusterViewSchema, signal: any });
      if (answer === 'unknown') throw new Error('no answer');
      return answer;
    });
    try {
      const answer = await Promise.any(asked);
      this.#parts.onCall('cluster', 'ok');
      return answer;
    } catch {
      this.#parts.onCall('cluster', 'unknown');
      return 'unknown';
    } finally {
      over.abort();
    }
  }

  async #get<T>(
    target: Target,
    call: {
      readonly path: string;
      readonly timeoutMs: number;
      readonly headers: Readonly<Record<string, string>>;
    },
    { schema, signal }: { readonly schema: Decoder<T>; readonly signal: AbortSignal },
  ): Promise<T | 'unknown'> {
    const url = urlOf(target);
    if (url === null) return 'unknown';
    try {
      return await this.#within(call.timeoutMs, signal, async (inTime) => {
        const request = { method: 'GET', path: call.path, headers: call.headers } as const;
        const answer = await this.#transport.send(url, { ...request, signal: inTime });
        if (answer.kind === 'failed') throw answer.failure.error;
        return readJson(answer.value, schema);
      });
    } catch {
      return 'unknown';
    }
  }

  async #change(
    call: string,
    target: Target,
    request: Omit<HttpRequest, 'path'> & { readonly signal: AbortSignal },
  ): Promise<Outcome> {
    const outcome = await this.#tryChange(call, target, request);
    this.#parts.onCall(call.replace(/^volumes\/.*/, 'volumes'), outcome.kind);
    return outcome;
  }

  async #tryChange(
    call: string,
    target: Target,
    request: Omit<HttpRequest, 'path'> & { readonly signal: AbortSignal },
  ): Promise<Outcome> {
    const url = urlOf(target);
    if (url === null) return { kind: 'refused', code: 'UNAVAILABLE', message: 'no address yet' };
    try {
      return await this.#within(CHANGE_MS, request.signal, async (signal) => {
        const sent = { ...request, path: `/admin/${call}`, signal };
        const answer = await this.#transport.send(url, sent);
        if (answer.kind === 'failed') return outcomeOf(answer.failure.error);
        await readJson(answer.value, anything);
        return { kind: 'done' };
      });
    } catch (thrown) {
      return { kind: 'unknown', message: asError(thrown).message };
    }
  }

  /** Runs `work` with a signal that aborts after `timeoutMs`, or when `signal` does. */
  async #within<T>(
    timeoutMs: number,
    signal: AbortSignal,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const late = new AbortController();
    const timer = this.#parts.clock.after(timeoutMs, () => late.abort(new Error('took too long')));
    try {
      return await underEither(signal, late.signal, work);
    } finally {
      timer.cancel();
    }
  }
}

const urlOf = ({ address }: Target): URL | null =>
  address === null ? null : new URL(`http://${address}`);

const headersOf = ({ clusterId, epoch }: Caller): Readonly<Record<string, string>> => ({
  'x-minikv-cluster-id': clusterId,
  'x-minikv-operator-epoch': String(epoch),
});

const post = (
  body: unknown,
  headers: Readonly<Record<string, string>>,
): Omit<HttpRequest, 'path'> => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(JSON.stringify(body)),
});

const anything: Decoder<unknown> = { parse: (json) => json };

function outcomeOf(error: KvError): Outcome {
  if (error.code === 'STALE_EPOCH') return { kind: 'deposed' };
  const { code, message } = error;
  const isRefusal = error.row.outcome === 'not_applied';
  return isRefusal ? { kind: 'refused', code, message } : { kind: 'unknown', message };
}
