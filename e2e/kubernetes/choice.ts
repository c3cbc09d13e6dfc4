/** Which cluster the stories run on. One that was up before is left up. */
import { spawnSync } from 'node:child_process';
import { down, isUp, up } from './cluster/cluster.ts';
import { whyNoCluster } from './cluster/requirements.ts';
import { KUBECONFIG, type Log } from './cluster/settings.ts';
import { startKind, stopKind } from './kind.ts';

export type Choice =
  | { readonly kind: 'none'; readonly reason: string }
  | {
      readonly kind: 'cluster';
      readonly name: string;
      /** Resolves with the path of a kubeconfig. */
      start(log: Log): Promise<string>;
      stop(): Promise<void>;
    };

const NODE_COUNT = 3;

export function chooseCluster(env: Readonly<Record<string, string | undefined>>): Choice {
  const kubeconfig = env['KUBECONFIG'] ?? '';
  if (kubeconfig !== '') return given(kubeconfig);
  if (answers('docker', ['version']) && answers('kind', ['version'])) {
    return { kind: 'cluster', name: 'a cluster of kind', start: startKind, stop: stopKind };
  }
  const reason = whyNoCluster();
  return reason === undefined ? own() : { kind: 'none', reason };
}

function given(kubeconfig: string): Choice {
  return {
    kind: 'cluster',
    name: `the cluster of ${kubeconfig}`,
    start: () => Promise.resolve(kubeconfig),
    stop: () => Promise.resolve(),
  };
}

function own(): Choice {
  const wasUp = isUp();
  return {
    kind: 'cluster',
    name: wasUp ? 'the cluster that is up' : 'a cluster of its own',
    start: async (log) => {
      await up(NODE_COUNT, log);
      return KUBECONFIG;
    },
    stop: async () => {
      if (!wasUp) await down();
    },
  };
}

function answers(program: string, args: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
