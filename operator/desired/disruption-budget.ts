/**
 * One pod of a role at a time, for everybody who evicts: a drain, an autoscaler, and a deposed operator
 * that wakes up late. A pod that is not ready may always go: it holds nothing up.
 */
import { type Role, roleName } from '../api/names.ts';
import type { Manifest } from './manifest.ts';
import { selectorLabels } from './names.ts';
import { metaOf, type Wanted } from './wanted.ts';

export const buildDisruptionBudget = (wanted: Wanted, role: Role): Manifest => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: metaOf(wanted, roleName(wanted.name, role), role),
  spec: {
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: selectorLabels(wanted.name, role) },
  },
});
