/** The two kinds of the Prometheus operator that minikv makes objects of, as bare as they can be. */
import type { V1CustomResourceDefinition } from '@kubernetes/client-node';
import { untilEstablished } from './definitions.ts';
import { kubectl } from './kubectl.ts';
import { readAll } from './reader.ts';

const GROUP = 'monitoring.coreos.com';
const KINDS = { podmonitors: 'PodMonitor', prometheusrules: 'PrometheusRule' };

const definition = (plural: string, kind: string) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${GROUP}` },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: { plural, kind, singular: kind.toLowerCase() },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        },
      },
    ],
  },
});

/** Makes those that are not there yet, and answers how to remove just these. */
export async function installMonitoringKinds(): Promise<() => Promise<void>> {
  const items = await readAll<V1CustomResourceDefinition>('crd');
  const there = new Set(items.map(({ metadata }) => metadata?.name));
  const missing = Object.entries(KINDS)
    .map(([plural, kind]) => definition(plural, kind))
    .filter(({ metadata }) => !there.has(metadata.name));
  const names = missing.map(({ metadata }) => `crd/${metadata.name}`);
  if (names.length === 0) return () => Promise.resolve();
  const list = { apiVersion: 'v1', kind: 'List', items: missing };
  await kubectl(['create', '-f', '-'], { input: JSON.stringify(list) });
  await Promise.all(missing.map(({ metadata }) => untilEstablished(metadata.name)));
  return async () => {
    await kubectl(['delete', ...names, '--timeout=20s']);
  };
}
