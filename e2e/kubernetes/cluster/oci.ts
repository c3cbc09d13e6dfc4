/**
 * Container images without Docker: layers are plain tar files, an archive is an OCI image layout
 * that `ctr images import` takes, with any number of images that may share layers.
 */
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.ts';

/** A tar file that is not compressed, so that its digest names its contents as well. */
export interface Layer {
  readonly file: string;
  readonly digest: string;
}

export interface Image {
  /** With the registry that a bare name stands for, as the kubelet will ask for it. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly settings: {
    readonly command: readonly string[];
    readonly user?: string;
    readonly workingDirectory?: string;
    readonly environment?: Readonly<Record<string, string>>;
  };
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const EPOCH = '1970-01-01T00:00:00Z';
const TAR_TIMEOUT_MS = 300_000;
/** The same files give the same bytes: no owner and no time of the machine that packed them. */
const REPRODUCIBLE = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner'];

/** Packs the files of `root` as a layer in `folder`. */
export async function packLayer(root: string, folder: string): Promise<void> {
  const file = join(folder, 'layer.tar');
  await run('tar', [...REPRODUCIBLE, '-cf', file, '-C', root, '.'], { timeoutMs: TAR_TIMEOUT_MS });
  writeFileSync(join(folder, 'digest'), `sha256:${sha256(readFileSync(file))}`);
}

/** The layer that `packLayer` left in `folder`. */
export function readLayer(folder: string): Layer {
  return {
    file: join(folder, 'layer.tar'),
    digest: readFileSync(join(folder, 'digest'), 'utf8'),
  };
}

/** Writes `images.tar` into `folder`, which it uses as a place to work in as well. */
export async function writeArchive(images: readonly Image[], folder: string): Promise<void> {
  const layout = join(folder, 'layout');
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true });
  const manifests = images.map((image) => ({
    ...writeImage(image, layout),
    annotations: { 'io.containerd.image.name': image.name },
  }));
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  writeFileSync(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  const file = join(folder, 'images.tar');
  const contents = ['oci-layout', 'index.json', 'blobs'];
  await run('tar', ['-cf', file, '-C', layout, ...contents], { timeoutMs: TAR_TIMEOUT_MS });
  rmSync(layout, { recursive: true });
}

function writeImage({ layers, settings }: Image, layout: string) {
  for (const layer of layers) {
    const blob = blobPath(layout, layer.digest);
    rmSync(blob, { force: true });
    linkSync(layer.file, blob);
  }
  const environment = Object.entries({ PATH, ...settings.environment });
  const config = writeBlob(layout, 'application/vnd.oci.image.config.v1+json', {
    created: EPOCH,
    architecture: 'amd64',
    os: 'linux',
    config: {
      Env: environment.map(([name, value]) => `${name}=${value}`),
      Cmd: settings.command,
      User: settings.user,
      WorkingDir: settings.workingDirectory,
    },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => layer.digest) },
  });
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  return writeBlob(layout, mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: layers.map((layer) => ({
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      digest: layer.digest,
      size: statSync(layer.file).size,
    })),
  });
}

function writeBlob(layout: string, mediaType: string, value: object) {
  const bytes = Buffer.from(JSON.stringify(value));
  const digest = `sha256:${sha256(bytes)}`;
  writeFileSync(blobPath(layout, digest), bytes);
  return { mediaType, digest, size: bytes.length };
}

function blobPath(layout: string, digest: string): string {
  return join(layout, 'blobs', digest.replace(':', '/'));
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
