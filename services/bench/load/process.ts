/**
 * The load generator: one process of its own, so that its CPU can be told apart from that of the
 * store and of the program that prints. It is told what to do by messages from its parent.
 */
import { Connection, type Target } from './connection.ts';
import {
  Gets,
  Puts,
  randomBodies,
  type Tally,
  targetOf,
  type WorkloadOptions,
} from './workload.ts';

/** What the parent says. */
export type Order =
  | { readonly kind: 'plan'; readonly plan: LoadPlan }
  /** Store keys 0 to `keys` - 1, each until it is acknowledged; answered by `filled`. */
  | { readonly kind: 'fill'; readonly keys: number }
  | { readonly kind: 'run'; readonly method: 'put' | 'get' }
  /** Count from now on; answered by `began`. */
  | { readonly kind: 'begin' }
  /** Count no more; answered by `tally`, and by `idle` once nothing is in flight. */
  | { readonly kind: 'end' };

/** What it answers. */
export type Report =
  | { readonly kind: 'ready' }
  | { readonly kind: 'filled' }
  | { readonly kind: 'began' }
  | { readonly kind: 'tally'; readonly tally: Tally }
  | { readonly kind: 'idle' };

export interface LoadPlan {
  readonly targets: readonly Target[];
  readonly connections: number;
  readonly sizeBytes: number;
  /** A word that no earlier run has used in its keys. */
  readonly run: string;
  readonly keys: number;
}

const say = (report: Report): void => void process.send?.(report);

class Load {
  readonly #plan: LoadPlan;
  readonly #bodies: readonly Buffer[];
  #traffic: Puts | Gets | null = null;
  #running: Promise<unknown> = Promise.resolve();

  constructor(plan: LoadPlan) {
    this.#plan = plan;
    this.#bodies = randomBodies(plan.sizeBytes);
  }

  obey(order: Exclude<Order, { kind: 'plan' }>): void {
    switch (order.kind) {
      case 'fill':
        this.#start(new Puts(this.#options('get'), order.keys));
        void this.#running.then(() => say({ kind: 'filled' }));
        break;
      case 'run':
        this.#start(
          order.method === 'put'
            ? new Puts(this.#options('put'))
            : new Gets(this.#options('get'), this.#plan.keys),
        );
        break;
      case 'begin':
        this.#traffic?.begin();
        say({ kind: 'began' });
        break;
      case 'end':
        if (this.#traffic !== null) say({ kind: 'tally', tally: this.#traffic.tally() });
        this.#traffic?.stop();
        void this.#running.then(() => say({ kind: 'idle' }));
        break;
    }
  }

  #start(traffic: Puts | Gets): void {
    const { targets, connections, sizeBytes } = this.#plan;
    this.#traffic = traffic;
    const lanes = Array.from({ length: connections }, (_, lane) =>
      new Connection(targetOf(targets, lane), traffic, { lane, bodyBytesMax: sizeBytes }).run(),
    );
    this.#running = Promise.all(lanes);
  }

  #options(folder: string): WorkloadOptions {
    const { run, ...plan } = this.#plan;
    return { ...plan, prefix: `bench/${run}/${folder}/`, bodies: this.#bodies };
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
