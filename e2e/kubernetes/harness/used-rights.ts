/** Rights as `VERB GROUP/RESOURCE`: those of the table, and those that requests have needed. */
import { RIGHTS, type Rule } from '../../../operator/manifests/rbac.ts';
import type { AuditEvent } from './audit.ts';

export const rightsOf = (rules: readonly Rule[]): readonly string[] =>
  rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
    ),
  );

/** Of every install, whatever the chart's values. */
export const DEFAULT_RIGHTS = rightsOf([...RIGHTS.watched, ...RIGHTS.own]);
export const ALL_RIGHTS = rightsOf(Object.values(RIGHTS).flat());

export const isDenied = ({ responseStatus }: AuditEvent): boolean => responseStatus?.code === 403;

/** Also when it was denied; none when it was about no object. */
export function neededBy({ verb, objectRef, responseStatus }: AuditEvent): readonly string[] {
  if (objectRef?.resource === undefined) return [];
  const { apiGroup = '', resource, subresource } = objectRef;
  const at = `${apiGroup}/${resource}${subresource === undefined ? '' : `/${subresource}`}`;
  // An apply that makes an object is asked for both rights.
  const isMade = verb === 'patch' && responseStatus?.code === 201;
  return isMade ? [`patch ${at}`, `create ${at}`] : [`${verb} ${at}`];
}

/**
 * What one operator was denied while its rights were whole. Once something is denied that every
 * operator may do, its namespace or its chart is being taken down, and nothing after that counts.
 */
export function deniedWhileWhole(ofOne: readonly AuditEvent[]): readonly string[] {
  const denied = ofOne.filter(isDenied).map((event) => neededBy(event).join(' '));
  const end = denied.findIndex((right) => DEFAULT_RIGHTS.includes(right));
  return end === -1 ? denied : denied.slice(0, end);
}
