/**
 * The cluster's certificates and the kubeconfigs made of them: one authority, and a certificate for
 * each component whose subject is the name by which the apiserver's rules know it.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';
import {
  CONTROL_ADDRESS,
  clusterNodes,
  DOMAIN,
  KUBECONFIG,
  KUBERNETES_ADDRESS,
  NODES_MAX,
  PKI,
} from './settings.ts';

interface Certificate {
  readonly name: string;
  readonly subject: string;
  readonly usage: string;
  readonly alternatives?: string;
}

const SERVICE = 'kubernetes.default.svc';
const APISERVER_NAMES = ['kubernetes', 'kubernetes.default', SERVICE, `${SERVICE}.${DOMAIN}`];
const APISERVER_ADDRESSES = ['127.0.0.1', CONTROL_ADDRESS, KUBERNETES_ADDRESS];
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
/** Who speaks to the apiserver, and as whom. */
const CLIENTS: Readonly<Record<string, string>> = {
  admin: '/O=system:masters/CN=admin',
  'controller-manager': '/CN=system:kube-controller-manager',
  scheduler: '/CN=system:kube-scheduler',
  'kube-proxy': '/CN=system:kube-proxy',
};

/** The kubeconfig of a component or of a node. */
export function kubeconfigOf(name: string): string {
  return name === 'admin' ? KUBECONFIG : join(PKI, `${name}.kubeconfig`);
}

/** Makes everything anew: of a cluster that was kept, nothing is asked to renew it. */
export async function makeCertificates(): Promise<void> {
  mkdirSync(PKI, { recursive: true, mode: 0o700 });
  // Without a configuration of its own, openssl would add extensions of the machine's.
  writeFileSync(join(PKI, 'openssl.cnf'), '[req]\ndistinguished_name = none\n[none]\n');
  await selfSigned();
  await Promise.all(certificates().map(signed));
  await run('openssl', [
    'ecparam',
    '-name',
    'prime256v1',
    '-genkey',
    '-noout',
    '-out',
    at('sa.key'),
  ]);
  await run('openssl', ['ec', '-in', at('sa.key'), '-pubout', '-out', at('sa.pub')]);
  const nodes = clusterNodes(NODES_MAX).map((node) => node.name);
  for (const name of [...Object.keys(CLIENTS), ...nodes]) writeKubeconfig(name);
}

function certificates(): readonly Certificate[] {
  const names = APISERVER_NAMES.map((name) => `DNS:${name}`);
  const addresses = APISERVER_ADDRESSES.map((address) => `IP:${address}`);
  const client = (name: string, subject: string): Certificate => ({
    name,
    subject,
    usage: 'clientAuth',
  });
  return [
    {
      name: 'apiserver',
      subject: '/CN=kube-apiserver',
      usage: 'serverAuth',
      alternatives: [...names, ...addresses].join(','),
    },
    client('apiserver-kubelet', '/O=system:masters/CN=kube-apiserver-kubelet-client'),
    client('front-proxy', '/CN=front-proxy-client'),
    ...Object.entries(CLIENTS).map(([name, subject]) => client(name, subject)),
    ...clusterNodes(NODES_MAX).map(({ name, address }) => ({
      name,
      subject: `/O=system:nodes/CN=system:node:${name}`,
      usage: 'serverAuth,clientAuth',
      alternatives: `DNS:${name},IP:${address}`,
    })),
  ];
}

async function selfSigned(): Promise<void> {
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign'];
  await request('ca', '/CN=minikv-kubernetes', extensions, []);
}

async function signed({ name, subject, usage, alternatives }: Certificate): Promise<void> {
  const extensions = ['keyUsage=critical,digitalSignature', `extendedKeyUsage=${usage}`];
  if (alternatives !== undefined) extensions.push(`subjectAltName=${alternatives}`);
  await request(name, subject, extensions, ['-CA', at('ca.crt'), '-CAkey', at('ca.key')]);
}

async function request(
  name: string,
  subject: string,
  extensions: readonly string[],
  signer: readonly string[],
): Promise<void> {
  const files = ['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)];
  const added = extensions.flatMap((extension) => ['-addext', extension]);
  const common = ['req', '-x509', '-config', at('openssl.cnf'), ...KEY, '-days', '3650'];
  await run('openssl', [...common, '-subj', subject, ...files, ...added, ...signer]);
}

function writeKubeconfig(name: string): void {
  const base64 = (file: string): string => readFileSync(at(file)).toString('base64');
  const cluster = {
    server: `https://${CONTROL_ADDRESS}:6443`,
    'certificate-authority-data': base64('ca.crt'),
  };
  const user = {
    'client-certificate-data': base64(`${name}.crt`),
    'client-key-data': base64(`${name}.key`),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'minikv', cluster }],
    users: [{ name, user }],
    contexts: [{ name: 'minikv', context: { cluster: 'minikv', user: name } }],
    'current-context': 'minikv',
  };
  writeFileSync(kubeconfigOf(name), JSON.stringify(config, null, 2), { mode: 0o600 });
}

function at(file: string): string {
  return join(PKI, file);
}
