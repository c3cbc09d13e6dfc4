/** Alerts on what a person has to look at; each names the cluster and what is lost meanwhile. */
import { roleName } from '../api/names.ts';
import type { Fields, Manifest } from './manifest.ts';
import { metaOf, type Wanted } from './wanted.ts';

export function buildPrometheusRule(wanted: Wanted): Manifest {
  const meta = metaOf(wanted, wanted.name);
  return {
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { ...meta, labels: { ...wanted.spec.monitoring.labels, ...meta.labels } },
    spec: { groups: [{ name: `minikv-${wanted.name}`, rules: alertsOf(wanted) }] },
  };
}

function alertsOf(wanted: Wanted): readonly Fields[] {
  const coordinators = selector(wanted, roleName(wanted.name, 'coordinator'));
  const volumes = selector(wanted, roleName(wanted.name, 'volume'));
  const alert = (name: string, expr: string, duration: string, summary: string): Fields => ({
    alert: `MiniKV${name}`,
    expr,
    for: duration,
    labels: { severity: name === 'UnderReplicated' ? 'warning' : 'critical', cluster: wanted.name },
    annotations: { summary: `${wanted.namespace}/${wanted.name}: ${summary}` },
  });
  const unsynced = alert(
    'VolumeUnsynced',
    `max(minikv_volume_unsynced_age_seconds{${volumes}}) > 120`,
    '5m',
    'bytes have not reached a disk for minutes: a power cut would lose them',
  );
  return [
    alert(
      'NoLeader',
      // A sum over nothing is nothing, not zero: with no coordinator to ask it would never fire. It fires
      // for one that is not scraped too, so a Prometheus that has just begun is given time to reach them.
      `(sum(minikv_raft_role{role="leader",${coordinators}}) or vector(0)) < 1`,
      '5m',
      'no coordinator leads: writes fail and reads may be old',
    ),
    alert(
      'UnderReplicated',
      `max(minikv_under_replicated_keys{${coordinators}}) > 0`,
      '30m',
      'keys have had fewer good copies than wanted for half an hour',
    ),
    alert(
      'DataLost',
      `max(minikv_lost_keys{${coordinators}}) > 0`,
      '1m',
      'keys are known to have no sound copy',
    ),
    alert(
      'StateInDoubt',
      `max(minikv_state_in_doubt{${coordinators}}) > 0`,
      '1m',
      'coordinators differ without a majority and nothing is served',
    ),
    ...(wanted.spec.volumes.fsync === 'never' ? [] : [unsynced]),
  ];
}

const selector = ({ namespace }: Wanted, pods: string): string =>
  `namespace="${namespace}",pod=~"${pods}-[0-9]+"`;
