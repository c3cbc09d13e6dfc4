/**
 * Fields of an object as paths, the way server-side apply owns them: `f:spec`, `f:containers`,
 * `k:{"name":"a"}`, `f:image`. A path stands for a leaf, an item of a list, or an empty container.
 */
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../json.ts';
import { KubeError } from '../kube-error.ts';
import { defaultOfKey, isAtomicMap, listRule } from './list-rules.ts';

export type Path = readonly string[];
/** Paths by their text. */
export type FieldSet = Map<string, Path>;
export type Json = Record<string, unknown>;

/** Fields that belong to the server and to nobody else. */
const SERVER_METADATA: ReadonlySet<string> = new Set([
  'name',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
]);

/** A copy as the wire makes it: what is undefined is not there. By hand, because tests make millions. */
export const clone = <T>(value: T): T => copyOf(value) as T;

// Looked up once: in the tests' own realm every look at a global goes through a proxy.
const { isArray } = Array;
const { entries } = Object;
const Moment = Date;

function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isArray(value)) return value.map(copyOf);
  if (value instanceof Moment) return value.toJSON();
  const copy: Json = {};
  for (const [name, inner] of entries(value)) {
    if (inner !== undefined) copy[name] = copyOf(inner);
  }
  return copy;
}

export const textOfPath = (path: Path): string => path.join('\n');

/** All fields of `object` that a manager could own. */
export function fieldSetOf(object: Json): FieldSet {
  const set: FieldSet = new Map();
  const kind = String(object['kind']);
  for (const [name, value] of Object.entries(object)) {
    if (name === 'apiVersion' || name === 'kind') continue;
    if (name !== 'metadata') walk({ kind, set }, value, { path: [`f:${name}`], names: [name] });
    else {
      for (const [field, inner] of Object.entries(value as Json)) {
        if (SERVER_METADATA.has(field)) continue;
        walk({ kind, set }, inner, {
          path: ['f:metadata', `f:${field}`],
          names: ['metadata', field],
        });
      }
    }
  }
  return set;
}

interface Place {
  readonly path: Path;
  readonly names: readonly string[];
}

function walk(into: { kind: string; set: FieldSet }, value: unknown, place: Place): void {
  const add = (path: Path): void => void into.set.set(textOfPath(path), path);
  const { path, names } = place;
  if (isRecord(value) && !isAtomicMap(names) && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) {
      walk(into, inner, { path: [...path, `f:${name}`], names: [...names, name] });
    }
    return;
  }
  const rule = Array.isArray(value) && value.length > 0 ? listRule(into.kind, names) : null;
  if (rule?.kind === 'set') {
    for (const item of value as unknown[]) add([...path, `v:${JSON.stringify(item)}`]);
    return;
  }
  if (rule?.kind !== 'map') {
    add(path);
    return;
  }
  for (const item of value as Json[]) {
    const at = [...path, itemStep(item, rule.keys)];
    if (into.set.has(textOfPath(at)))
      throw badList(names, `has duplicate entries for ${at.at(-1)}`);
    add(at);
    for (const [name, inner] of Object.entries(item)) {
      walk(into, inner, { path: [...at, `f:${name}`], names: [...names, name] });
    }
  }
}

/** `k:{"containerPort":80,"protocol":"TCP"}`. */
function itemStep(item: Json, keys: readonly string[]): string {
  const values = keys.map((key) => {
    const value = item[key] ?? defaultOfKey(key);
    if (value === undefined) throw badList(keys, `an item omits its key field "${key}"`);
    return [key, value] as const;
  });
  return `k:${JSON.stringify(Object.fromEntries(values))}`;
}

const badList = (names: readonly string[], message: string): KubeError =>
  new KubeError({
    code: 500,
    reason: 'InternalError',
    message: `failed to create typed patch object: .${names.join('.')}: ${message}`,
  });

const isItem = (item: unknown, step: string): boolean => {
  if (step.startsWith('v:')) return JSON.stringify(item) === step.slice(2);
  const keys = JSON.parse(step.slice(2)) as Json;
  return (
    isRecord(item) &&
    Object.entries(keys).every(([key, value]) => (item[key] ?? defaultOfKey(key)) === value)
  );
};

/** What stands at `path`; undefined if nothing does. */
export function valueAt(object: unknown, path: Path): unknown {
  let at = object;
  for (const step of path) {
    if (step.startsWith('f:')) at = isRecord(at) ? at[step.slice(2)] : undefined;
    else at = Array.isArray(at) ? at.find((item) => isItem(item, step)) : undefined;
  }
  return at;
}

/** Takes away what stands at `path`; the containers around it stay, also when empty. */
export function removeAt(object: Json, path: Path): void {
  const last = path.at(-1) ?? '';
  const parent = valueAt(object, path.slice(0, -1));
  if (last.startsWith('f:')) {
    if (isRecord(parent)) Reflect.deleteProperty(parent, last.slice(2));
  } else if (Array.isArray(parent)) {
    const index = parent.findIndex((item) => isItem(item, last));
    if (index >= 0) parent.splice(index, 1);
  }
}

/** `applied` laid over `live`: maps by name, lists by their rule. */
export function mergeObjects(live: Json, applied: Json): Json {
  return mergeMaps(String(applied['kind']), [], { live, applied });
}

interface Pair {
  readonly live: unknown;
  readonly applied: unknown;
}

function merge(kind: string, names: readonly string[], { live, applied }: Pair): unknown {
  if (isRecord(applied) && isRecord(live) && !isAtomicMap(names)) {
    return mergeMaps(kind, names, { live, applied });
  }
  if (!Array.isArray(applied) || !Array.isArray(live)) return clone(applied);
  const rule = listRule(kind, names);
  if (rule.kind === 'atomic') return clone(applied);
  const steps = applied.map((item: unknown) =>
    rule.kind === 'set' ? `v:${JSON.stringify(item)}` : itemStep(item as Json, rule.keys),
  );
  const merged = applied.map((item: unknown, i) => {
    const old: unknown = live.find((other) => isItem(other, steps[i]!));
    return merge(kind, names, { live: old, applied: item });
  });
  const others = live.filter((item) => !steps.some((step) => isItem(item, step)));
  return [...merged, ...(clone(others) as unknown[])];
}

function mergeMaps(
  kind: string,
  names: readonly string[],
  { live, applied }: { live: Json; applied: Json },
): Json {
  const merged = clone(live);
  for (const [name, value] of Object.entries(applied)) {
    merged[name] = merge(kind, [...names, name], { live: live[name], applied: value });
  }
  return merged;
}

export const isSameAt = (one: Json, other: Json, path: Path): boolean =>
  isDeepStrictEqual(valueAt(one, path), valueAt(other, path));
