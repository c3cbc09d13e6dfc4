/** A pod of the image under test that only waits, for a story to run programs in. */
import { MINIKV_IMAGE } from './image.ts';

/** As strict as the restricted pod security standard wants it; `claim` is mounted at /data. */
export function probePod(name: string, claim?: string): object {
  const volumes = claim === undefined ? [] : [{ name: 'data', claim }];
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      enableServiceLinks: false,
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
