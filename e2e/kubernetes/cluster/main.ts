/**
 * A real Kubernetes on this machine, without Docker and without a registry:
 * `node e2e/kubernetes/cluster/main.ts COMMAND` (docs/kubernetes.md tells of each).
 */
import { build, down, importHere, status, switchOn, up } from './cluster.ts';
import { runControlPlane } from './control-plane.ts';
import { setCable } from './network.ts';
import { runNode } from './node.ts';
import { powerOff, runInside } from './power.ts';
import { whyNoCluster } from './requirements.ts';
import { type ClusterNode, CONTROL, clusterNodes, KUBECONFIG, NODES_MAX } from './settings.ts';
import { findTools } from './tools.ts';

const USAGE = `usage: node e2e/kubernetes/cluster/main.ts COMMAND
  build          make what a cluster needs, and keep it
  up             start the cluster, or what is missing of it; NODES=3 says how many nodes
  down           end it and remove its traces
  status         which nodes have power
  tools          where kubectl and helm are
  off NODE       cut a node's power: n1, n2 ... or control
  on NODE        give it back
  cut NODE       pull a node's network cable
  join NODE      plug it in again
  in NODE CMD    run a command within a node`;

const startMs = performance.now();
const log = (phrase: string): void => {
  console.error(`${((performance.now() - startMs) / 1_000).toFixed(1).padStart(6)} s  ${phrase}`);
};
const [command = '', name = '', ...rest] = process.argv.slice(2);
const nodeCount = Number(process.env['NODES'] ?? 3);

const commands: Readonly<Record<string, () => void | Promise<void>>> = {
  build: async () => {
    await build(nodeCount, log);
  },
  up: async () => {
    await up(nodeCount, log);
    const { kubectl } = await findTools();
    console.log(`export KUBECONFIG=${KUBECONFIG}\nalias kubectl=${kubectl}`);
  },
  down,
  status: () => {
    const lines = status();
    console.log(lines.length === 0 ? 'no cluster is up' : lines.join('\n'));
  },
  tools: async () => {
    console.log(Object.values(await findTools()).join('\n'));
  },
  off: () => powerOff(name),
  on: () => switchOn(name),
  cut: () => setCable(name, 'down'),
  join: () => setCable(name, 'up'),
  in: async () => {
    process.stdout.write(await runInside(name, rest));
  },
  // What the namespaces of a node are entered with.
  inside: () => (name === CONTROL ? runControlPlane() : runNode(nodeNamed(name))),
  import: () => importHere(nodeNamed(name)),
};

function nodeNamed(wanted: string): ClusterNode {
  const node = clusterNodes(NODES_MAX).find((candidate) => candidate.name === wanted);
  if (node === undefined) throw new Error(`no node ${wanted}`);
  return node;
}

const action = commands[command];
if (action === undefined) {
  console.error(USAGE);
  process.exitCode = 2;
} else {
  const reason = whyNoCluster();
  if (reason !== undefined && command !== 'tools') throw new Error(`no cluster here: ${reason}`);
  await action();
}
