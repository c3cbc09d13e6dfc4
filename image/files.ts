/**
 * The files of the image, one list for both ways to make it: the Dockerfile runs main.ts, and the
 * cluster of the tests packs the same tree without Docker. Under /minikv stand the built programs
 * and the packages that are no part of them; /usr/local/bin holds the names of package.json's
 * `bin` table.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs';
import { basename, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const HOME = '/minikv';
const PROGRAMS = '/usr/local/bin';
/** Packages with native code, which find their files beside them: every other one is in the programs. */
export const NATIVE_PACKAGES = [
  '@c4312/blake3-native',
  '@node-rs/crc32',
  'blake3',
  'classic-level',
];
/** What no program reads when it runs. */
const UNREAD = /\.(d\.[cm]?ts|map)$/;
/** Native code for other machines: packages bring it for all at once, in folders of this name. */
const PREBUILT = 'prebuilds';

/** What the container starts with when its pod does not say otherwise; the Dockerfile agrees. */
export const IMAGE_SETTINGS = {
  user: '1000:1000',
  workingDirectory: HOME,
  environment: { NODE_ENV: 'production' },
  command: ['minikv', '--help'],
};

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The version and the programs of this tree. */
export const imageManifest = (): Manifest => manifestAt(join(ROOT, 'package.json'));

/** What the programs are made from, relative to the project. */
export const programSources = (): string[] =>
  Object.values(imageManifest().bin).map((file) => file.replace(/^dist\/(.*)\.js$/, '$1.ts'));

const manifestAt = (path: string): Manifest => JSON.parse(readFileSync(path, 'utf8')) as Manifest;

/**
 * Writes the tree of the image into an existing folder; `built` is where `npm run build` wrote to.
 * @throws Error when a program of the `bin` table is not built.
 */
export function writeImageFiles(folder: string, built: string): void {
  const home = join(folder, HOME);
  mkdirSync(home, { recursive: true });
  copy(join(ROOT, 'package.json'), join(home, 'package.json'));
  writeBuilt(folder, built);
  for (const name of closureOf(NATIVE_PACKAGES)) {
    const path = join('node_modules', name);
    copy(join(ROOT, path), join(home, path));
  }
  mkdirSync(join(folder, PROGRAMS), { recursive: true });
  for (const [name, file] of Object.entries(imageManifest().bin)) {
    symlinkSync(join(HOME, file), join(folder, PROGRAMS, name));
  }
}

/**
 * Writes what was built, and nothing else of the image.
 * @throws Error when a program of the `bin` table is not built.
 */
export function writeBuilt(folder: string, built: string): void {
  const home = join(folder, HOME);
  copy(built, join(home, 'dist'));
  for (const file of Object.values(imageManifest().bin)) {
    const program = join(home, file);
    if (!existsSync(program)) throw new Error(`${file} is missing: run npm run build first`);
    chmodSync(program, 0o755);
  }
}

/** The packages and all that they need, as far as it is installed: some of it is for other machines. */
function closureOf(names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const waiting = [...names];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    const manifest = join(ROOT, 'node_modules', name, 'package.json');
    if (found.has(name) || !existsSync(manifest)) continue;
    found.add(name);
    const { dependencies = {}, optionalDependencies = {} } = manifestAt(manifest);
    waiting.push(...Object.keys({ ...dependencies, ...optionalDependencies }));
  }
  return found;
}

function copy(from: string, to: string): void {
  cpSync(from, to, {
    recursive: true,
    filter: (source) => !UNREAD.test(source) && !isForAnotherMachine(source),
  });
}

function isForAnotherMachine(source: string): boolean {
  if (basename(join(source, '..')) !== PREBUILT) return false;
  const own = `${process.platform}-${process.arch}`;
  const choices = readdirSync(join(source, '..'));
  return choices.includes(own) && basename(source) !== own;
}
