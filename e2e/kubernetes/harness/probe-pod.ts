/** A pod of the image under test that only waits, for a story to run programs in. */
import { MINIKV_IMAGE } from './image.ts';

export interface ProbeOptions {
  /** Mounted at /data. */
  readonly claim?: string;
  /** Where it runs; else the scheduler chooses. */
  readonly node?: string;
}

/** As strict as the restricted pod security standard wants it. */
export function probePod(name: string, { claim, node }: ProbeOptions = {}): object {
  const volumes = claim === undefined ? [] : [{ name: 'data', claim }];
  const hostname = { 'kubernetes.io/hostname': node };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      enableServiceLinks: false,
      nodeSelector: node === undefined ? {} : hostname,
      securityContext: {
        runAsNonRoot: true,
        fsGroup: 1_000,
        seccompProfile: { type: 'RuntimeDefault' },
      },
      containers: [
        {
          name: 'probe',
          image: MINIKV_IMAGE,
          command: ['sleep', 'infinity'],
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: volumes.map((volume) => ({ name: volume.name, mountPath: '/data' })),
        },
      ],
      volumes: volumes.map((volume) => ({
        name: volume.name,
        persistentVolumeClaim: { claimName: volume.claim },
      })),
    },
  };
}

/** A small volume of a class, or of the cluster's default one. */
export function volumeClaim(name: string, storageClassName?: string): object {
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name },
    spec: {
      storageClassName,
      accessModes: ['ReadWriteOnce'],
      resources: { requests: { storage: '64Mi' } },
    },
  };
}
