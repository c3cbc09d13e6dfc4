/**
 * Names, addresses and places of the cluster. They are fixed, so there is one such cluster on a
 * machine, and what one run left behind is found by the next.
 */
import { join } from 'node:path';

/** Says what is being done, a phrase at a time. */
export type Log = (phrase: string) => void;

/** Everything that a running cluster writes; gone when it is taken down. */
export const STATE = '/var/lib/minikv-kubernetes';
export const KUBECONFIG = join(STATE, 'kubeconfig');
export const PKI = join(STATE, 'pki');
export const LOGS = join(STATE, 'logs');
/** What service accounts asked of the apiserver, a line of JSON a request. */
export const AUDIT_LOG = join(LOGS, 'audit.log');
/** A folder that all nodes see: its volumes move with their pod. */
export const SHARED_VOLUMES = join(STATE, 'shared-volumes');
/** Every node sees a folder of its own here: its volumes are bound to it. */
export const LOCAL_VOLUMES = join(STATE, 'local-volumes');

/** The nodes have minikv's image under a second name, which ends so: a cluster can be rolled to it. */
export const NEXT = '-next';
/** And under a third one, in which the failpoints were kept: a release has none. */
export const FAILPOINTS = '-failpoints';

/** Begins every network namespace, interface and cgroup made here. */
export const PREFIX = 'mkv';
/** The place of the apiserver, etcd and the controllers; no pods run in it. */
export const CONTROL = 'control';
export const NODES_MAX = 9;

const NODE_NETWORK = '10.200.0';
const POD_NETWORK = '10.244';
export const HOST_ADDRESS = `${NODE_NETWORK}.1`;
export const CONTROL_ADDRESS = `${NODE_NETWORK}.10`;
export const POD_RANGE = `${POD_NETWORK}.0.0/16`;
export const SERVICE_RANGE = '10.96.0.0/16';
export const KUBERNETES_ADDRESS = '10.96.0.1';
export const DNS_ADDRESS = '10.96.0.10';
export const DOMAIN = 'cluster.local';

/** A machine of the cluster: namespaces of its own with a containerd, a kubelet and a kube-proxy. */
export interface ClusterNode {
  readonly name: string;
  readonly address: string;
  /** The addresses of its pods. */
  readonly podRange: string;
  readonly zone: string;
  /** What it keeps over a power cut. */
  readonly folder: string;
}

/** The first `count` nodes: n1, n2 and so on, each in a zone of its own. */
export function clusterNodes(count: number): readonly ClusterNode[] {
  return Array.from({ length: count }, (_, index) => {
    const number = index + 1;
    return {
      name: `n${number}`,
      address: `${NODE_NETWORK}.${10 + number}`,
      podRange: `${POD_NETWORK}.${number}.0/24`,
      zone: `z${number}`,
      folder: join(STATE, 'nodes', `n${number}`),
    };
  });
}

/** The network namespace of a node or of the control plane. */
export function namespaceOf(name: string): string {
  return `${PREFIX}-${name}`;
}
