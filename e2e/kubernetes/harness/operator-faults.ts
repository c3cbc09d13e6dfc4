/**
 * Ends or stops the operator of a story at a step of its work. Its pods are those of the chart, with their
 * rights; what is added is an image that has its failpoints, a preloaded module that hooks them, a shell that
 * starts the program again, a Lease that runs out within seconds, and a volume of both pods with the plan of
 * what happens where.
 */
import type { OperatorFailpoint } from '../../../services/common/failpoint.ts';
import { FAILPOINTS_IMAGE } from './image.ts';
import type { Namespace } from './namespace.ts';

/** What happens, once, to the process that meets the step for the nth time. */
export interface Fault {
  readonly point: OperatorFailpoint;
  readonly nth?: number;
  /** SIGSTOP: it stands still until `wake`. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
}

/** A fault that has happened, and to whom. */
export interface Met {
  readonly point: string;
  readonly signal: string;
  readonly pod: string;
  readonly pid: string;
}

const ROLLOUT_MS = 60_000;
const NAME = 'failpoint';
const FOLDER = `/${NAME}`;
const SHARED = '/shared';
const PLAN = `${SHARED}/plan`;
const MET = `${SHARED}/met`;

const PRELOADED = `
import { appendFileSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { hookFailpoints } from '/minikv/dist/services/common/failpoint.js';
const times = new Map();
const planned = () => {
  try {
    return JSON.parse(readFileSync('${PLAN}', 'utf8'));
  } catch {
    return [];
  }
};
hookFailpoints((name) => {
  const plan = planned();
  const fault = plan.find(({ point }) => point === name);
  if (fault === undefined) return;
  times.set(name, (times.get(name) ?? 0) + 1);
  if (times.get(name) < (fault.nth ?? 1)) return;
  times.delete(name);
  const { signal = 'SIGKILL' } = fault;
  writeFileSync('${PLAN}.new', JSON.stringify(plan.filter((one) => one !== fault)));
  renameSync('${PLAN}.new', '${PLAN}');
  appendFileSync('${MET}', [name, signal, process.env.POD_NAME, process.pid].join(' ') + '\\n');
  process.kill(process.pid, signal);
});`;

/** The program is no first process of its container, which no signal from within could end or stop. */
const SUPERVISED = 'while :; do minikv-operator; sleep 1; done';

const CHANGE = {
  spec: {
    template: {
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'operator',
            image: FAILPOINTS_IMAGE,
            command: ['sh', '-c', SUPERVISED],
            // The shell starts it again; a kubelet that did so too would wait longer each time.
            livenessProbe: null,
            env: [
              { name: 'NODE_OPTIONS', value: `--import=${FOLDER}/preloaded.mjs` },
              { name: 'MINIKV_LEASE_DURATION', value: '5s' },
              { name: 'MINIKV_LEASE_RENEW_DEADLINE', value: '4s' },
              { name: 'MINIKV_LEASE_RETRY', value: '500ms' },
            ],
            volumeMounts: [
              { name: NAME, mountPath: FOLDER },
              { name: 'shared', mountPath: SHARED },
            ],
          },
        ],
        volumes: [
          { name: NAME, configMap: { name: NAME } },
          { name: 'shared', persistentVolumeClaim: { claimName: NAME } },
        ],
      },
    },
  },
};

export class FaultyOperator {
  readonly #namespace: Namespace;

  private constructor(namespace: Namespace) {
    this.#namespace = namespace;
  }

  /** Of the operator that is installed in the namespace; resolves when both its pods are as told above. */
  static async prepare(namespace: Namespace): Promise<FaultyOperator> {
    await namespace.apply(
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: NAME },
        data: { 'preloaded.mjs': PRELOADED },
      },
      {
        // Of one node at a time, where both pods then are.
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: NAME },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
      },
    );
    const deployment = 'deployment/minikv-operator';
    await namespace.kubectl(['patch', deployment, '-p', JSON.stringify(CHANGE)]);
    const args = ['rollout', 'status', deployment, `--timeout=${ROLLOUT_MS}ms`];
    await namespace.kubectl(args, { timeoutMs: 2 * ROLLOUT_MS });
    // One that was ended kept its Lease.
    const operator = new FaultyOperator(namespace);
    await namespace.waitFor('a leader among the new pods', 2 * ROLLOUT_MS, async () => {
      const { spec } = await namespace.get<{ spec: { holderIdentity?: string } }>(
        'lease',
        'minikv-operator',
      );
      const holder = (spec.holderIdentity ?? '').replace(/_[^_]*$/, '');
      return (await operator.#pods()).includes(holder);
    });
    return operator;
  }

  /** From now on each of these faults happens once, to whoever leads when its turn has come. */
  async plan(faults: readonly Fault[]): Promise<void> {
    const [pod = ''] = await this.#pods();
    const plan = JSON.stringify(faults);
    await this.#sh(pod, `rm -f ${MET}; echo '${plan}' > ${PLAN}`);
  }

  /** What happened so far of the plan, in that order. */
  async met(): Promise<readonly Met[]> {
    const [one = ''] = await this.#pods();
    const text = await this.#sh(one, `cat ${MET} 2>/dev/null || true`);
    const lines = text.split('\n').filter((line) => line !== '');
    return lines.map((line) => {
      const [point = '', signal = '', pod = '', pid = ''] = line.split(' ');
      return { point, signal, pod, pid };
    });
  }

  /** Lets a process that stands still go on. */
  async wake({ pod, pid }: Met): Promise<void> {
    await this.#sh(pod, `kill -CONT ${pid}`);
  }

  /** Whether a process is still there. */
  async isAlive({ pod, pid }: Met): Promise<boolean> {
    return (await this.#sh(pod, `test -e /proc/${pid} && echo yes || true`)) !== '';
  }

  async #sh(pod: string, script: string): Promise<string> {
    return await this.#namespace.exec(pod, ['sh', '-c', script]);
  }

  async #pods(): Promise<readonly string[]> {
    const labels = 'app.kubernetes.io/name=minikv-operator';
    const pods = await this.#namespace.list<{
      metadata: { name: string; deletionTimestamp?: string };
    }>('pod', labels);
    return pods
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name);
  }
}
