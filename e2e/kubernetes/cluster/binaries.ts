/**
 * The programs of a cluster, built from Go modules of fixed versions (binaries/go.mod): `kube` holds
 * etcd, the apiserver, the controller manager, the scheduler, the kubelet and kube-proxy, and
 * answers as the one that its first argument names. Building takes minutes, so the result is kept.
 */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { hashOf, kept } from './cache.ts';
import { run } from './run.ts';
import type { Log } from './settings.ts';

const SOURCES = join(import.meta.dirname, 'binaries');
const BUILD_TIMEOUT_MS = 1_800_000;
const PROVISIONER = 'github.com/rancher/local-path-provisioner';
const ENVIRONMENT = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
const FLAGS = ['-trimpath', '-buildvcs=false', '-gcflags=all=-dwarf=false'];
const VERSION_PACKAGES = ['k8s.io/component-base/version', 'k8s.io/client-go/pkg/version'];

/** The path of the Go command, or undefined when there is none. */
export function findGo(): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/go/bin'];
  return folders.map((folder) => join(folder, 'go')).find(isProgram);
}

/** The folder with `kube`, `coredns`, `local-path-provisioner` and `pause`. */
export async function buildBinaries(log: Log): Promise<string> {
  const go = findGo();
  if (go === undefined) throw new Error('Go is missing');
  const version = await run(go, ['version']);
  const hash = hashOf([version, ...Object.values(ENVIRONMENT), ...FLAGS], [SOURCES]);
  return await kept('binaries', hash, async (folder) => {
    log('building Kubernetes from Go modules (once, some minutes)');
    const options = { cwd: SOURCES, env: ENVIRONMENT, timeoutMs: BUILD_TIMEOUT_MS };
    const versionOf = async (name: string): Promise<string> => {
      const answer = await run(go, ['list', '-m', '-f', '{{.Version}}', name], options);
      return answer.trim();
    };
    const ldflags = linkerFlags(await versionOf('k8s.io/kubernetes'), await versionOf(PROVISIONER));
    const build = ['build', ...FLAGS, '-ldflags', ldflags, '-o', `${folder}/`];
    await run(go, [...build, './cmd/kube', './cmd/coredns', './cmd/pause'], options);
    // By itself: it spells one dependency "Sirupsen", and one command refuses two spellings.
    await run(go, [...build, PROVISIONER], options);
  });
}

/** Drops the symbols, and gives each program the version that it answers. */
function linkerFlags(kubernetes: string, provisioner: string): string {
  const [major = '', minor = ''] = kubernetes.slice(1).split('.');
  const values = {
    gitVersion: kubernetes,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: 'clean',
    gitCommit: '0'.repeat(40),
    buildDate: '1970-01-01T00:00:00Z',
  };
  const variables = VERSION_PACKAGES.flatMap((name) =>
    Object.entries(values).map(([key, value]) => `-X ${name}.${key}=${value}`),
  );
  return ['-s', '-w', `-X main.VERSION=${provisioner}`, ...variables].join(' ');
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
