/**
 * The network: a switch in a namespace of its own, a cable from it to each node, to the control
 * plane and to the machine itself. Pods are routed, and nothing leads outside.
 */
import { attempt, run } from './run.ts';
import {
  type ClusterNode,
  CONTROL,
  CONTROL_ADDRESS,
  HOST_ADDRESS,
  namespaceOf,
  PREFIX,
} from './settings.ts';

const SWITCH = namespaceOf('switch');
const HOST_INTERFACE = `${PREFIX}-host`;
/** Stands for the machine's own namespace among the names of nodes. */
const HOST = 'host';

/** Lays what is not there yet: a node that comes back finds its cable as it was. */
export async function layNetwork(nodes: readonly ClusterNode[]): Promise<void> {
  const present = await namespaces();
  if (!present.has(SWITCH)) await makeSwitch();
  if (!present.has(SWITCH)) await plugHost();
  const ends = [{ name: CONTROL, address: CONTROL_ADDRESS }, ...nodes];
  for (const { name, address } of ends) {
    if (present.has(namespaceOf(name))) continue;
    await run('ip', ['netns', 'add', namespaceOf(name)]);
    await plug(name, address);
  }
  for (const { name } of ends) await route(name, nodes);
  // Else an answer to a pod that called the machine would leave by the machine's default route.
  await batch(undefined, nodes.map(routeTo));
}

/** Removes every interface and namespace; none there is fine. */
export async function removeNetwork(): Promise<void> {
  await attempt('ip', ['link', 'delete', HOST_INTERFACE]);
  for (const name of await namespaces()) await run('ip', ['netns', 'delete', name]);
}

/** Pulls a node's cable, or plugs it in again. */
export async function setCable(name: string, state: 'up' | 'down'): Promise<void> {
  await run('ip', ['-n', SWITCH, 'link', 'set', portOf(name), state]);
}

async function makeSwitch(): Promise<void> {
  await run('ip', ['netns', 'add', SWITCH]);
  await batch(SWITCH, ['link add bridge0 type bridge', 'link set bridge0 up']);
  // The machine may have a firewall for what crosses a bridge; this one is only a cable.
  const key = 'net.bridge.bridge-nf-call-iptables=0';
  await attempt('ip', ['netns', 'exec', SWITCH, 'sysctl', '-qw', key]);
}

async function plugHost(): Promise<void> {
  await batch(undefined, [
    `link add ${HOST_INTERFACE} type veth peer name ${portOf(HOST)} netns ${SWITCH}`,
    `address add ${HOST_ADDRESS}/24 dev ${HOST_INTERFACE}`,
    `link set ${HOST_INTERFACE} up`,
  ]);
  await joinSwitch(HOST);
}

async function plug(name: string, address: string): Promise<void> {
  const namespace = namespaceOf(name);
  const cable = `link add eth0 netns ${namespace} type veth`;
  await batch(undefined, [`${cable} peer name ${portOf(name)} netns ${SWITCH}`]);
  await batch(namespace, [`address add ${address}/24 dev eth0`, 'link set eth0 up']);
  await batch(namespace, ['link set lo up']);
  await run('ip', ['netns', 'exec', namespace, 'sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await joinSwitch(name);
}

async function joinSwitch(name: string): Promise<void> {
  await batch(SWITCH, [`link set ${portOf(name)} master bridge0 up`]);
}

async function route(name: string, nodes: readonly ClusterNode[]): Promise<void> {
  const routes = nodes.filter((node) => node.name !== name).map(routeTo);
  // It leads nowhere, but kubelet, kube-proxy and node ports want one.
  if (name !== CONTROL) routes.push(`route replace default via ${CONTROL_ADDRESS}`);
  await batch(namespaceOf(name), routes);
}

function routeTo({ podRange, address }: ClusterNode): string {
  return `route replace ${podRange} via ${address}`;
}

function portOf(name: string): string {
  return `port-${name}`;
}

async function namespaces(): Promise<ReadonlySet<string>> {
  const list = await run('ip', ['netns', 'list']);
  const names = list.split('\n').map((line) => line.replace(/ .*/, ''));
  return new Set(names.filter((name) => name.startsWith(`${PREFIX}-`)));
}

async function batch(namespace: string | undefined, lines: readonly string[]): Promise<void> {
  const where = namespace === undefined ? [] : ['-n', namespace];
  await run('ip', [...where, '-batch', '-'], { input: `${lines.join('\n')}\n` });
}
