/** Charts as helm renders them, without a cluster. */
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { helm } from '../kubernetes/harness/kubectl.ts';

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export const CHARTS = join(import.meta.dirname, '../../charts');
export const OPERATOR_CHART = join(CHARTS, 'minikv-operator');
export const CLUSTER_CHART = join(CHARTS, 'minikv-cluster');

const NAMESPACE = 'minikv-system';

/**
 * The objects of a chart in the order in which helm would install them, its tests among them.
 * `args` are helm's: `['--set', 'replicas=1']`.
 * @throws Error with helm's words, when the values do not fit the chart's schema for one.
 */
export async function render(
  chart: string,
  release: string,
  args: readonly string[] = [],
): Promise<readonly KubeObject[]> {
  const text = await helm(['template', release, chart, '--namespace', NAMESPACE, ...args]);
  return parseAllDocuments(text)
    .map((document) => document.toJS() as KubeObject | null)
    .filter((object) => object !== null);
}

/** Whether helm runs it as a test and does not install it. */
export const isTest = ({ metadata }: KubeObject): boolean =>
  metadata.annotations?.['helm.sh/hook'] !== undefined;
