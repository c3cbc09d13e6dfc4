/** At rest: all that was asked for is done, and the cluster says so. */
import type { MinikvCluster } from './minikv.ts';

export async function isSettled(cluster: MinikvCluster): Promise<boolean> {
  const { status, metadata } = await cluster.get();
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  return (
    status?.phase === 'Running' &&
    status.observedGeneration === metadata.generation &&
    progressing?.status === 'False' &&
    progressing.reason === 'Settled'
  );
}
