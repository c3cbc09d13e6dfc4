/** What runs on the Kubernetes port while this process leads: one loop over one kind of objects. */
import type { Clock } from '../../services/common/clock.ts';
import type { Random } from '../../services/common/random.ts';
import type { Logger } from '../../services/telemetry/logger.ts';
import type { Metrics } from '../../services/telemetry/metrics.ts';
import type { EventRecorder } from './events.ts';
import type { Informers, WatchedKind } from './informers.ts';
import type { Leadership } from './lease.ts';
import type { Change } from './reflector.ts';
import type { Kind, Kube } from './types.ts';

export interface ControllerParts {
  readonly kube: Kube;
  /** What the watches have seen; behind the server, so nothing is destroyed on its word alone. */
  readonly informers: Informers;
  readonly events: EventRecorder;
  readonly leadership: Leadership;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface Controller {
  /** Keys (`namespace/name`) to look at after a change; none when it says nothing new. */
  keysOf(kind: Kind, change: Change): readonly string[];
  /**
   * Looks at one object, of a namespace whose caches are filled, and answers when to look again. Throwing
   * has it looked at again soon.
   */
  reconcile(key: string, signal: AbortSignal): Promise<{ readonly requeueMs: number }>;
}

/** How a controller is made, once this process leads and the caches are filled as far as they can be. */
export interface ControllerDefinition {
  /** The kind whose objects are looked at: all of them when a term begins. */
  readonly kind: Kind;
  /** All kinds that are watched for it, its own among them. */
  readonly watched: readonly WatchedKind[];
  make(parts: ControllerParts): Controller;
}
