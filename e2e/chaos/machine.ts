/**
 * What this machine allows of the chaos: a network, mounts and process ids of its own need root and
 * util-linux; dropped packets nftables; turned clocks libfaketime. What is not to be had is said, and
 * the faults that need it are left out.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';

const CLOCK_LIBRARIES = ['x86_64-linux-gnu', 'aarch64-linux-gnu'].map(
  (machine) => `/usr/lib/${machine}/faketime/libfaketime.so.1`,
);
/** Makes namespaces that end with the process, whatever becomes of it. */
const UNSHARE = [
  ...['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
  ...['--propagation', 'private'],
];
/** Debian packages of what is looked for. */
const PACKAGES = ['iproute2', 'nftables', 'libfaketime', 'util-linux', 'xfsprogs'];

export interface Machine {
  readonly namespaces: boolean;
  readonly mounts: boolean;
  readonly clockLibrary: string | null;
  readonly descriptors: boolean;
  /** A sentence for each thing that is missing. */
  readonly lacks: readonly string[];
}

export function thisMachine(): Machine {
  const mounts = works('unshare', [...UNSHARE, 'true']);
  const namespaces =
    mounts && works('ip', ['-V']) && works('unshare', [...UNSHARE, 'nft', 'list', 'ruleset']);
  const clockLibrary = CLOCK_LIBRARIES.find((path) => existsSync(path)) ?? null;
  const descriptors = works('prlimit', ['--pid', String(process.pid), '--nofile']);
  const lacks = [
    ...(mounts ? [] : ['no root or no namespaces: no full disks']),
    ...(namespaces
      ? []
      : ['no namespaces, ip or nft: loopback and TCP proxies stand for the network']),
    ...(clockLibrary === null ? ['no libfaketime: no clock jumps'] : []),
    ...(descriptors ? [] : ['no prlimit: no descriptor exhaustion']),
  ];
  return { namespaces, mounts, clockLibrary, descriptors, lacks };
}

/** Installs with apt what `thisMachine` looks for; false where that fails. */
export function installTools(): boolean {
  const run = (args: readonly string[]): boolean =>
    spawnSync('apt-get', args, { stdio: ['ignore', 'inherit', 'inherit'] }).status === 0;
  return run(['update', '-q']) && run(['install', '-y', '--no-install-recommends', ...PACKAGES]);
}

/** Runs this program again, inside namespaces of its own; resolves with its exit code. */
export function runInside(args: readonly string[]): Promise<number> {
  const [, script = ''] = process.argv;
  const node = [process.execPath, ...process.execArgv, script, ...args];
  const child = spawn('unshare', [...UNSHARE, ...node], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => child.kill(signal));
  }
  return new Promise((resolve) => {
    child.once('error', () => resolve(1));
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

/**
 * What new namespaces lack: a loopback that is up, and a folder of our own, that nobody else sees, for
 * the names that `ip netns` keeps.
 */
export function furnish(): void {
  mkdirSync('/run/netns', { recursive: true });
  const isMounted = works('mount', ['-t', 'tmpfs', 'netns', '/run/netns']);
  if (!isMounted || !works('ip', ['link', 'set', 'lo', 'up'])) {
    throw new Error('cannot mount over /run/netns, or raise the loopback');
  }
}

const works = (program: string, args: readonly string[]): boolean =>
  spawnSync(program, args, { stdio: 'ignore' }).status === 0;
