/** Objects as they come off the wire, and the one way to name them. */
import { fieldOf, isRecord, textOf } from './json.ts';
import { KubeError } from './kube-error.ts';
import type { Kind, KubeObject, ObjectKey, ObjectMeta } from './types.ts';

/**
 * `value` as an object of `kind`. Items of a list come without apiVersion and kind: they are those of
 * the list. @throws KubeError `Malformed` when it has no name.
 */
export function readObject(kind: Kind, value: unknown): KubeObject {
  const { apiVersion, kind: kindName } = kind;
  if (!isRecord(value) || !isMeta(value['metadata'])) {
    throw new KubeError({ code: 0, reason: 'Malformed', message: `not a ${kindName}` });
  }
  return { ...value, apiVersion, kind: kindName, metadata: value['metadata'] };
}

const isMeta = (value: unknown): value is ObjectMeta => textOf(fieldOf(value, 'name')) !== '';

export const keyOf = ({ metadata }: KubeObject): ObjectKey =>
  metadata.namespace === undefined
    ? { name: metadata.name }
    : { namespace: metadata.namespace, name: metadata.name };

/** `namespace/name`, or the name alone: the form of queue keys. */
export const keyText = ({ namespace, name }: ObjectKey): string =>
  namespace === undefined ? name : `${namespace}/${name}`;
