/**
 * A Kubernetes object as we want it, as plain JSON, and the two questions asked of one: is it the same
 * as last time (`contentHash`), and does a live object hold all of it already (`holds`).
 */
import { bodyHash } from '../../services/common/body-hash.ts';

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ManifestMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly ownerReferences: readonly OwnerReference[];
  readonly [field: string]: unknown;
}

/** What lies beside the metadata is read by whoever knows the kind. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ManifestMeta;
  readonly [field: string]: unknown;
}

export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** `StatefulSet/demo-volume`: names an object within its namespace. */
export const objectKey = (object: {
  readonly kind: string;
  readonly metadata: { readonly name: string };
}): string => `${object.kind}/${object.metadata.name}`;

/** Equal for equal content, whatever the order of the fields. */
export function contentHash(value: unknown): string {
  const hash = bodyHash('sha-256');
  hash.update(new TextEncoder().encode(canonicalJson(value)));
  return hash.finish();
}

function canonicalJson(value: unknown): string {
  if (isList(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (!isFields(value)) return JSON.stringify(value) ?? 'null';
  const fields = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${fields.join(',')}}`;
}

/**
 * True when `live` has every field of `wanted` with its value. What the server added beside them does
 * not count, and a quantity may be spelled another way. False is always safe: an apply that changes
 * nothing stores nothing.
 */
export function holds(live: unknown, wanted: unknown): boolean {
  if (isList(wanted)) {
    // The server drops an empty list, as it does an empty map or text.
    if (!isList(live)) return wanted.length === 0 && live === undefined;
    if (live.length !== wanted.length) return false;
    return wanted.every((item, i) => holds(live[i], item));
  }
  if (isFields(wanted)) {
    if (!isFields(live)) return Object.keys(wanted).length === 0 && live === undefined;
    return Object.keys(wanted).every((key) => holds(live[key], wanted[key]));
  }
  if (live === wanted || wanted === undefined) return true;
  if (wanted === '' && live === undefined) return true;
  return isSameAmount(quantityOf(live), quantityOf(wanted));
}

/** `0.7` is stored as `700m`, which times a thousandth is 0.7000000000000001: apart by rounding is the same. */
const isSameAmount = (a: number | null, b: number | null): boolean =>
  a !== null && b !== null && Math.abs(a - b) <= 2 * Number.EPSILON * Math.max(a, b);

const QUANTITY = /^(\d+(?:\.\d+)?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$/;
const UNITS = new Map([
  ['m', 1e-3],
  ['', 1],
  ['k', 1e3],
  ['M', 1e6],
  ['G', 1e9],
  ['T', 1e12],
  ['P', 1e15],
  ['Ki', 2 ** 10],
  ['Mi', 2 ** 20],
  ['Gi', 2 ** 30],
  ['Ti', 2 ** 40],
  ['Pi', 2 ** 50],
]);

/** The number behind `100m`, `1Gi`, `2`; null for what is no quantity. */
export function quantityOf(value: unknown): number | null {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return null;
  const [, digits, unit = ''] = QUANTITY.exec(value) ?? [];
  const factor = UNITS.get(unit);
  return digits === undefined || factor === undefined ? null : Number(digits) * factor;
}
