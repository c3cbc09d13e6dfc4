/**
 * What a story reads of the apiserver, over one connection. It looks again and again until something is
 * so, and a kubectl for every look would take more of the machine than the clusters under test.
 */

import { defaultAccess } from '../../../operator/kube/access.ts';
import { collectionPath } from '../../../operator/kube/http-kube.ts';
import { HttpTransport } from '../../../operator/kube/http-transport.ts';
import { KINDS } from '../../../operator/kube/kinds.ts';
import { requestMetrics } from '../../../operator/kube/metrics.ts';
import type { Kind } from '../../../operator/kube/types.ts';
import { systemClock } from '../../../services/common/clock.ts';
import { createMetrics } from '../../../services/telemetry/metrics.ts';

/** Words for a kind that are neither its plural nor its name, and kinds that the operator has no use for. */
const MORE_KINDS: Readonly<Record<string, Pick<Kind, 'apiVersion' | 'plural'>>> = {
  mkv: KINDS.cluster,
  pvc: KINDS.claim,
  'events.events.k8s.io': KINDS.event,
  deployment: { apiVersion: 'apps/v1', plural: 'deployments' },
  crd: { apiVersion: 'apiextensions.k8s.io/v1', plural: 'customresourcedefinitions' },
};
const READ_MS = 10_000;

let transport: HttpTransport | null = null;

/** Of which objects: all of a kind, those of a namespace, or those with all of the labels. */
export interface Selection {
  readonly namespace?: string;
  /** `app=minikv,role=volume`. */
  readonly labels?: string;
}

/** An object as the apiserver has it; the caller says its type. @throws KubeError, also when it is not there. */
export async function read<T>(kind: string, name: string, namespace?: string): Promise<T> {
  return await readPath<T>(`${pathOf(kind, namespace)}/${name}`);
}

/** All objects of the selection, of one kind or of several (`pod,service`). */
export async function readAll<T>(kinds: string, selection: Selection = {}): Promise<readonly T[]> {
  const { namespace, labels } = selection;
  const lists = kinds.split(',').map((kind) => {
    const path = pathOf(kind, namespace);
    return readPath<{ items: readonly T[] }>(path, { labelSelector: labels });
  });
  return (await Promise.all(lists)).flatMap(({ items }) => items);
}

/** What the apiserver answers to a GET, also what a Service behind it does. @throws KubeError */
export async function readPath<T>(
  path: string,
  query: Readonly<Record<string, string | undefined>> = {},
): Promise<T> {
  transport ??= new HttpTransport({
    access: defaultAccess(),
    clock: systemClock,
    metrics: requestMetrics(createMetrics()),
    userAgent: 'minikv-stories',
  });
  const signal = AbortSignal.timeout(READ_MS);
  const asked = { method: 'GET', verb: 'get', resource: path, deadlineMs: READ_MS } as const;
  return (await transport.send({ ...asked, path, query, signal })) as T;
}

function pathOf(word: string, namespace: string | undefined): string {
  const known = Object.values(KINDS).find(
    ({ kind, plural }) => word === plural || word === kind.toLowerCase(),
  );
  const kind = known ?? MORE_KINDS[word];
  if (kind === undefined) throw new Error(`no kind is called ${word}`);
  return collectionPath(kind, namespace);
}
