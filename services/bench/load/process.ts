/**
 * The load generator: one process of its own, so that its CPU can be told apart from that of the
 * store and of the program that prints. It is told what to do by messages from its parent.
 */
import { Connection, type Target } from './connection.ts';
import { type Dialect, speechOf } from './dialect.ts';
import { FollowingConnection } from './following.ts';
import { randomBodies } from './values.ts';
import {
  Gets,
  Measured,
  Misses,
  Mix,
  Puts,
  type Tally,
  targetOf,
  type WorkloadOptions,
} from './workload.ts';

export type Workload = 'put' | 'get' | 'miss' | 'mix';

/** What the parent says. */
export type Order =
  | { readonly kind: 'plan'; readonly plan: LoadPlan }
  /** Store keys 0 to `keys` - 1 for GETs, each until it is acknowledged; answered by `filled`. */
  | { readonly kind: 'fill'; readonly keys: number }
  | { readonly kind: 'run'; readonly workload: Workload }
  /** Count from now on; answered by `began`. */
  | { readonly kind: 'begin' }
  /** Count no more; answered by `tally`, and by `idle` once nothing is in flight. */
  | { readonly kind: 'end' }
  /** Read some of the keys that were last PUT; answered by `verified`. */
  | { readonly kind: 'verify'; readonly times: number };

/** What it answers. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'filled' }
  | { readonly kind: 'began' }
  | { readonly kind: 'tally'; readonly tally: Tally }
  /** `acknowledged` are all PUTs of the run, counted or not. */
  | { readonly kind: 'idle'; readonly acknowledged: number }
  | { readonly kind: 'verified'; readonly tally: Tally };

export interface LoadPlan {
  readonly targets: readonly Target[];
  readonly connections: number;
  readonly sizeBytes: number;
  /** Where its keys are, which no earlier run has used. */
  readonly dialect: Dialect;
  /** That GETs read from. */
  readonly keys: number;
  /** The first of the spaces of its keys, which no other plan of the same dialect uses. */
  readonly firstSpace: number;
}

/** Spaces that one plan may use: that of the GETs, and one for each run of PUTs. */
export const SPACES_PER_PLAN = 256;

const say = (report: Report): void => void process.send?.(report);

class Load {
  readonly #plan: LoadPlan;
  readonly #bodies: readonly Buffer[];
  #traffic: Measured | null = null;
  #puts: Puts | null = null;
  #runs = 0;
  #running: Promise<unknown> = Promise.resolve();

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#bodies = randomBodies(plan.sizeBytes);
  }

  obey(order: Exclude<Order, { kind: 'plan' }>): void {
    switch (order.kind) {
      case 'fill':
        this.#start(new Puts(this.#options(0), order.keys));
        void this.#running.then(() => say({ kind: 'filled' }));
        break;
      case 'run':
        this.#start(this.#workOf(order.workload));
        break;
      case 'begin':
        this.#traffic?.begin();
        say({ kind: 'began' });
        break;
      case 'end':
        if (this.#traffic !== null) say({ kind: 'tally', tally: this.#traffic.tally() });
        this.#traffic?.stop();
        void this.#running.then(() =>
          say({ kind: 'idle', acknowledged: this.#puts?.acknowledged ?? 0 }),
        );
        break;
      case 'verify':
        this.#verify(order.times);
        break;
    }
  }

  #workOf(workload: Workload): Puts | Gets | Misses | Mix {
    const { keys } = this.#plan;
    this.#puts = null;
    switch (workload) {
      case 'put':
        return this.#freshPuts();
      case 'get':
        return new Gets(this.#options(0), keys);
      case 'miss':
        return new Misses(this.#options(SPACES_PER_PLAN - 1), keys);
      case 'mix':
        return new Mix(this.#freshPuts(), new Gets(this.#options(0), keys));
    }
  }

  #freshPuts(): Puts {
    this.#runs += 1;
    this.#puts = new Puts(this.#options(this.#runs));
    return this.#puts;
  }

  #verify(times: number): void {
    const asked = this.#puts?.asked ?? 0;
    const gets = new Gets(this.#options(this.#runs), asked, asked === 0 ? 0 : times);
    const traffic = this.#start(gets);
    void this.#running.then(() => say({ kind: 'verified', tally: traffic.tally() }));
  }

  #start(work: Puts | Gets | Misses | Mix): Measured {
    const { targets, connections } = this.#plan;
    const bodyBytesMax = this.#options(0).speech.answerBytesMax;
    const traffic = new Measured(work);
    this.#traffic = traffic;
    const lanes = Array.from({ length: connections }, async (_, lane) => {
      const options = { lane, bodyBytesMax };
      await this.#connection(targetOf(targets, lane), traffic, options).run();
    });
    this.#running = Promise.all(lanes);
    return traffic;
  }

  #connection(
    target: Target,
    traffic: Measured,
    options: { lane: number; bodyBytesMax: number },
  ): Connection | FollowingConnection {
    const { dialect } = this.#plan;
    return dialect.kind === 'paths' && dialect.follows === true
      ? new FollowingConnection(target, traffic, options)
      : new Connection(target, traffic, options);
  }

  #options(space: number): WorkloadOptions {
    const { dialect, targets, connections, sizeBytes, firstSpace } = this.#plan;
    const bodies = this.#bodies;
    const speech = speechOf(dialect, { sizeBytes, bodies, space: firstSpace + space });
    return { targets, connections, speech };
  }
}

let load: Load | null = null;
process.on('message', (order: Order) => {
  if (order.kind === 'plan') {
    load = new Load(order.plan);
    say({ kind: 'ready' });
  } else load?.obey(order);
});
process.on('disconnect', () => process.exit());
// Ctrl-C reaches the whole group: the parent ends the run in good order, and this process with it.
process.on('SIGINT', () => undefined);
