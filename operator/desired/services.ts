/**
 * The client Service knows ready coordinators alone. The headless ones publish pods that are not ready
 * too: members must find each other before any of them can become ready.
 */
import { type Role, roleName } from '../api/names.ts';
import type { Fields, Manifest } from './manifest.ts';
import { PORTS, selectorLabels } from './names.ts';
import { metaOf, type Wanted } from './wanted.ts';

export function buildClientService(wanted: Wanted): Manifest {
  const { type, annotations } = wanted.spec.service;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metaOf(wanted, wanted.name, 'coordinator'), annotations },
    spec: {
      type,
      selector: selectorLabels(wanted.name, 'coordinator'),
      ports: [servicePort('http', PORTS.coordinator.http)],
    },
  };
}

export const buildHeadlessService = (wanted: Wanted, role: Role): Manifest => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: metaOf(wanted, roleName(wanted.name, role), role),
  spec: {
    type: 'ClusterIP',
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: selectorLabels(wanted.name, role),
    ports: Object.entries(PORTS[role]).map(([name, port]) => servicePort(name, port)),
  },
});

/** `protocol` is a merge key of server-side apply and must stand in every port. */
const servicePort = (name: string, port: number): Fields => ({
  name,
  port,
  targetPort: name,
  protocol: 'TCP',
});
