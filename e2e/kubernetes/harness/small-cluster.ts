/** The smallest cluster there can be: one coordinator and one volume that ask for next to nothing. */
import { clusterObject } from './minikv.ts';

/** Fields of `spec` that a story gives besides, by role. */
export interface SmallSpec {
  readonly coordinators?: object;
  readonly volumes?: object;
  readonly [field: string]: unknown;
}

const LITTLE = {
  resources: { requests: { cpu: '10m', memory: '96Mi' } },
  storage: { size: '128Mi' },
};

export const smallCluster = (name: string, { coordinators, volumes, ...rest }: SmallSpec = {}) =>
  clusterObject(name, {
    coordinators: { replicas: 1, ...LITTLE, ...coordinators },
    volumes: { replicas: 1, replicationFactor: 1, ...LITTLE, ...volumes },
    ...rest,
  });
