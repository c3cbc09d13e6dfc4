/** The nodes that pods of a story run on, and how the apiserver sees them. */
import type { V1Node } from '@kubernetes/client-node';
import { read, readAll } from './reader.ts';

const CONTROL_PLANE = 'node-role.kubernetes.io/control-plane';

/** All nodes but those that only run the control plane. */
export async function workers(): Promise<readonly V1Node[]> {
  return (await readAll<V1Node>('node')).filter(
    (node) => node.metadata?.labels?.[CONTROL_PLANE] === undefined,
  );
}

export function isReady(node: V1Node): boolean {
  const conditions = node.status?.conditions ?? [];
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
}

/** Whether the apiserver counts on the node now. */
export async function nodeIsReady(name: string): Promise<boolean> {
  return isReady(await read<V1Node>('node', name));
}
