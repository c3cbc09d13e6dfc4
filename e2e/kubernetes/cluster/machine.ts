/**
 * What a cluster needs to change on the machine besides its own folder: cgroups, folders to mount
 * on and kernel settings that the kubelet writes. Each is put back when the cluster goes.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { waitFor } from '../../harness/wait-for.ts';
import { attempt, run } from './run.ts';
import { type ClusterNode, PREFIX, STATE } from './settings.ts';

const CGROUPS = '/sys/fs/cgroup';
const CGROUP2_MAGIC = 0x63677270;
const CONTROLLERS = [
  'cpu',
  'cpuacct',
  'cpuset',
  'memory',
  'pids',
  'blkio',
  'devices',
  'freezer',
  'systemd',
];
const KERNEL_SETTINGS = [
  'vm.overcommit_memory',
  'vm.panic_on_oom',
  'kernel.panic',
  'kernel.panic_on_oops',
  'kernel.keys.root_maxkeys',
  'kernel.keys.root_maxbytes',
];
/** Paths that kubelet and the network plugins cannot be told to have elsewhere. */
export const MOUNT_POINTS = ['/var/lib/kubelet', '/var/lib/cni', '/var/log/containers'];
/** Where `ip` mounts the namespaces that it names, and a mount itself from the first of them on. */
const NAMESPACES = '/run/netns';
const BEFORE = join(STATE, 'machine-before.json');
const EXIT_TIMEOUT_MS = 20_000;

interface Before {
  readonly kernelSettings: readonly string[];
  /** Folders that were not there, outermost first. */
  readonly madeFolders: readonly string[];
  readonly namespacesMounted: boolean;
}

/** Notes how the machine is, once, and then makes cgroups and folders. */
export async function prepareMachine(nodes: readonly ClusterNode[]): Promise<void> {
  if (!existsSync(BEFORE)) {
    const settings = await run('sysctl', ['-e', ...KERNEL_SETTINGS]);
    const madeFolders = MOUNT_POINTS.flatMap(missingFolders);
    const before: Before = {
      kernelSettings: settings.trim().split('\n'),
      madeFolders: [...madeFolders, ...missingFolders(NAMESPACES)],
      namespacesMounted: (await attempt('mountpoint', ['-q', NAMESPACES])) !== undefined,
    };
    writeFileSync(BEFORE, JSON.stringify(before));
  }
  for (const folder of MOUNT_POINTS) mkdirSync(folder, { recursive: true });
  if (statfsSync(CGROUPS).type === CGROUP2_MAGIC) makeUnifiedCgroups(nodes);
  else makeCgroups(nodes);
}

/** Waits for the processes of a cluster that has lost power, and removes their cgroups. */
export async function endCgroups(): Promise<void> {
  await waitFor('processes in the cgroups to end', EXIT_TIMEOUT_MS, () =>
    cgroups().every((folder) => !hasProcesses(folder)),
  );
  for (const folder of cgroups()) removeCgroup(folder);
}

/** Puts the rest back, when neither processes nor network are left. */
export async function restoreMachine(): Promise<void> {
  if (!existsSync(BEFORE)) return;
  const before = JSON.parse(readFileSync(BEFORE, 'utf8')) as Before;
  for (const setting of before.kernelSettings) {
    await attempt('sysctl', ['-qw', setting.replace(' = ', '=')]);
  }
  if (!before.namespacesMounted) await attempt('umount', [NAMESPACES]);
  for (const folder of before.madeFolders.toReversed()) removeIfEmpty(folder);
}

/** The cgroups of a version 1 machine must be there before the kubelet, with a cpuset's values set. */
function makeCgroups(nodes: readonly ClusterNode[]): void {
  for (const controller of CONTROLLERS) {
    const root = join(CGROUPS, controller);
    if (!existsSync(root)) continue;
    for (const name of [PREFIX, ...nodes.map((node) => `${PREFIX}/${node.name}`)]) {
      mkdirSync(join(root, name), { recursive: true });
      if (controller !== 'cpuset') continue;
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        writeFileSync(join(root, name, file), readFileSync(join(root, file)));
      }
    }
  }
}

/** With version 2 a cgroup has the controllers that its parent hands down. */
function makeUnifiedCgroups(nodes: readonly ClusterNode[]): void {
  const own = join(CGROUPS, PREFIX);
  const folders = nodes.map((node) => join(own, node.name));
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  for (const folder of [CGROUPS, own, ...folders]) {
    const controllers = ['cpuset', 'cpu', 'io', 'memory', 'pids'].map((name) => `+${name}`);
    writeFileSync(join(folder, 'cgroup.subtree_control'), controllers.join(' '));
  }
}

function cgroups(): readonly string[] {
  const roots = [CGROUPS, ...readdirSync(CGROUPS).map((name) => join(CGROUPS, name))];
  return roots.map((root) => join(root, PREFIX)).filter((folder) => existsSync(folder));
}

function hasProcesses(folder: string): boolean {
  if (readFileSync(join(folder, 'cgroup.procs'), 'utf8') !== '') return true;
  return foldersIn(folder).some(hasProcesses);
}

function removeCgroup(folder: string): void {
  for (const inner of foldersIn(folder)) removeCgroup(inner);
  rmdirSync(folder);
}

function foldersIn(folder: string): readonly string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
}

/** The folder and those around it that are not there, outermost first. */
function missingFolders(folder: string): readonly string[] {
  return existsSync(folder) ? [] : [...missingFolders(dirname(folder)), folder];
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}
