/**
 * Harm to whole nodes. A kubeconfig does not allow it: only the cluster of this project has a
 * switch, so a story asks first whether it may.
 */
import { resolve } from 'node:path';
import { run } from '../cluster/run.ts';
import { KUBECONFIG } from '../cluster/settings.ts';

export interface NodeFaults {
  /** Ends everything on the node at once; its disk stays. */
  powerOff(node: string): Promise<void>;
  /** Resolves when the node is Ready again. */
  powerOn(node: string): Promise<void>;
  /** Pulls the network cable: its pods run on, alone. */
  cut(node: string): Promise<void>;
  join(node: string): Promise<void>;
}

const MAIN = resolve(import.meta.dirname, '../cluster/main.ts');
const TIMEOUT_MS = 180_000;

/** The switch of this project's cluster, or undefined when the stories run on another one. */
export function nodeFaults(): NodeFaults | undefined {
  if (process.env['KUBECONFIG'] !== KUBECONFIG) return undefined;
  const call = async (command: string, node: string): Promise<void> => {
    await run(process.execPath, [MAIN, command, node], { timeoutMs: TIMEOUT_MS });
  };
  return {
    powerOff: (node) => call('off', node),
    powerOn: (node) => call('on', node),
    cut: (node) => call('cut', node),
    join: (node) => call('join', node),
  };
}
