/** At rest: all that was asked for is done, the cluster says so, and each of its members does. */
import type { MinikvCluster } from './minikv.ts';

export async function isSettled(cluster: MinikvCluster): Promise<boolean> {
  const { status, metadata } = await cluster.get();
  const roleOf = (name: string): string => (name === status?.leader ? 'Leader' : 'Follower');
  const progressing = status?.conditions?.find(({ type }) => type === 'Progressing');
  return (
    status?.phase === 'Running' &&
    status.observedGeneration === metadata.generation &&
    progressing?.status === 'False' &&
    progressing.reason === 'Settled' &&
    // What is said of them may come a moment later, and is a write as well.
    status.leader !== undefined &&
    status.coordinators?.members?.every(
      ({ name, role, healthy }) => healthy && role === roleOf(name),
    ) === true &&
    status.volumes?.members?.every(({ state }) => state === 'Active') === true
  );
}
