/** Kinds that a story brings along: when the apiserver has taken them up. */
import type { V1CustomResourceDefinition } from '@kubernetes/client-node';
import { waitFor } from '../../harness/wait-for.ts';
import { read } from './reader.ts';

/** The name of the definition of our own kind. */
export const CLUSTER_DEFINITION = 'minikvclusters.minikv.io';

const ESTABLISHED_MS = 30_000;
const LOOK_EVERY_MS = 100;

/**
 * Resolves once objects of that definition can be made. `kubectl wait` gives up on one that is a moment
 * old, since its conditions are null then.
 */
export async function untilEstablished(name: string): Promise<void> {
  const isEstablished = async (): Promise<boolean> => {
    const { status } = await read<V1CustomResourceDefinition>('crd', name);
    const found = status?.conditions?.find(({ type }) => type === 'Established');
    return found?.status === 'True';
  };
  await waitFor(`${name} to be established`, ESTABLISHED_MS, isEstablished, LOOK_EVERY_MS);
}
