/**
 * Runs the stories on the first cluster there is: the one that KUBECONFIG names, one of kind where
 * there is a Docker engine, else this project's own. Words after the command choose stories.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { chooseCluster } from './choice.ts';
import { kubectl } from './harness/kubectl.ts';

const ROOT = join(import.meta.dirname, '../..');
const JEST = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
const startMs = performance.now();
const log = (phrase: string): void => {
  console.error(`${((performance.now() - startMs) / 1_000).toFixed(1).padStart(6)} s  ${phrase}`);
};

/** Set by whoever wants an end: what runs is ended, nothing new begins, and the cluster goes. */
const ending = new AbortController();

/** What its schema rules and controllers do is that of its version. */
async function logVersion(): Promise<void> {
  const version = JSON.parse(await kubectl(['get', '--raw', '/version'])) as { gitVersion: string };
  log(`Kubernetes ${version.gitVersion}`);
}

async function runStories(): Promise<number> {
  const config = ['--config', 'jest.kubernetes.config.js'];
  const args = [...JEST, 'node_modules/jest/bin/jest.js', ...config, ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  ending.signal.addEventListener('abort', () => child.kill());
  return await new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      resolve(code ?? 1);
    });
  });
}

// A terminal's Ctrl-C ends the stories, and the cluster is then still taken down.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => {
  ending.abort();
});

const choice = chooseCluster(process.env);
if (choice.kind === 'none') {
  console.error(`no Kubernetes to test on: ${choice.reason}`);
  process.exitCode = (process.env['CI'] ?? '') === '' ? 0 : 1;
} else {
  log(`the stories run on ${choice.name}`);
  try {
    process.env['KUBECONFIG'] = await choice.start(log);
    await logVersion();
    process.exitCode = ending.signal.aborted ? 1 : await runStories();
  } finally {
    await choice.stop();
  }
}
