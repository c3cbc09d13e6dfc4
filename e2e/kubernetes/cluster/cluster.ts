/** The life of the cluster: built, up, down; each step is a no-op for what is there already. */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from '../../harness/wait-for.ts';
import { buildBinaries } from './binaries.ts';
import { makeCertificates } from './certificates.ts';
import { buildImages } from './images.ts';
import { endCgroups, prepareMachine, restoreMachine } from './machine.ts';
import { serviceManifests } from './manifests.ts';
import { layNetwork, removeNetwork } from './network.ts';
import { hasImages, importImages } from './node.ts';
import { installPackages } from './packages.ts';
import { type Plan, readPlan, writePlan } from './plan.ts';
import { powerOf, powerOff, powerOn, runInside } from './power.ts';
import { run } from './run.ts';
import {
  type ClusterNode,
  CONTROL,
  clusterNodes,
  KUBECONFIG,
  LOCAL_VOLUMES,
  LOGS,
  type Log,
  NODES_MAX,
  PKI,
  SHARED_VOLUMES,
  STATE,
} from './settings.ts';
import { findTools } from './tools.ts';

const READY_TIMEOUT_MS = 120_000;
/** Their pods are what a story needs before its first step. */
const SERVICES = [
  'kube-system deployment/coredns',
  'local-path-storage deployment/local-path-provisioner',
];

/** Makes everything that a cluster needs, or finds it kept. */
export async function build(nodeCount: number, log: Log): Promise<Plan> {
  await installPackages(log);
  await findTools();
  const binaries = await buildBinaries(log);
  return { nodeCount, binaries, images: await buildImages(binaries, log) };
}

/**
 * Resolves when all nodes are Ready and the cluster's services run. Of a cluster that is up, it starts
 * nodes that have lost power, and gives all nodes the images as they are now.
 */
export async function up(nodeCount: number, log: Log): Promise<void> {
  if (nodeCount < 1 || nodeCount > NODES_MAX) throw new Error(`1 to ${NODES_MAX} nodes`);
  const plan = await build(nodeCount, log);
  const nodes = clusterNodes(nodeCount);
  if (isUp() && readPlan().nodeCount !== nodeCount) {
    throw new Error('a cluster with another number of nodes is up: take it down first');
  }
  for (const folder of [LOGS, SHARED_VOLUMES, LOCAL_VOLUMES])
    mkdirSync(folder, { recursive: true });
  if (!existsSync(join(PKI, 'sa.pub'))) await makeCertificates();
  await prepareMachine(nodes);
  await layNetwork(nodes);
  writePlan(plan);
  log('starting the nodes');
  const running = nodes.filter((node) => powerOf(node.name) !== undefined);
  for (const name of [CONTROL, ...nodes.map((node) => node.name)]) powerOn(name);
  await importIntoRunning(running.filter((node) => !hasImages(node, plan)));
  await waitForApiserver();
  log('the apiserver answers');
  await kubectl(['apply', '-f', '-'], serviceManifests());
  for (const node of nodes) await waitForNode(node);
  log('all nodes are ready');
  for (const service of SERVICES) {
    const [namespace = '', name = ''] = service.split(' ');
    await kubectl(['-n', namespace, 'rollout', 'status', name, '--timeout=120s']);
  }
  log('the cluster is up');
}

/** Ends the cluster and removes what it left on the machine; what was built is kept. */
export async function down(): Promise<void> {
  const names = [...clusterNodes(NODES_MAX).map((node) => node.name), CONTROL];
  await Promise.all(names.map(powerOff));
  await endCgroups();
  await removeNetwork();
  await restoreMachine();
  rmSync(STATE, { recursive: true, force: true });
}

/** Whether anything of a cluster runs. */
export function isUp(): boolean {
  const names = [CONTROL, ...clusterNodes(NODES_MAX).map((node) => node.name)];
  return names.some((name) => powerOf(name) !== undefined);
}

/** Each node and the control plane, and whether it has power; empty when no cluster is up. */
export function status(): readonly string[] {
  if (!isUp()) return [];
  const names = [CONTROL, ...clusterNodes(readPlan().nodeCount).map((node) => node.name)];
  return names.map((name) => `${name} ${powerOf(name) === undefined ? 'off' : 'on'}`);
}

/** Starts a node that was switched off and resolves when the apiserver has heard of it again. */
export async function switchOn(name: string): Promise<void> {
  powerOn(name);
  const node = clusterNodes(NODES_MAX).find((candidate) => candidate.name === name);
  await (node === undefined ? waitForApiserver() : waitForNode(node));
}

/** Nodes that start import by themselves; this is for those that ran before the images changed. */
async function importIntoRunning(nodes: readonly ClusterNode[]): Promise<void> {
  const main = join(import.meta.dirname, 'main.ts');
  const importing = nodes.map(async ({ name }) => {
    await runInside(name, [process.execPath, main, 'import', name]);
  });
  await Promise.all(importing);
}

/** Imports the images as they are now; run from inside a node. */
export async function importHere(node: ClusterNode): Promise<void> {
  await importImages(node, readPlan());
}

async function waitForApiserver(): Promise<void> {
  await waitFor('the apiserver', READY_TIMEOUT_MS, async () => {
    return (await kubectl(['get', '--raw', '/readyz'])) === 'ok';
  });
}

/** A node is still called Ready when it has lost power: only a sign after its start counts. */
async function waitForNode({ name }: ClusterNode): Promise<void> {
  const sinceMs = powerOf(name)?.sinceMs ?? 0;
  const lease = ['-n', 'kube-node-lease', 'get', 'lease', name, '-o', 'jsonpath={.spec.renewTime}'];
  await waitFor(`${name} to renew its lease`, READY_TIMEOUT_MS, async () => {
    return Date.parse(await kubectl(lease)) > sinceMs;
  });
  await kubectl(['wait', '--for=condition=Ready', `node/${name}`, '--timeout=90s']);
}

async function kubectl(args: readonly string[], input?: string): Promise<string> {
  const { kubectl: program } = await findTools();
  const options = { env: { KUBECONFIG }, timeoutMs: READY_TIMEOUT_MS };
  return await run(program, args, input === undefined ? options : { ...options, input });
}
