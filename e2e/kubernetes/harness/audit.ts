/** What service accounts have asked of the apiserver. Only this project's cluster writes it down. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { AUDIT_LOG, KUBECONFIG } from '../cluster/settings.ts';

/** One answered request. */
export interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
  /** Absent when it was about no object, such as which kinds there are. */
  readonly objectRef?: {
    readonly resource?: string;
    readonly subresource?: string;
    readonly apiGroup?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  /** When it was answered, RFC 3339. */
  readonly stageTimestamp: string;
}

/** True where `auditOf` and `auditOfAll` can answer. */
export const isAudited = (): boolean => process.env['KUBECONFIG'] === KUBECONFIG;

/** All requests so far of the operators in a namespace, oldest first. */
export async function auditOf(namespace: string): Promise<readonly AuditEvent[]> {
  const user = `system:serviceaccount:${namespace}:minikv-operator`;
  return (await auditOfAll()).filter((event) => event.user.username === user);
}

/** All requests so far of all operators since the cluster is up, oldest first. */
export async function auditOfAll(): Promise<readonly AuditEvent[]> {
  const folder = dirname(AUDIT_LOG);
  const name = basename(AUDIT_LOG, '.log');
  // A log that has grown large is set aside with the time in its name; the current one comes last.
  const aside = (await readdir(folder)).filter((file) => file.startsWith(`${name}-`)).sort();
  const files = [...aside.map((file) => join(folder, file)), AUDIT_LOG];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  return texts.flatMap(operatorsIn);
}

const IS_OPERATOR = /"username":"system:serviceaccount:[^"]+:minikv-operator"/;

/** The last line may be on its way. */
const operatorsIn = (text: string): readonly AuditEvent[] =>
  text
    .split('\n')
    .slice(0, -1)
    .filter((line) => IS_OPERATOR.test(line))
    .map((line) => JSON.parse(line) as AuditEvent);
