/**
 * Ends or stops the operator of a story at a step of its work. Its pods are those of the chart, with their
 * rights; what is added is a preloaded module that hooks the failpoints, a shell that starts the program
 * again, and a Lease that runs out within seconds.
 */
import type { OperatorFailpoint } from '../../../services/common/failpoint.ts';
import type { Namespace } from './namespace.ts';

/** What happens, once, to the process that meets the step for the nth time. */
export interface Fault {
  readonly point: OperatorFailpoint;
  readonly nth?: number;
  /** SIGSTOP: it stands still until `wake`. */
  readonly signal?: 'SIGKILL' | 'SIGSTOP';
}

const ROLLOUT_MS = 60_000;
const NAME = 'failpoint';
const FOLDER = `/${NAME}`;
const PLAN = '/tmp/plan';
const MET = '/tmp/met';

const PRELOADED = `
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
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
  writeFileSync('${PLAN}', JSON.stringify(plan.filter((one) => one !== fault)));
  appendFileSync('${MET}', name + ' ' + process.pid + '\\n');
  process.kill(process.pid, fault.signal ?? 'SIGKILL');
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
            command: ['sh', '-c', SUPERVISED],
            // The shell starts it again; a kubelet that did so too would wait longer each time.
            livenessProbe: null,
            env: [
              { name: 'NODE_OPTIONS', value: `--import=${FOLDER}/preloaded.mjs` },
              { name: 'MINIKV_LEASE_DURATION', value: '5s' },
              { name: 'MINIKV_LEASE_RENEW_DEADLINE', value: '4s' },
              { name: 'MINIKV_LEASE_RETRY', value: '500ms' },
            ],
            volumeMounts: [{ name: NAME, mountPath: FOLDER }],
          },
        ],
        volumes: [{ name: NAME, configMap: { name: NAME } }],
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
    await namespace.apply({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: NAME },
      data: { 'preloaded.mjs': PRELOADED },
    });
    const deployment = 'deployment/minikv-operator';
    await namespace.kubectl(['patch', deployment, '-p', JSON.stringify(CHANGE)]);
    const args = ['rollout', 'status', deployment, `--timeout=${ROLLOUT_MS}ms`];
    await namespace.kubectl(args, { timeoutMs: 2 * ROLLOUT_MS });
    // One that was ended kept its Lease.
    const operator = new FaultyOperator(namespace);
    await namespace.waitFor('a leader among the new pods', 2 * ROLLOUT_MS, async () => {
      return (await operator.#pods()).includes(await operator.leader());
    });
    return operator;
  }

  /** The pod that holds the Lease. */
  async leader(): Promise<string> {
    const lease = await this.#namespace.get<{ spec: { holderIdentity?: string } }>(
      'lease',
      'minikv-operator',
    );
    return (lease.spec.holderIdentity ?? '').replace(/_[^_]*$/, '');
  }

  /** From now on each of the pods meets each of these faults once, as soon as it leads and comes to it. */
  async plan(faults: readonly Fault[]): Promise<void> {
    const plan = JSON.stringify(faults);
    for (const pod of await this.#pods()) {
      await this.#namespace.exec(pod, ['sh', '-c', `rm -f ${MET}; echo '${plan}' > ${PLAN}`]);
    }
  }

  /** Every step that was met so far as planned, with the process that met it. */
  async met(): Promise<readonly { readonly point: string; readonly pod: string; pid: string }[]> {
    const all = (await this.#pods()).map(async (pod) => {
      const text = await this.#namespace.exec(pod, ['sh', '-c', `cat ${MET} 2>/dev/null || true`]);
      const lines = text.split('\n').filter((line) => line !== '');
      return lines.map((line) => {
        const [point = '', pid = ''] = line.split(' ');
        return { point, pod, pid };
      });
    });
    return (await Promise.all(all)).flat();
  }

  /** Lets a process that stands still go on. */
  async wake({ pod, pid }: { readonly pod: string; readonly pid: string }): Promise<void> {
    await this.#namespace.exec(pod, ['sh', '-c', `kill -CONT ${pid}`]);
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
