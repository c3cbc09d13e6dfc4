/** What the machine itself must have: Debian packages, installed when one is missing. */
import { attempt, run } from './run.ts';
import type { Log } from './settings.ts';

const PACKAGES = [
  'containerd',
  'runc',
  'containernetworking-plugins',
  'iptables',
  'nftables',
  'conntrack',
  'ipset',
  'ethtool',
  'iproute2',
  'kmod',
  'openssl',
  'procps',
  'tini',
  'util-linux',
];
const INSTALL_TIMEOUT_MS = 600_000;

/** Installs the packages that are missing; what a package starts by itself is left alone. */
export async function installPackages(log: Log): Promise<void> {
  const format = ['-W', '-f', '${Package} ${db:Status-Status}\n'];
  const known = (await attempt('dpkg-query', format)) ?? '';
  const installed = new Set(
    known.split('\n').flatMap((line) => {
      const [name = '', status] = line.split(' ');
      return status === 'installed' ? [name] : [];
    }),
  );
  const missing = PACKAGES.filter((name) => !installed.has(name));
  if (missing.length === 0) return;
  log(`installing ${missing.join(' ')}`);
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: INSTALL_TIMEOUT_MS };
  await run('apt-get', ['update', '-q'], options);
  await run('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...missing], options);
}
