/**
 * Everything that should be there for a cluster, in the order in which it is applied: accounts and
 * settings before the pods that mount them, budgets before the pods that they guard.
 */
import type { Role } from '../api/names.ts';
import { configMapName, roleName } from '../api/names.ts';
import { buildConfigMap } from './config-map.ts';
import { buildDisruptionBudget } from './disruption-budget.ts';
import type { Manifest } from './manifest.ts';
import { ROLES } from './names.ts';
import { buildNetworkPolicy } from './network-policy.ts';
import { buildPodMonitor } from './pod-monitor.ts';
import { buildPrometheusRule } from './prometheus-rule.ts';
import { buildServiceAccount } from './service-accounts.ts';
import { buildClientService, buildHeadlessService } from './services.ts';
import { buildStatefulSet } from './stateful-set.ts';
import type { Wanted } from './wanted.ts';

export interface Desired {
  readonly manifests: readonly Manifest[];
  /** Keys of objects that must not be there, because the spec turned them off. */
  readonly unwanted: readonly string[];
  /** Why a role's template could not be built; its StatefulSet is then not among the manifests. */
  readonly rejected: Readonly<Partial<Record<Role, readonly string[]>>>;
}

export function buildDesired(wanted: Wanted): Desired {
  const { spec, kinds } = wanted;
  const sets = ROLES.map((role) => ({ role, built: buildStatefulSet(wanted, role) }));
  const rejected: Partial<Record<Role, readonly string[]>> = {};
  for (const { role, built } of sets) {
    if (built.kind === 'rejected') rejected[role] = built.problems;
  }
  const manifests = [
    ...ROLES.map((role) => buildServiceAccount(wanted, role)),
    buildConfigMap(wanted),
    buildClientService(wanted),
    ...ROLES.map((role) => buildHeadlessService(wanted, role)),
    ...ROLES.map((role) => buildDisruptionBudget(wanted, role)),
    ...(spec.networkPolicy.enabled ? ROLES.map((role) => buildNetworkPolicy(wanted, role)) : []),
    ...sets.flatMap(({ built }) => (built.kind === 'built' ? [built.manifest] : [])),
    ...(spec.monitoring.podMonitor && kinds.podMonitor
      ? ROLES.map((role) => buildPodMonitor(wanted, role))
      : []),
    ...(spec.monitoring.prometheusRule && kinds.prometheusRule
      ? [buildPrometheusRule(wanted)]
      : []),
  ];
  return { manifests, rejected, unwanted: unwantedKeys(wanted) };
}

function unwantedKeys({ name, spec }: Wanted): readonly string[] {
  const ofRoles = (kind: string): readonly string[] =>
    ROLES.map((role) => `${kind}/${roleName(name, role)}`);
  return [
    ...(spec.networkPolicy.enabled ? [] : ofRoles('NetworkPolicy')),
    ...(spec.monitoring.podMonitor ? [] : ofRoles('PodMonitor')),
    ...(spec.monitoring.prometheusRule ? [] : [`PrometheusRule/${name}`]),
  ];
}

/** Where an object of a cluster stands, wanted or not. */
export interface ObjectPlace {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
}

/** Every name that a cluster of this name may use: who holds one of them is foreign. */
export function placesOf(name: string): readonly ObjectPlace[] {
  const ofRoles = (apiVersion: string, kind: string): readonly ObjectPlace[] =>
    ROLES.map((role) => ({ apiVersion, kind, name: roleName(name, role) }));
  return [
    ...ofRoles('v1', 'ServiceAccount'),
    { apiVersion: 'v1', kind: 'ConfigMap', name: configMapName(name) },
    { apiVersion: 'v1', kind: 'Service', name },
    ...ofRoles('v1', 'Service'),
    ...ofRoles('policy/v1', 'PodDisruptionBudget'),
    ...ofRoles('networking.k8s.io/v1', 'NetworkPolicy'),
    ...ofRoles('apps/v1', 'StatefulSet'),
    ...ofRoles('monitoring.coreos.com/v1', 'PodMonitor'),
    { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', name },
  ];
}
