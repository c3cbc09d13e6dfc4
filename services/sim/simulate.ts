/**
 * One run: a plan carried out on a simulated cluster, watched at every event and judged at the end. Whatever
 * goes wrong is an answer, not an exception, so that a runner can shrink the faults that led to it.
 */
import { KvError } from '../common/errors.ts';
import { diskId } from '../common/ids.ts';
import { MINUTE_MS, SECOND_MS } from '../common/units.ts';
import type { LogFields } from '../telemetry/logger.ts';
import { Atlas } from './atlas.ts';
import { Client } from './client.ts';
import { missingCopies } from './copies.ts';
import { Draw } from './draw.ts';
import { type Fault, type FaultKind, tellFault } from './fault-types.ts';
import { type FinishParts, finish, finishBeyond, settled } from './finish.ts';
import { Injector } from './injector.ts';
import { BrokenInvariant, Invariants } from './invariants.ts';
import { violationsOf } from './linearizable.ts';
import { LinkTable } from './links.ts';
import { Observer } from './observer.ts';
import { leaderOf, namedGoneDisks, Operator, registrationOf, replacedDisks } from './operator.ts';
import type { SimPlan } from './plan.ts';
import { Recorder } from './recorder.ts';
import { revisionViolations } from './revisions.ts';
import { type Sometimes, SometimesCounters } from './sometimes.ts';
import { Supervisor } from './supervisor.ts';
import type { SimCluster, SimHost, SimOptions } from './types.ts';

export interface SimRun {
  readonly plan: SimPlan;
  /** Ids of the faults to inject; null: all. */
  readonly only: readonly number[] | null;
  /** Told everything of note; for a person who replays a seed. */
  readonly say: ((line: string) => void) | null;
}

export interface SimResult {
  readonly seed: number;
  /** What was wrong; empty: nothing. */
  readonly troubles: readonly string[];
  readonly events: number;
  readonly simulatedMs: number;
  readonly traceHash: string;
  readonly operations: number;
  readonly acknowledged: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly refusedFaults: Readonly<Record<string, number>>;
  readonly sometimes: Readonly<Record<string, number>>;
}

export type OpenCluster = (options: SimOptions) => Promise<SimCluster>;

const READY_MAX_MS = MINUTE_MS;
const CLIENTS_END_MS = 2 * MINUTE_MS;
/** Between two looks for missing copies. */
const LOOK_EVERY_MS = 4 * SECOND_MS;
const LOOK_MAX_MS = 2 * SECOND_MS;
const TROUBLES_MAX = 8;

export async function simulate(run: SimRun, open: OpenCluster): Promise<SimResult> {
  const simulation = new Simulation(run);
  return simulation.run(open);
}

/** The codes with which a process may end by itself, and the faults that excuse each. */
const EXCUSES: Readonly<Record<string, readonly FaultKind[]>> = {
  DISK_FAILED: ['disk-error', 'full-disk', 'damage'],
  NO_SPACE: ['full-disk'],
  CORRUPT: ['damage', 'disk-error'],
  STATE_DIVERGED: ['damage'],
};

class Simulation {
  readonly #run: SimRun;
  readonly #counters = new SometimesCounters();
  readonly #observer = new Observer(this.#counters);
  readonly #troubles: string[] = [];
  /** Faults that have struck each host. */
  readonly #struck = new Map<string, Set<FaultKind>>();
  #cluster: SimCluster | null = null;

  constructor(run: SimRun) {
    this.#run = run;
  }

  async run(open: OpenCluster): Promise<SimResult> {
    const { plan } = this.#run;
    const cluster = await open({
      seed: plan.seed,
      coordinators: plan.coordinators,
      volumes: plan.volumes,
      coordinatorOptions: plan.coordinatorOptions,
      volumeOptions: plan.volumeOptions,
      slackEntries: plan.slackEntries,
      onLog: (host, message, fields) => this.#logged(host, message, fields),
      onCount: (_, metric, count) => this.#observer.counted(metric, count),
    });
    this.#cluster = cluster;
    const recorder = new Recorder(
      () => cluster.nowMs,
      (line) => this.#say(line),
    );
    const injector = await this.#drive(cluster, recorder);
    const result: SimResult = {
      seed: plan.seed,
      troubles: [...this.#troubles, ...recorder.violations].slice(0, TROUBLES_MAX),
      events: cluster.eventCount,
      simulatedMs: cluster.nowMs,
      traceHash: cluster.traceHash,
      operations: recorder.operations.length,
      acknowledged: recorder.operations.filter(({ outcome }) => outcome === 'ok').length,
      faults: Object.fromEntries(injector.counts),
      refusedFaults: Object.fromEntries(injector.refused),
      sometimes: Object.fromEntries(this.#counters.counts),
    };
    return result;
  }

  async #drive(cluster: SimCluster, recorder: Recorder): Promise<Injector> {
    const invariants = this.#watch(cluster, recorder);
    const { supervisor, injector } = this.#arrange(cluster, invariants);
    try {
      await this.#live(cluster, { recorder, invariants, supervisor, injector });
    } catch (error) {
      const isBroken = error instanceof BrokenInvariant;
      this.#wrong(isBroken ? `broken invariant: ${error.message}` : `threw ${stackOf(error)}`);
    }
    return injector;
  }

  async #live(
    cluster: SimCluster,
    parts: {
      readonly recorder: Recorder;
      readonly invariants: Invariants;
      readonly supervisor: Supervisor;
      readonly injector: Injector;
    },
  ): Promise<void> {
    const { recorder, invariants, supervisor, injector } = parts;
    const { plan } = this.#run;
    supervisor.start();
    new Operator(cluster).start();
    if (!(await cluster.runUntil(() => isReady(cluster), READY_MAX_MS))) {
      this.#wrong('the cluster has not come up before any fault');
      return;
    }
    this.#say(`ready after ${cluster.nowMs.toFixed(0)} ms`);
    const clients = this.#clients(cluster, recorder);
    injector.start(this.#faults());
    const perClient = Math.ceil(plan.workload.operationsMax / clients.length);
    const running = Promise.all(clients.map((client) => client.run(perClient)));
    await this.#throughFaults(cluster, invariants);
    for (const client of clients) client.stop();
    injector.end();
    this.#heal(cluster, supervisor);
    const isEnded = await settled(cluster, CLIENTS_END_MS, () => running.then(() => undefined));
    if (!isEnded) this.#wrong('a client still waits for an answer');
    await this.#end(cluster, { recorder, invariants });
    this.#judge(recorder);
  }

  #faults(): readonly Fault[] {
    const { plan, only } = this.#run;
    return only === null ? plan.faults : plan.faults.filter(({ id }) => only.includes(id));
  }

  async #throughFaults(cluster: SimCluster, invariants: Invariants): Promise<void> {
    const endMs = cluster.nowMs + this.#run.plan.durationMs;
    while (cluster.nowMs < endMs) {
      await cluster.run(Math.min(LOOK_EVERY_MS, endMs - cluster.nowMs));
      let missing: readonly string[] = [];
      await settled(cluster, LOOK_MAX_MS, async () => {
        missing = await missingCopies({
          cluster,
          keys: this.#keys(),
          appliedMax: () => invariants.appliedMax,
          hasLost: (host) => this.#hasLost(host),
        });
      });
      for (const sentence of missing.slice(0, 2)) this.#wrong(sentence);
    }
  }

  #hasLost({ name }: SimHost): boolean {
    const struck = this.#struck.get(name);
    if (struck === undefined) return false;
    const isSynced = this.#run.plan.volumeOptions.fsync?.kind === 'always';
    const kinds: readonly FaultKind[] = isSynced
      ? ['wipe', 'damage']
      : ['wipe', 'damage', 'power-cut', 'disk-error', 'full-disk'];
    return kinds.some((kind) => struck.has(kind));
  }

  #heal(cluster: SimCluster, supervisor: Supervisor): void {
    this.#say('everything is healed');
    cluster.network.heal();
    for (const host of cluster.hosts) if (host.isPaused) host.resume();
    supervisor.hurry();
  }

  async #end(
    cluster: SimCluster,
    { recorder, invariants }: { readonly recorder: Recorder; readonly invariants: Invariants },
  ): Promise<void> {
    const { plan } = this.#run;
    const parts: FinishParts = {
      cluster,
      recorder,
      keys: this.#keys(),
      prober: this.#client('prober', cluster, recorder),
      fenceMs: plan.coordinatorOptions.fenceMs ?? MINUTE_MS,
      graceMs: plan.coordinatorOptions.graceMs ?? MINUTE_MS,
      appliedMax: () => invariants.appliedMax,
      say: (line) => this.#say(line),
    };
    if (plan.profile === 'beyond') await finishBeyond(parts);
    else for (const trouble of await finish(parts)) this.#wrong(trouble);
  }

  #judge(recorder: Recorder): void {
    this.#say(`${recorder.operations.length} operations are judged`);
    for (const violation of violationsOf(recorder.operations)) this.#wrong(violation);
    for (const violation of revisionViolations(recorder.operations)) this.#wrong(violation);
  }

  #watch(cluster: SimCluster, recorder: Recorder): Invariants {
    const invariants = new Invariants(cluster, {
      memberOpened: () => undefined,
      leadership: (host, { role, term }) => {
        if (role !== 'leader') return;
        this.#counters.sometimes(term > 1, 'leader changed');
        this.#say(`${host.name} leads term ${term}`);
      },
      firstApplied: (event) => this.#observer.applied(event),
      recovering: (host, isRecovering) => {
        this.#say(`${host.name} is ${isRecovering ? '' : 'no longer '}recovering`);
        const name: Sometimes = isRecovering ? 'recovering state entered' : 'recovering state left';
        this.#counters.note(name);
      },
    });
    recorder.onAcknowledged = ({ index }) => invariants.acknowledged(index);
    cluster.onEvent(() => invariants.check());
    return invariants;
  }

  #arrange(
    cluster: SimCluster,
    invariants: Invariants,
  ): { readonly supervisor: Supervisor; readonly injector: Injector } {
    const { plan } = this.#run;
    const operator = new Operator(cluster);
    const supervisor = new Supervisor(cluster, {
      endedByItself: (host, error) => this.#ended(host, error),
      started: (host) => {
        this.#counters.note('process started again');
        this.#say(`${host.name} is started`);
      },
    });
    const atlas = new Atlas(
      {
        coordinators: cluster.coordinators.map(({ name }) => name),
        volumes: cluster.volumes.map(({ name }) => name),
        minReplicas: plan.coordinatorOptions.minReplicas ?? 2,
        isSynced: plan.volumeOptions.fsync?.kind === 'always',
        isWhole: () => isWhole(cluster, invariants),
      },
      plan.profile,
    );
    const injector = new Injector({
      cluster,
      atlas,
      links: new LinkTable(cluster.network),
      supervisor,
      events: {
        injected: (fault, hosts) => this.#injected(fault, hosts),
        transferWanted: () => {
          void operator.transfer().then((isDone) => {
            this.#counters.sometimes(isDone, 'leadership transferred');
          });
        },
      },
    });
    return { supervisor, injector };
  }

  #injected(fault: Fault, hosts: readonly string[]): void {
    this.#say(`fault ${tellFault(fault)} strikes ${hosts.join(' ')}`);
    for (const host of hosts) {
      const struck = this.#struck.get(host) ?? new Set();
      struck.add(fault.kind);
      this.#struck.set(host, struck);
    }
  }

  /** A process may end by itself where its disk has failed it, and for nothing else. */
  #ended({ name }: SimHost, error: Error | null): void {
    this.#counters.note('process ended by itself');
    this.#say(`${name} has ended: ${String(error)}`);
    const code = error instanceof KvError ? error.code : '';
    const excuses = EXCUSES[code] ?? [];
    const struck = this.#struck.get(name);
    if (excuses.some((kind) => struck?.has(kind) === true)) return;
    this.#wrong(`${name} has ended by itself: ${stackOf(error)}`);
  }

  #clients(cluster: SimCluster, recorder: Recorder): readonly Client[] {
    const { clients } = this.#run.plan.workload;
    return Array.from({ length: clients }, (_, n) => this.#client(`c${n}`, cluster, recorder));
  }

  #client(name: string, cluster: SimCluster, recorder: Recorder): Client {
    const { plan } = this.#run;
    const draw = Draw.of(plan.seed, `client ${name}`);
    const { workload, profile } = plan;
    const counters = this.#counters;
    return new Client(name, { cluster, draw, recorder, counters, plan: workload, profile });
  }

  #keys(): readonly string[] {
    const { hotKeys, coldKeys } = this.#run.plan.workload;
    return [
      ...Array.from({ length: hotKeys }, (_, n) => `hot/${n}`),
      ...Array.from({ length: coldKeys }, (_, n) => `cold/${n}`),
    ];
  }

  #logged(host: string, message: string, fields: LogFields): void {
    this.#observer.logged(message, fields);
    if (this.#run.say !== null) this.#say(`${host} says: ${message} ${told(fields)}`);
  }

  #wrong(trouble: string): void {
    this.#say(`WRONG: ${trouble}`);
    this.#troubles.push(trouble);
  }

  #say(line: string): void {
    const at = this.#cluster === null ? '' : this.#cluster.nowMs.toFixed(2);
    this.#run.say?.(`${at.padStart(10)} ${line}`);
  }
}

/** All serve, and nothing has happened yet. */
function isReady(cluster: SimCluster): boolean {
  const leader = leaderOf(cluster);
  if (leader === null || cluster.coordinators.some(({ gateway }) => gateway === null)) return false;
  return leader.registry.live().length === cluster.volumes.length;
}

/** Whatever was lost has been found and made anew: every volume is heard and looked through in this life. */
function isWhole(cluster: SimCluster, invariants: Invariants): boolean {
  const leader = leaderOf(cluster);
  if (leader === null || leader.metadata.appliedIndex < invariants.appliedMax) return false;
  const { metadata } = leader;
  const isKnown = cluster.volumes.every((host) => {
    const current = registrationOf(host);
    const record = current === null ? undefined : metadata.disk(diskId(current.disk));
    return record !== undefined && record.session === current?.session && record.reconciled;
  });
  const isReplaced = replacedDisks(cluster, metadata.disks()).every(
    ({ state }) => state === 'gone',
  );
  const isLeft = namedGoneDisks(metadata.disks()).length === 0;
  return isKnown && isReplaced && isLeft && metadata.counters.underReplicated === 0;
}

function told(fields: LogFields): string {
  return JSON.stringify(fields, (_, value: unknown) =>
    value instanceof Error ? `${value.name}: ${value.message}` : value,
  );
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);
