/** Whether this machine can have a cluster of its own. */
import { existsSync, readFileSync } from 'node:fs';
import { findGo } from './binaries.ts';

/** Bits of a process's capabilities, as the kernel numbers them. */
const NET_ADMIN = 12;
const SYS_ADMIN = 21;

/** Why it cannot, in words that follow "no cluster here:", or undefined when it can. */
export function whyNoCluster(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'it needs Linux on x86-64';
  if (process.getuid?.() !== 0) return 'it needs root, for namespaces, cgroups and mounts';
  if (![NET_ADMIN, SYS_ADMIN].every(isCapable)) {
    return 'it needs root with CAP_SYS_ADMIN and CAP_NET_ADMIN, which this container has not';
  }
  if (!existsSync('/usr/bin/apt-get')) return 'it needs Debian packages, and there is no apt-get';
  if (findGo() === undefined) {
    return 'it needs Go 1.24 or newer, on the PATH or in /usr/local/go: see go.dev/dl';
  }
  return undefined;
}

function isCapable(capability: number): boolean {
  const status = readFileSync('/proc/self/status', 'utf8');
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(status) ?? [];
  return ((BigInt(`0x${effective}`) >> BigInt(capability)) & 1n) === 1n;
}
