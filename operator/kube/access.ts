/**
 * Where the API server is and how to be let in: read by `@kubernetes/client-node` from a kubeconfig, or
 * from the files that a pod finds mounted. Of that package nothing else is used (see DESIGN.md).
 */
import type { RequestOptions } from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import { KubeError } from './kube-error.ts';

/** TLS of a connection; one of the fields changes when a certificate is renewed. */
export interface TlsMaterial {
  readonly ca?: string | Buffer;
  readonly cert?: string | Buffer;
  readonly key?: string | Buffer;
  readonly servername?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface Authorization {
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsMaterial;
}

export interface KubeAccess {
  /** `https://10.96.0.1:443`, perhaps with a path. */
  readonly serverUrl: URL;
  /** Asked before each request: a token from a file or a plugin is renewed in it. */
  authorize(): Promise<Authorization>;
}

/**
 * The kubeconfig of `KUBECONFIG` or `~/.kube/config`, else the pod's own service account.
 * @throws KubeError `NoAccess` when there is neither, or when it needs a proxy, which is not supported.
 */
export function defaultAccess(): KubeAccess {
  const config = new KubeConfig();
  config.loadFromDefault();
  return accessOf(config);
}

/** @throws KubeError `NoAccess`, as `defaultAccess`. */
export function accessOf(config: KubeConfig): KubeAccess {
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw noAccess('no cluster: neither a kubeconfig nor a service account was found');
  }
  if (cluster.proxyUrl !== undefined)
    throw noAccess('a proxy-url in a kubeconfig is not supported');
  return {
    serverUrl: new URL(cluster.server),
    async authorize() {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return { headers: headersOf(options), tls: tlsOf(options) };
    },
  };
}

const noAccess = (message: string): KubeError =>
  new KubeError({ code: 0, reason: 'NoAccess', message });

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (typeof value === 'string') headers[name.toLowerCase()] = value.trim();
  }
  if (typeof options.auth === 'string') {
    headers['authorization'] = `Basic ${Buffer.from(options.auth).toString('base64')}`;
  }
  return headers;
}

function tlsOf({ ca, cert, key, servername, rejectUnauthorized }: RequestOptions): TlsMaterial {
  return {
    ...(isPem(ca) ? { ca } : {}),
    ...(isPem(cert) ? { cert } : {}),
    ...(isPem(key) ? { key } : {}),
    ...(servername === undefined ? {} : { servername }),
    ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
  };
}

const isPem = (value: unknown): value is string | Buffer =>
  typeof value === 'string' || Buffer.isBuffer(value);
