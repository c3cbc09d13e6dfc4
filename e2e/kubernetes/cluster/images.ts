/**
 * The images of the cluster, in one archive that every node imports: minikv's own, and those of the
 * cluster's services. The base is made of Debian packages, the ones that node:24-slim has as well.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  IMAGE_SETTINGS,
  imageManifest,
  writeBuilt,
  writeImageFiles,
} from '../../../image/files.ts';
import { hashOf, kept } from './cache.ts';
import { type Image, type Layer, packLayer, readLayer, writeArchive } from './oci.ts';
import { run } from './run.ts';
import { FAILPOINTS, type Log, NEXT } from './settings.ts';

/** Names that only this cluster knows: nothing is ever pulled. */
export const IMAGES = {
  pause: 'cluster.local/pause:1',
  coredns: 'cluster.local/coredns:1',
  provisioner: 'cluster.local/local-path-provisioner:1',
  shell: 'cluster.local/shell:1',
};

const ROOT = join(import.meta.dirname, '../../..');
/** What minikv's part of the image is made from, besides the packages that the lock names. */
const BUILD_FILES = ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json'];
const BUILD_FOLDERS = ['image', 'operator', 'services'];
const BUILD_TIMEOUT_MS = 300_000;
const PACKAGES = [
  'coreutils',
  'dash',
  'libacl1',
  'libattr1',
  'libc6',
  'libgcc-s1',
  'libgmp10',
  'libpcre2-8-0',
  'libselinux1',
  'libstdc++6',
  'tar',
];
const UNREAD = ['usr/share/doc', 'usr/share/info', 'usr/share/locale', 'usr/share/man'];
const EMPTY_FOLDERS = ['dev', 'etc', 'home/node', 'proc', 'root', 'run', 'sys', 'tmp', 'var/tmp'];
const ETC = {
  passwd:
    'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' +
    'nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  group: 'root:x:0:\nnode:x:1000:\nnogroup:x:65534:\n',
  'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** The archive with every image, and the hash that tells it from another. */
export interface ImageArchive {
  readonly file: string;
  readonly hash: string;
}

/** Builds minikv and packs what has changed. `binaries` is the folder of the cluster's programs. */
export async function buildImages(binaries: string, log: Log): Promise<ImageArchive> {
  const minikv = await minikvImage(log);
  const next = { ...minikv, name: `${minikv.name}${NEXT}` };
  const images = [
    ...(await clusterImages(binaries)),
    minikv,
    next,
    await withFailpoints(minikv, log),
  ];
  const hash = hashOf([JSON.stringify(images)]);
  const folder = await kept('images', hash, async (unfinished) => {
    log('packing images');
    await writeArchive(images, unfinished);
  });
  return { file: join(folder, 'images.tar'), hash };
}

async function minikvImage(log: Log): Promise<Image> {
  const files = await layer('minikv', sourceHash(), async (root) => {
    log('building minikv');
    await build(root, [], (built) => writeImageFiles(root, built));
  });
  return {
    name: `docker.io/library/minikv:${imageManifest().version}`,
    layers: [await baseLayer(), await nodeLayer(), files],
    settings: IMAGE_SETTINGS,
  };
}

/** The built programs alone differ: they lie over those of the release. */
async function withFailpoints(minikv: Image, log: Log): Promise<Image> {
  const files = await layer('minikv-failpoints', sourceHash(), async (root) => {
    log('building minikv with failpoints');
    await build(root, ['--failpoints'], (built) => writeBuilt(root, built));
  });
  return { ...minikv, name: `${minikv.name}${FAILPOINTS}`, layers: [...minikv.layers, files] };
}

function sourceHash(): string {
  const texts = BUILD_FILES.map((name) => readFileSync(join(ROOT, name), 'utf8'));
  return hashOf(
    texts,
    BUILD_FOLDERS.map((name) => join(ROOT, name)),
  );
}

async function build(
  root: string,
  flags: readonly string[],
  write: (built: string) => void,
): Promise<void> {
  const built = join(root, 'built');
  const command = ['run', '-s', 'build', '--', '--outDir', built, ...flags];
  await run('npm', command, { cwd: ROOT, timeoutMs: BUILD_TIMEOUT_MS });
  write(built);
  rmSync(built, { recursive: true });
}

async function clusterImages(binaries: string): Promise<readonly Image[]> {
  const program = async (name: string): Promise<Layer> =>
    await layer(`program-${name}`, hashOf([binaries]), (root) => {
      mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
      cpSync(join(binaries, name), join(root, 'usr/local/bin', name));
    });
  const base = await baseLayer();
  const provisioner = 'local-path-provisioner';
  return [
    {
      name: IMAGES.pause,
      layers: [await program('pause')],
      settings: { command: ['pause'], user: '65534:65534' },
    },
    {
      name: IMAGES.coredns,
      layers: [base, await program('coredns')],
      settings: { command: ['coredns'] },
    },
    {
      name: IMAGES.provisioner,
      layers: [base, await program(provisioner)],
      settings: { command: [provisioner] },
    },
    { name: IMAGES.shell, layers: [base], settings: { command: ['sh'] } },
  ];
}

/** A C library, a shell and the small programs that `kubectl exec` and `kubectl cp` are used with. */
async function baseLayer(): Promise<Layer> {
  return await layer('base', hashOf([...PACKAGES, JSON.stringify(ETC)]), async (root) => {
    const packages = join(root, 'packages');
    mkdirSync(packages);
    await run('apt-get', ['download', '-q', ...PACKAGES], { cwd: packages, timeoutMs: 300_000 });
    for (const file of readdirSync(packages)) await run('dpkg', ['-x', join(packages, file), root]);
    for (const path of ['packages', ...UNREAD]) rmSync(join(root, path), { recursive: true });
    for (const path of EMPTY_FOLDERS) mkdirSync(join(root, path), { recursive: true });
    for (const path of ['tmp', 'var/tmp']) await run('chmod', ['1777', join(root, path)]);
    for (const [name, text] of Object.entries(ETC)) writeFileSync(join(root, 'etc', name), text);
  });
}

/** The Node that package.json asks for, as npm installed it. */
async function nodeLayer(): Promise<Layer> {
  const home = join(ROOT, 'node_modules/node');
  const manifest = readFileSync(join(home, 'package.json'), 'utf8');
  return await layer('node', hashOf([manifest]), (root) => {
    mkdirSync(join(root, 'usr/local/bin'), { recursive: true });
    cpSync(join(home, 'bin/node'), join(root, 'usr/local/bin/node'), { dereference: true });
  });
}

async function layer(
  name: string,
  hash: string,
  fill: (root: string) => void | Promise<void>,
): Promise<Layer> {
  const folder = await kept(`layer-${name}`, hash, async (unfinished) => {
    const root = join(unfinished, 'root');
    mkdirSync(root);
    await fill(root);
    await packLayer(root, unfinished);
    rmSync(root, { recursive: true });
  });
  return readLayer(folder);
}
