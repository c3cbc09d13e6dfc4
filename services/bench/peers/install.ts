/** Programs of peers, built by the package clients of their languages and kept by what made them. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { findGo } from '../../../e2e/kubernetes/cluster/binaries.ts';
import { hashOf, kept } from '../../../e2e/kubernetes/cluster/cache.ts';
import { run } from '../../../e2e/kubernetes/cluster/run.ts';
import { MINUTE_MS } from '../../common/units.ts';
import type { Workshop } from './peer.ts';

const MODULES = join(import.meta.dirname, 'modules');
const BUILD_MS = 45 * MINUTE_MS;
const GO_ENVIRONMENT = { CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' };
const GO_FLAGS = ['build', '-trimpath', '-buildvcs=false', '-ldflags', '-s -w'];

export interface GoProgram {
  /** The folder of `modules` whose go.mod fixes every version. */
  readonly module: string;
  readonly package: string;
  readonly name: string;
  /** The module that the version is of. */
  readonly versionOf: string;
}

/** @throws Error when there is no Go, or the build fails. */
export async function goProgram(
  program: GoProgram,
  { cache, say, signal }: Workshop,
): Promise<{ readonly path: string; readonly version: string }> {
  const go = findGo();
  if (go === undefined) throw new Error('Go is missing: install it, or put it into PATH');
  const sources = join(MODULES, program.module);
  const options = { cwd: sources, env: GO_ENVIRONMENT, timeoutMs: BUILD_MS, signal };
  const form = ['list', '-m', '-f', '{{.Version}}', program.versionOf];
  const version = (await run(go, form, options)).trim();
  const parts = [await run(go, ['version']), ...GO_FLAGS, program.package];
  await mkdir(cache, { recursive: true });
  const hash = hashOf(parts, [sources]);
  const folder = await kept(
    program.name,
    hash,
    async (unfinished) => {
      say(`building ${program.name} ${version} from Go modules (once, some minutes) ...`);
      const output = join(unfinished, program.name);
      await run(go, [...GO_FLAGS, '-o', output, program.package], options);
    },
    cache,
  );
  return { path: join(folder, program.name), version };
}

export interface CargoProgram {
  readonly crate: string;
  readonly version: string;
  /** Programs that its build calls. */
  readonly needs: readonly string[];
}

/** The folder of a crate's programs. @throws Error when something is missing, or the build fails. */
export async function cargoPrograms(
  { crate, version, needs }: CargoProgram,
  { cache, say, signal }: Workshop,
): Promise<string> {
  for (const program of ['cargo', ...needs]) {
    await run(program, ['--version']).catch(() => {
      throw new Error(`${program} is missing, which its build needs`);
    });
  }
  const parts = [await run('cargo', ['--version']), crate, version];
  await mkdir(cache, { recursive: true });
  const folder = await kept(
    `${crate}-rust`,
    hashOf(parts),
    async (unfinished) => {
      say(`building ${crate} ${version} by cargo install (once, many minutes) ...`);
      const target = ['--root', unfinished, '--locked', '--quiet'];
      await run('cargo', ['install', crate, '--version', version, ...target], {
        timeoutMs: BUILD_MS,
        signal,
      });
    },
    cache,
  );
  return join(folder, 'bin');
}
