/**
 * The user's `podTemplate`, laid over ours before it is applied. Maps merge deep; containers, volumes
 * and env by name, volumeMounts by mountPath; every other list is replaced. What the operator needs to
 * be true (how the store is started, reached, probed and where its data lies) is refused, not ignored.
 */
import { type Fields, isFields, isList } from './manifest.ts';
import { CONTAINER } from './names.ts';
import { MOUNTS, type PodTemplate } from './pod-template.ts';

export type Overlaid =
  | { readonly kind: 'template'; readonly template: PodTemplate }
  /** One sentence a place: what may not be touched, and where. */
  | { readonly kind: 'rejected'; readonly problems: readonly string[] };

const OWN_FIELDS = [
  'command',
  'args',
  'ports',
  'startupProbe',
  'livenessProbe',
  'readinessProbe',
  'lifecycle',
  'securityContext',
];
/** Lists whose entries have a key; an entry without it cannot be merged. */
const KEYS = new Map([
  ['containers', 'name'],
  ['initContainers', 'name'],
  ['volumes', 'name'],
  ['env', 'name'],
  ['volumeMounts', 'mountPath'],
]);

export function layOver(template: PodTemplate, overlay: Fields): Overlaid {
  const problems = [...shapeProblems(overlay, 'podTemplate'), ...touched(template, overlay)];
  if (problems.length > 0) return { kind: 'rejected', problems };
  const metadata = merge(template.metadata, overlay['metadata'], 'metadata');
  const spec = merge(template.spec, overlay['spec'], 'spec');
  return {
    kind: 'template',
    template: {
      metadata: { labels: template.metadata.labels, ...fieldsOf(metadata) },
      spec: fieldsOf(spec),
    },
  };
}

const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
const itemsOf = (value: unknown): readonly Fields[] =>
  isList(value) ? value.filter((item) => isFields(item)) : [];

/** What would be lost in a merge: fields we do not know, and entries without a key. */
function shapeProblems(overlay: Fields, path: string): readonly string[] {
  const problems = Object.keys(overlay)
    .filter((key) => key !== 'metadata' && key !== 'spec')
    .map((key) => `${path}.${key} is not a part of a pod template`);
  for (const part of ['metadata', 'spec'] as const) {
    const value = overlay[part];
    if (value !== undefined && !isFields(value)) problems.push(`${path}.${part} must be an object`);
  }
  return [...problems, ...keyProblems(overlay['spec'], `${path}.spec`)];
}

function keyProblems(value: unknown, path: string): readonly string[] {
  return Object.entries(fieldsOf(value)).flatMap(([field, inner]) => {
    const key = KEYS.get(field);
    const at = `${path}.${field}`;
    if (key === undefined) return [];
    if (!isList(inner)) return [`${at} must be a list`];
    return inner.flatMap((item, i) =>
      typeof fieldsOf(item)[key] === 'string'
        ? keyProblems(item, `${at}[${i}]`)
        : [`${at}[${i}] needs ${key}`],
    );
  });
}

function touched(template: PodTemplate, overlay: Fields): readonly string[] {
  const spec = fieldsOf(overlay['spec']);
  const labels = fieldsOf(fieldsOf(overlay['metadata'])['labels']);
  const ours = itemsOf(template.spec['containers'])[0] ?? {};
  const theirs = itemsOf(spec['containers']).find(({ name }) => name === CONTAINER) ?? {};
  const own = (field: string, key: string): readonly unknown[] =>
    itemsOf(ours[field]).map((item) => item[key]);
  const refused = [
    ...Object.keys(labels)
      .filter((label) => Object.hasOwn(template.metadata.labels, label))
      .map((label) => `metadata.labels[${label}]`),
    ...('securityContext' in spec ? ['spec.securityContext'] : []),
    ...itemsOf(spec['volumes'])
      .filter(({ name }) => typeof name === 'string' && Object.hasOwn(MOUNTS, name))
      .map(({ name }) => `spec.volumes[${String(name)}]`),
    ...OWN_FIELDS.filter((field) => field in theirs).map((field) => `container ${field}`),
    ...itemsOf(theirs['env'])
      .filter(({ name }) => own('env', 'name').includes(name))
      .map(({ name }) => `env ${String(name)}`),
    ...itemsOf(theirs['volumeMounts'])
      .filter(({ mountPath }) => own('volumeMounts', 'mountPath').includes(mountPath))
      .map(({ mountPath }) => `volumeMount ${String(mountPath)}`),
  ];
  return refused.map((what) => `podTemplate: ${what} belongs to the operator: take it out`);
}

function merge(ours: unknown, theirs: unknown, field: string): unknown {
  if (theirs === undefined) return ours;
  if (isFields(ours) && isFields(theirs)) {
    const merged: Record<string, unknown> = { ...ours };
    for (const [key, value] of Object.entries(theirs)) merged[key] = merge(ours[key], value, key);
    return merged;
  }
  const key = KEYS.get(field);
  if (key === undefined || !isList(theirs)) return theirs;
  return mergeLists(itemsOf(ours), itemsOf(theirs), key);
}

function mergeLists(
  ours: readonly Fields[],
  theirs: readonly Fields[],
  key: string,
): readonly unknown[] {
  const added = theirs.filter((item) => !ours.some((own) => own[key] === item[key]));
  const merged = ours.map((own) =>
    merge(
      own,
      theirs.find((item) => item[key] === own[key]),
      '',
    ),
  );
  return [...merged, ...added];
}
