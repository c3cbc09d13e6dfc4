/** What a service account has asked of the apiserver. Only this project's cluster writes it down. */
import { readFile } from 'node:fs/promises';
import { AUDIT_LOG, KUBECONFIG } from '../cluster/settings.ts';

/** One answered request. */
export interface AuditEvent {
  readonly verb: string;
  readonly user: { readonly username: string };
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

/** True where `auditOf` can answer. */
export const isAudited = (): boolean => process.env['KUBECONFIG'] === KUBECONFIG;

/** All requests so far of the operators in a namespace, oldest first. */
export async function auditOf(namespace: string): Promise<readonly AuditEvent[]> {
  const user = `system:serviceaccount:${namespace}:minikv-operator`;
  const lines = (await readFile(AUDIT_LOG, 'utf8')).split('\n');
  // The last line may be on its way.
  const whole = lines.slice(0, -1).map((line) => JSON.parse(line) as AuditEvent);
  return whole.filter((event) => event.user.username === user);
}
