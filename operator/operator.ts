/**
 * The operator as parts: caches that every replica fills, a Lease that one of them holds, and workers that
 * run while it does. A replica that loses the Lease stops as a process: nothing of a past term lives on.
 */
import { type Clock, sleep } from '../services/common/clock.ts';
import { asError } from '../services/common/errors.ts';
import { hexOf } from '../services/common/ids.ts';
import type { Random } from '../services/common/random.ts';
import { MINUTE_MS, SECOND_MS } from '../services/common/units.ts';
import type { OperatorOptions } from '../services/config/options.ts';
import type { Logger } from '../services/telemetry/logger.ts';
import type { Metrics } from '../services/telemetry/metrics.ts';
import { HealthServer } from './health-server.ts';
import type { Controller, ControllerDefinition } from './kube/controller.ts';
import { EventRecorder } from './kube/events.ts';
import { Informers } from './kube/informers.ts';
import { LeaderLease, type Leadership } from './kube/lease.ts';
import { leaseMetrics, queueMetrics, reflectorMetrics, workerMetrics } from './kube/metrics.ts';
import { keyOf, keyText } from './kube/object.ts';
import type { Change } from './kube/reflector.ts';
import type { Kind, Kube } from './kube/types.ts';
import { WorkQueue } from './kube/work-queue.ts';
import { Workers } from './kube/workers.ts';

export interface OperatorComponents {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** The Lease is lost, or a bug was met: the process must end. */
  readonly onFatal: (error: Error) => void;
}

const LEASE_NAME = 'minikv-operator';
/** A watch is heard of or tried far more often than this, unless its loop has stopped. */
const STALLED_MS = 5 * MINUTE_MS;
/** For one look at one cluster. */
const LOOK_MS = MINUTE_MS;
const SYNC_POLL_MS = 100;
/** For an object of a namespace whose caches are not filled. */
const UNSYNCED_MS = 5 * SECOND_MS;
const IDENTITY_BYTES = 8;
const NAMESPACE_REFUSED =
  'namespace cannot be read, its clusters are left alone: grant its rights, or take it out of watchNamespaces';

/** What exists only during a term. */
interface Term {
  readonly leadership: Leadership;
  readonly controller: Controller;
  readonly workers: Workers;
}

export class Operator {
  readonly #parts: OperatorComponents;
  readonly #options: OperatorOptions;
  readonly #definition: ControllerDefinition;
  readonly #informers: Informers;
  readonly #queue: WorkQueue;
  readonly #events: EventRecorder;
  readonly #health: HealthServer;
  readonly #stop = new AbortController();
  #leading: Promise<void> = Promise.resolve();
  #leadership: Leadership | null = null;
  #term: Term | null = null;

  constructor(
    parts: OperatorComponents,
    options: OperatorOptions,
    definition: ControllerDefinition,
  ) {
    const { clock, metrics } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#definition = definition;
    this.#informers = new Informers(
      {
        ...parts,
        metrics: reflectorMetrics(metrics),
        onChange: (kind, change) => this.#note(kind, change),
      },
      { kinds: definition.watched, namespaces: options.watchNamespaces },
    );
    this.#queue = new WorkQueue({ ...parts, metrics: queueMetrics(metrics) });
    this.#events = new EventRecorder(parts, { instance: options.podName });
    this.#health = new HealthServer({
      clock,
      metrics,
      isLive: () => this.#informers.idleMs < STALLED_MS,
      isReady: () => this.#informers.isReady,
    });
  }

  /** Listens, fills the caches and begins to wait for the Lease. Answers the port. */
  async start(): Promise<number> {
    const { host, port } = this.#options.bind;
    const listening = await this.#health.listen(host, port);
    this.#informers.start();
    this.#leading = this.#lead().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#parts.onFatal(asError(error));
    });
    return listening;
  }

  /** Ends the looks that run, hands the Lease back and closes everything. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the operator stops'));
    await this.#leading;
    this.#queue.close();
    await this.#term?.workers.stop();
    await this.#events.stop();
    await this.#leadership?.release();
    await this.#informers.stop();
    await this.#health.close();
  }

  async #lead(): Promise<void> {
    const { clock, random, logger, metrics, onFatal } = this.#parts;
    const { signal } = this.#stop;
    const { podName, podNamespace, lease, workers: count } = this.#options;
    // A process that comes back under its pod's name is not the holder that it was before.
    const identity = `${podName}_${hexOf(random.bytes(IDENTITY_BYTES))}`;
    const key = { namespace: podNamespace, name: LEASE_NAME };
    const elections = new LeaderLease(
      { ...this.#parts, metrics: leaseMetrics(metrics) },
      { key, identity, ...lease },
    );
    const leadership = await elections.acquire(signal);
    this.#leadership = leadership;
    leadership.signal.addEventListener('abort', () => {
      // A term that was given up is handed back first, so that nobody need wait for it to run out.
      void leadership.release().then(() => {
        if (!signal.aborted) onFatal(asError(leadership.signal.reason));
      });
    });
    while (!this.#informers.isReady) await sleep(clock, SYNC_POLL_MS, signal);
    for (const namespace of this.#informers.refused) logger.warn({ namespace }, NAMESPACE_REFUSED);
    const controller = this.#definition.make({
      ...this.#parts,
      informers: this.#informers,
      events: this.#events,
      leadership,
    });
    const workers = new Workers(
      {
        queue: this.#queue,
        clock,
        logger,
        metrics: workerMetrics(metrics),
        work: (name, lookSignal) => this.#look(controller, name, lookSignal),
      },
      { count, deadlineMs: LOOK_MS },
    );
    this.#term = { leadership, controller, workers };
    for (const object of this.#informers.all(this.#definition.kind)) {
      this.#queue.add(keyText(keyOf(object)));
    }
    workers.start();
  }

  /** While a namespace's caches are not filled, absence means nothing in it. */
  async #look(
    controller: Controller,
    key: string,
    signal: AbortSignal,
  ): Promise<{ readonly requeueMs: number }> {
    const namespace = key.slice(0, key.indexOf('/'));
    if (!this.#informers.hasSynced(namespace)) return { requeueMs: UNSYNCED_MS };
    return controller.reconcile(key, signal);
  }

  /** Before a term nothing is noted: at its begin everything is looked at. */
  #note(kind: Kind, change: Change): void {
    for (const key of this.#term?.controller.keysOf(kind, change) ?? []) this.#queue.add(key);
  }
}
