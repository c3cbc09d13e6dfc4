/** A way from this machine into the cluster that needs nothing but a kubeconfig. */
import { spawn } from 'node:child_process';
import { findTools } from '../cluster/tools.ts';

export interface Forward {
  readonly url: URL;
  close(): void;
}

const START_TIMEOUT_MS = 20_000;

/** Resolves when connections are taken; `target` is for example `service/kv` or `pod/kv-0`. */
export async function portForward(
  namespace: string,
  target: string,
  port: number,
): Promise<Forward> {
  const { kubectl } = await findTools();
  const args = ['--namespace', namespace, 'port-forward', target, `:${port}`];
  const child = spawn(kubectl, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const localPort = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill();
    }, START_TIMEOUT_MS);
    const read = (bytes: Buffer): void => {
      said += bytes.toString();
      const [, found] = /127\.0\.0\.1:(\d+)/.exec(said) ?? [];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(found);
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      reject(new Error(`no port-forward to ${target}: ${said}`));
    });
  });
  return {
    url: new URL(`http://127.0.0.1:${localPort}`),
    close: () => {
      child.kill();
    },
  };
}
