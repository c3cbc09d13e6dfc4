/** `minikv status`: each coordinator's own view, and the cluster as its leader knows it. */
import type { ClusterView, CoordinatorStatus } from '../../api/admin.ts';
import type { AdminClient } from '../../client/admin-client.ts';
import { formatBytes } from '../../common/units.ts';
import { describeError, type OutputForm, printResult, type Terminal, table } from '../terminal.ts';

interface Asked<T> {
  readonly value: T | null;
  readonly error: string | null;
}

const ask = <T>(answer: Promise<T>): Promise<Asked<T>> =>
  answer.then(
    (value) => ({ value, error: null }),
    (error: unknown) => ({ value: null, error: describeError(error) }),
  );

/** Prints what it learned; answers false when a coordinator or the cluster did not answer. */
export async function showStatus(
  admin: AdminClient,
  coordinators: readonly URL[],
  output: { readonly terminal: Terminal; readonly form: OutputForm },
): Promise<boolean> {
  const views = await Promise.all(
    coordinators.map(async (url) => ({ url: url.origin, ...(await ask(admin.status(url))) })),
  );
  const cluster = await ask(admin.cluster());
  printResult(output.terminal, output.form, {
    json: { coordinators: views, cluster },
    text: [
      table([
        ['COORDINATOR', 'NAME', 'STATE', 'ROLE', 'TERM', 'APPLIED', 'DIGEST'],
        ...views.map(({ url, value, error }) => [url, ...(value ? rowOf(value) : [error ?? ''])]),
      ]),
      '',
      cluster.value === null ? `cluster: ${cluster.error ?? ''}` : clusterText(cluster.value),
    ].join('\n'),
  });
  return cluster.error === null && views.every(({ error }) => error === null);
}

const rowOf = (status: CoordinatorStatus): string[] => [
  status.name,
  status.state,
  status.role,
  String(status.term),
  String(status.appliedIndex),
  status.digest,
];

function clusterText(view: ClusterView): string {
  const volumes = view.volumes.map((volume) => [
    volume.name,
    String(volume.disk),
    volume.live ? volume.state : 'not heard',
    volume.zone === '' ? '-' : volume.zone,
    String(volume.refs),
    `${formatBytes(volume.usedBytes)} of ${formatBytes(volume.capacityBytes)}`,
  ]);
  const { underReplicated, lost } = view.data;
  return [
    table([['VOLUME', 'DISK', 'STATE', 'ZONE', 'COPIES', 'USED'], ...volumes]),
    '',
    `cluster ${view.clusterId}, led by ${view.leader.name} in term ${view.term}: ` +
      `${underReplicated} keys lack copies, ${lost} have none`,
  ].join('\n');
}
