/** One account a role, without a token: the store never talks to the Kubernetes API. */
import { type Role, roleName } from '../api/names.ts';
import type { Manifest } from './manifest.ts';
import { metaOf, type Wanted } from './wanted.ts';

export const buildServiceAccount = (wanted: Wanted, role: Role): Manifest => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: metaOf(wanted, roleName(wanted.name, role), role),
  automountServiceAccountToken: false,
});
