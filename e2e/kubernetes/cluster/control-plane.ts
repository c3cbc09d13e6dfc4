/** The control plane: etcd, the apiserver, the controllers and the scheduler, run from inside. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { kubeconfigOf } from './certificates.ts';
import { flags, settleIn, supervise } from './inside.ts';
import { readPlan } from './plan.ts';
import {
  AUDIT_LOG,
  CONTROL,
  CONTROL_ADDRESS,
  DOMAIN,
  PKI,
  POD_RANGE,
  SERVICE_RANGE,
  STATE,
} from './settings.ts';

/** Settles in and starts the programs; the process then watches over them until it is killed. */
export async function runControlPlane(): Promise<void> {
  await settleIn(CONTROL, join(STATE, CONTROL));
  const kube = join(readPlan().binaries, 'kube');
  writeFileSync(AUDIT_POLICY_FILE, JSON.stringify(AUDIT_POLICY));
  const programs = { etcd, 'kube-apiserver': apiserver, ...controllers() };
  for (const [name, settings] of Object.entries(programs)) {
    supervise(name, kube, [name, ...flags(settings)]);
  }
}

const CLIENT_URL = 'http://127.0.0.1:2379';
const PEER_URL = 'http://127.0.0.1:2380';

const etcd = {
  name: CONTROL,
  'data-dir': join(STATE, CONTROL, 'etcd'),
  'listen-client-urls': CLIENT_URL,
  'advertise-client-urls': CLIENT_URL,
  'listen-peer-urls': PEER_URL,
  'initial-advertise-peer-urls': PEER_URL,
  'initial-cluster': `${CONTROL}=${PEER_URL}`,
  // It outlives the end of a process, and nothing here outlives the machine.
  'unsafe-no-fsync': true,
  'log-level': 'warn',
};

const AUDIT_POLICY_FILE = join(STATE, CONTROL, 'audit-policy.json');
/** Every request of a service account, but for those of Kubernetes itself: what an operator really did. */
const AUDIT_POLICY = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [
    { level: 'None', userGroups: ['system:serviceaccounts:kube-system'] },
    { level: 'Metadata', userGroups: ['system:serviceaccounts'] },
    { level: 'None' },
  ],
};

const apiserver = {
  'audit-policy-file': AUDIT_POLICY_FILE,
  'audit-log-path': AUDIT_LOG,
  'audit-log-maxsize': 200,
  'audit-log-maxbackup': 1,
  'etcd-servers': CLIENT_URL,
  'secure-port': 6443,
  'bind-address': '0.0.0.0',
  'advertise-address': CONTROL_ADDRESS,
  'service-cluster-ip-range': SERVICE_RANGE,
  'allow-privileged': true,
  'authorization-mode': 'Node,RBAC',
  'enable-admission-plugins': 'NodeRestriction',
  'client-ca-file': pki('ca.crt'),
  'tls-cert-file': pki('apiserver.crt'),
  'tls-private-key-file': pki('apiserver.key'),
  'kubelet-certificate-authority': pki('ca.crt'),
  'kubelet-client-certificate': pki('apiserver-kubelet.crt'),
  'kubelet-client-key': pki('apiserver-kubelet.key'),
  'kubelet-preferred-address-types': 'InternalIP',
  'service-account-issuer': `https://kubernetes.default.svc.${DOMAIN}`,
  'service-account-key-file': pki('sa.pub'),
  'service-account-signing-key-file': pki('sa.key'),
  'requestheader-client-ca-file': pki('ca.crt'),
  'requestheader-allowed-names': 'front-proxy-client',
  'requestheader-username-headers': 'X-Remote-User',
  'requestheader-group-headers': 'X-Remote-Group',
  'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
  'proxy-client-cert-file': pki('front-proxy.crt'),
  'proxy-client-key-file': pki('front-proxy.key'),
  'enable-aggregator-routing': true,
  profiling: false,
  v: 1,
};

function controllers() {
  const common = (name: string) => ({
    kubeconfig: kubeconfigOf(name),
    'authentication-kubeconfig': kubeconfigOf(name),
    'authorization-kubeconfig': kubeconfigOf(name),
    'bind-address': '127.0.0.1',
    'leader-elect': false,
    v: 1,
  });
  return {
    'kube-controller-manager': {
      ...common('controller-manager'),
      'use-service-account-credentials': true,
      'root-ca-file': pki('ca.crt'),
      'service-account-private-key-file': pki('sa.key'),
      'cluster-signing-cert-file': pki('ca.crt'),
      'cluster-signing-key-file': pki('ca.key'),
      'cluster-cidr': POD_RANGE,
      'allocate-node-cidrs': false,
      'flex-volume-plugin-dir': join(STATE, CONTROL, 'volume-plugins'),
      'service-cluster-ip-range': SERVICE_RANGE,
      // A node that is gone is seen to be gone in the time of a test.
      'node-monitor-period': '2s',
      'node-monitor-grace-period': '20s',
    },
    'kube-scheduler': common('scheduler'),
  };
}

function pki(file: string): string {
  return join(PKI, file);
}
