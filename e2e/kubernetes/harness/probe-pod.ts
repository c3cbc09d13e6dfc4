/**
 * A pod of the image under test: it only waits, for a story to run programs in, or runs a program of
 * the story.
 */
import { MINIKV_IMAGE } from './image.ts';

export interface ProbeOptions {
  /** Mounted at /data. */
  readonly claim?: string;
  /** Where it runs; else the scheduler chooses. */
  readonly node?: string;
  /** What it runs instead of waiting. */
  readonly program?: {
    readonly command: readonly string[];
    /** A ConfigMap with its files, mounted at /config. */
    readonly config: string;
    readonly environment: Readonly<Record<string, string>>;
  };
}

const WAIT = ['sleep', 'infinity'];

/** As strict as the restricted pod security standard wants it. */
export function probePod(name: string, { claim, node, program }: ProbeOptions = {}): object {
  const data =
    claim === undefined ? [] : [{ name: 'data', persistentVolumeClaim: { claimName: claim } }];
  const config =
    program === undefined ? [] : [{ name: 'config', configMap: { name: program.config } }];
  const volumes = [...data, ...config];
  const env = Object.entries(program?.environment ?? {}).map(([key, value]) => ({
    name: key,
    value,
  }));
  const hostname = { 'kubernetes.io/hostname': node };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: {
      terminationGracePeriodSeconds: 0,
      restartPolicy: program === undefined ? 'Always' : 'Never',
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
          command: program?.command ?? WAIT,
          env,
          securityContext: {
            readOnlyRootFilesystem: true,
            allowPrivilegeEscalation: false,
            capabilities: { drop: ['ALL'] },
          },
          volumeMounts: volumes.map((volume) => ({
            name: volume.name,
            mountPath: `/${volume.name}`,
          })),
        },
      ],
      volumes,
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
