/** The admin calls that people and tools make; `status` asks one node and needs no quorum. */
import {
  type BootstrapAnswer,
  type BootstrapRequest,
  bootstrapAnswerSchema,
  type ClusterView,
  type CoordinatorStatus,
  clusterViewSchema,
  coordinatorStatusSchema,
  type TransferAnswer,
  type TransferRequest,
  transferAnswerSchema,
  type VolumeStatus,
  volumeStatusSchema,
} from '../api/admin.ts';
import { type Clock, systemClock } from '../common/clock.ts';
import { type Random, systemRandom } from '../common/random.ts';
import { SECOND_MS } from '../common/units.ts';
import { type HttpRequest, HttpTransport } from './http.ts';
import { type Decoder, readJson } from './json-body.ts';
import { Retrier } from './retry.ts';

const DEFAULTS = { deadlineMs: 5 * SECOND_MS, silenceMs: 5 * SECOND_MS, connectionsMax: 2 };

export class AdminClient {
  readonly #transport: HttpTransport;
  readonly #parts: { readonly clock: Clock; readonly random: Random };
  readonly #anyone: Retrier;

  constructor(
    coordinators: readonly URL[],
    parts: { readonly clock: Clock; readonly random: Random } = {
      clock: systemClock,
      random: systemRandom,
    },
  ) {
    this.#transport = new HttpTransport(DEFAULTS);
    this.#parts = parts;
    this.#anyone = new Retrier(parts, { urls: coordinators, deadlineMs: DEFAULTS.deadlineMs });
  }

  /** One coordinator's own view, asked once. @throws KvError `UNAVAILABLE` when it is not there. */
  status(url: URL): Promise<CoordinatorStatus> {
    return this.#once(url, { method: 'GET', path: '/admin/status' }, coordinatorStatusSchema);
  }

  volumeStatus(url: URL): Promise<VolumeStatus> {
    return this.#once(url, { method: 'GET', path: '/admin/status' }, volumeStatusSchema);
  }

  /** The cluster as its leader knows it, by any coordinator. */
  async cluster(): Promise<ClusterView> {
    const request = { method: 'GET', path: '/admin/cluster' } as const;
    const answer = await this.#anyone.run(true, (url) => this.#transport.send(url, request));
    return readJson(answer, clusterViewSchema);
  }

  bootstrap(url: URL, request: BootstrapRequest): Promise<BootstrapAnswer> {
    return this.#once(url, post('/admin/bootstrap', request), bootstrapAnswerSchema);
  }

  transferLeadership(url: URL, request: TransferRequest): Promise<TransferAnswer> {
    return this.#once(url, post('/admin/leader/transfer', request), transferAnswerSchema);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #once<T>(url: URL, request: HttpRequest, schema: Decoder<T>): Promise<T> {
    const alone = new Retrier(this.#parts, { urls: [url], deadlineMs: 0 });
    const answer = await alone.run(false, (target) => this.#transport.send(target, request));
    return readJson(answer, schema);
  }
}

const post = (path: string, body: unknown): HttpRequest => ({
  method: 'POST',
  path,
  headers: { 'content-type': 'application/json' },
  body: Buffer.from(JSON.stringify(body)),
});
