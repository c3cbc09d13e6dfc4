/**
 * Who owns which fields of one object, and server-side apply on it. Good for the kinds that the operator
 * applies; ownership of a whole map against ownership of a part of it is not told apart.
 */
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../kube-error.ts';
import {
  type FieldSet,
  fieldSetOf,
  isSameAt,
  type Json,
  mergeObjects,
  type Path,
  removeAt,
  textOfPath,
} from './field-set.ts';

/** Field sets by manager; `Apply:` and `Update:` of one name are two managers, as on the server. */
export type Owners = ReadonlyMap<string, FieldSet>;

interface Applied {
  readonly object: Json;
  readonly owners: Owners;
}

/** @throws KubeError `Conflict` naming each field that another manager owns with another value. */
export function applyFields(
  live: { readonly object: Json; readonly owners: Owners },
  applied: Json,
  options: { readonly manager: string; readonly force: boolean },
): Applied {
  const set = fieldSetOf(applied);
  const owners = new Map([...live.owners].map(([name, fields]) => [name, new Map(fields)]));
  const others = [...owners].filter(([name]) => name !== options.manager);
  const conflicts = conflictsOf(live.object, applied, { set, others });
  if (conflicts.length > 0 && !options.force) throw conflictError(conflicts);
  for (const { owner, path } of conflicts) owners.get(owner)?.delete(textOfPath(path));
  const object = mergeObjects(live.object, applied);
  const before = owners.get(options.manager) ?? new Map<string, Path>();
  // Items of lists come before their fields, and are found by those.
  for (const [text, path] of before) {
    const isOthers = others.some(([, fields]) => ownsWithin(fields, text));
    if (!set.has(text) && !isOthers) removeAt(object, path);
  }
  owners.set(options.manager, set);
  return { object, owners };
}

/** The field itself, or, for an item of a list, anything in it. */
const ownsWithin = (fields: FieldSet, text: string): boolean =>
  fields.has(text) || [...fields.keys()].some((other) => other.startsWith(`${text}\n`));

interface Conflict {
  readonly owner: string;
  readonly path: Path;
}

function conflictsOf(
  live: Json,
  applied: Json,
  { set, others }: { set: FieldSet; others: readonly [string, FieldSet][] },
): Conflict[] {
  const conflicts: Conflict[] = [];
  for (const [text, path] of set) {
    if (path.at(-1)?.startsWith('f:') !== true || isSameAt(live, applied, path)) continue;
    for (const [owner, fields] of others) if (fields.has(text)) conflicts.push({ owner, path });
  }
  return conflicts;
}

const fieldText = (path: Path): string =>
  path.map((step) => (step.startsWith('f:') ? `.${step.slice(2)}` : `[${step.slice(2)}]`)).join('');

const conflictError = (conflicts: readonly Conflict[]): KubeError =>
  new KubeError({
    code: 409,
    reason: 'Conflict',
    message: `Apply failed with ${conflicts.length} conflicts`,
    causes: conflicts.map(({ owner, path }) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with "${owner.split(':')[1]}"`,
      field: fieldText(path),
    })),
  });

/** After a plain write: what it changed is the writer's now, and nobody else's. */
export function ownersAfterUpdate(
  live: { readonly object: Json; readonly owners: Owners },
  updated: Json,
  manager: string,
): Owners {
  // Most writes touch one part, the status or the metadata: the others need no look.
  const names = new Set([...Object.keys(live.object), ...Object.keys(updated)]);
  const touched = [...names].filter(
    (name) => name === 'kind' || !isDeepStrictEqual(live.object[name], updated[name]),
  );
  const partOf = (object: Json): Json =>
    Object.fromEntries(Object.entries(object).filter(([name]) => touched.includes(name)));
  const before = fieldSetOf(partOf(live.object));
  const after = fieldSetOf(partOf(updated));
  const changed = [...after].filter(
    ([text, path]) => !before.has(text) || !isSameAt(live.object, updated, path),
  );
  const lost = new Set([
    ...changed.map(([text]) => text),
    ...[...before.keys()].filter((text) => !after.has(text)),
  ]);
  const owners = new Map<string, FieldSet>();
  for (const [name, fields] of live.owners) {
    owners.set(name, new Map([...fields].filter(([text]) => !lost.has(text))));
  }
  const own = owners.get(manager) ?? new Map<string, Path>();
  owners.set(manager, new Map([...own, ...changed]));
  return owners;
}
