/**
 * Which lists and maps are merged item by item and which are replaced whole, as the schemas of the kinds
 * that the operator applies say it. What is not named here is atomic if it is a list, granular if a map.
 */

export type ListRule =
  | { readonly kind: 'map'; readonly keys: readonly string[] }
  | { readonly kind: 'set' }
  | { readonly kind: 'atomic' };

const ATOMIC: ListRule = { kind: 'atomic' };
const byKeys = (...keys: string[]): ListRule => ({ kind: 'map', keys });

const LISTS: ReadonlyMap<string, ListRule> = new Map([
  ['conditions', byKeys('type')],
  ['containers', byKeys('name')],
  ['initContainers', byKeys('name')],
  ['env', byKeys('name')],
  ['volumes', byKeys('name')],
  ['volumeMounts', byKeys('mountPath')],
  ['imagePullSecrets', byKeys('name')],
  ['hostAliases', byKeys('ip')],
  ['members', byKeys('name')],
  ['ownerReferences', byKeys('uid')],
  ['topologySpreadConstraints', byKeys('topologyKey', 'whenUnsatisfiable')],
  ['finalizers', { kind: 'set' }],
]);

/** Maps that are replaced whole. */
const ATOMIC_MAPS: ReadonlySet<string> = new Set([
  'selector',
  'labelSelector',
  'podSelector',
  'namespaceSelector',
  'nodeSelector',
  'fieldRef',
  'configMapKeyRef',
  'resourceFieldRef',
]);

/** `names` are the fields from the object's root to the list, without the keys of items. */
export function listRule(kind: string, names: readonly string[]): ListRule {
  const name = names.at(-1) ?? '';
  if (name !== 'ports') return LISTS.get(name) ?? ATOMIC;
  if (kind === 'Service') return byKeys('port', 'protocol');
  return names.at(-2)?.endsWith('ontainers') === true
    ? byKeys('containerPort', 'protocol')
    : ATOMIC;
}

export const isAtomicMap = (names: readonly string[]): boolean =>
  ATOMIC_MAPS.has(names.at(-1) ?? '');

/** The one merge key with a default; all others must be given. */
export const defaultOfKey = (key: string): string | undefined =>
  key === 'protocol' ? 'TCP' : undefined;
