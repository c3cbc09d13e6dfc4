/**
 * The files of the image, one list for both ways to make it: the Dockerfile runs main.ts, and the
 * cluster of the tests packs the same tree without Docker. Under /minikv stand the built programs
 * and the packages that they need when they run; /usr/local/bin holds the names of package.json's
 * `bin` table.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const HOME = '/minikv';
const PROGRAMS = '/usr/local/bin';
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
}

/** The version and the programs of this tree. */
export function imageManifest(): Manifest {
  return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
}

/**
 * Writes the tree of the image into an existing folder; `built` is where `npm run build` wrote to.
 * @throws Error when a program of the `bin` table is not built.
 */
export function writeImageFiles(folder: string, built: string): void {
  const home = join(folder, HOME);
  mkdirSync(home, { recursive: true });
  copy(join(ROOT, 'package.json'), join(home, 'package.json'));
  writeBuilt(folder, built);
  for (const path of productionPackages()) copy(join(ROOT, path), join(home, path));
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

/** Folders of the installed packages that the programs need, as npm knows them; none twice. */
function productionPackages(): readonly string[] {
  const list = ['ls', '--omit=dev', '--all', '--parseable'];
  const paths = execFileSync('npm', list, { cwd: ROOT, encoding: 'utf8' }).trim().split('\n');
  const folders = paths.map((path) => relative(ROOT, path)).filter((path) => path !== '');
  // A package within another one's folder comes with it.
  return folders.filter((path) => !folders.some((outer) => path.startsWith(`${outer}/`)));
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
