/** A node, run from inside its namespaces: containerd with its images, the kubelet and kube-proxy. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { waitFor } from '../../harness/wait-for.ts';
import { kubeconfigOf } from './certificates.ts';
import { containerdSettings, networkSettings } from './containerd.ts';
import { flags, settleIn, supervise } from './inside.ts';
import { MOUNT_POINTS } from './machine.ts';
import { type Plan, readPlan } from './plan.ts';
import { attempt, run } from './run.ts';
import {
  type ClusterNode,
  DNS_ADDRESS,
  DOMAIN,
  LOCAL_VOLUMES,
  PKI,
  POD_RANGE,
  PREFIX,
} from './settings.ts';

const START_TIMEOUT_MS = 30_000;
const IMPORT_TIMEOUT_MS = 120_000;
const MIB = 1_048_576;

/** Settles in and starts the programs; the process then watches over them until it is killed. */
export async function runNode(node: ClusterNode): Promise<void> {
  const plan = readPlan();
  await settleIn(node.name, node.folder);
  await mountFolders(node);
  const file = (name: string): string => join(node.folder, name);
  mkdirSync(file('cni'), { recursive: true });
  writeFileSync(file('cni/10-pods.conflist'), JSON.stringify(networkSettings(node)));
  writeFileSync(file('containerd.toml'), containerdSettings(node));
  writeFileSync(file('resolv.conf'), '');
  writeFileSync(file('kubelet.json'), JSON.stringify(kubeletSettings(node, plan)));
  writeFileSync(file('kube-proxy.json'), JSON.stringify(proxySettings(node)));
  supervise(`${node.name}-containerd`, 'containerd', ['-c', file('containerd.toml'), '-l', 'warn']);
  await waitFor('containerd', START_TIMEOUT_MS, async () => {
    return (await attempt('ctr', ['version'])) !== undefined;
  });
  await importImages(node, plan);
  const kube = join(plan.binaries, 'kube');
  const kubelet = flags({
    config: file('kubelet.json'),
    kubeconfig: kubeconfigOf(node.name),
    'hostname-override': node.name,
    'node-ip': node.address,
    'node-labels': `topology.kubernetes.io/zone=${node.zone}`,
    v: 1,
  });
  supervise(`${node.name}-kubelet`, kube, ['kubelet', ...kubelet]);
  const proxy = flags({ config: file('kube-proxy.json'), v: 1 });
  supervise(`${node.name}-kube-proxy`, kube, ['kube-proxy', ...proxy]);
}

/** Whether the names of this node's images stand for those of the plan. */
export function hasImages(node: ClusterNode, { images }: Plan): boolean {
  const file = importedFile(node);
  return existsSync(file) && readFileSync(file, 'utf8') === images.hash;
}

/** Imports the images of the plan, unless this node has them. */
export async function importImages(node: ClusterNode, plan: Plan): Promise<void> {
  if (hasImages(node, plan)) return;
  const { images } = plan;
  const args = ['-n', 'k8s.io', 'images', 'import', '--no-unpack', images.file];
  await run('ctr', args, { timeoutMs: IMPORT_TIMEOUT_MS });
  // Only the last import counts: a name stands for what came last under it.
  writeFileSync(importedFile(node), images.hash);
}

function importedFile({ folder }: ClusterNode): string {
  return join(folder, 'imported-images');
}

/** Every node has a folder of its own where the machine has one for all. */
async function mountFolders({ folder }: ClusterNode): Promise<void> {
  for (const path of [...MOUNT_POINTS, LOCAL_VOLUMES]) {
    const own = join(folder, path);
    mkdirSync(own, { recursive: true });
    await run('mount', ['--bind', own, path]);
  }
  await run('mount', ['--make-rshared', '/var/lib/kubelet']);
}

function kubeletSettings({ name, folder }: ClusterNode, { nodeCount }: Plan) {
  // Each node offers its part of the machine's memory, so that all together offer it once.
  const reservedBytes = totalmem() - totalmem() / nodeCount;
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: '0.0.0.0',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    podLogsDir: join(folder, 'pod-logs'),
    volumePluginDir: join(folder, 'volume-plugins'),
    failCgroupV1: false,
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${PREFIX}/${name}`,
    cgroupsPerQOS: true,
    enforceNodeAllocatable: ['pods'],
    systemReserved: { memory: `${Math.round(reservedBytes / MIB)}Mi` },
    failSwapOn: false,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: '10s' },
      x509: { clientCAFile: join(PKI, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: join(PKI, `${name}.crt`),
    tlsPrivateKeyFile: join(PKI, `${name}.key`),
    clusterDomain: DOMAIN,
    clusterDNS: [DNS_ADDRESS],
    resolvConf: join(folder, 'resolv.conf'),
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '1%',
      'imagefs.available': '1%',
      'nodefs.inodesFree': '1%',
      'imagefs.inodesFree': '1%',
    },
    // Nothing can be pulled again.
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
    nodeStatusUpdateFrequency: '4s',
    nodeStatusReportFrequency: '30s',
    nodeLeaseDurationSeconds: 20,
    syncFrequency: '15s',
    shutdownGracePeriod: '0s',
  };
}

function proxySettings({ name }: ClusterNode) {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clusterCIDR: POD_RANGE,
    clientConnection: { kubeconfig: kubeconfigOf('kube-proxy') },
    hostnameOverride: name,
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    iptables: { minSyncPeriod: '200ms' },
  };
}
