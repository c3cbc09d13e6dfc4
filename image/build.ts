/**
 * `npm run build`: the programs of package.json's `bin` table, compiled without failpoints and bundled, into
 * `dist` or the folder of `--outDir`. A process that starts then reads a few files instead of a thousand.
 * With `--failpoints` they stay, for images that a test ends at one of them.
 */
import { rmSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { build as bundle, type Plugin } from 'esbuild';
import ts from 'typescript';
import { NATIVE_PACKAGES, programSources } from './files.ts';
import { withoutFailpoints } from './without-failpoints.ts';

const ROOT = join(import.meta.dirname, '..');
const CONFIG = 'tsconfig.build.json';
/** Where a test hooks failpoints: a module of its own, which the programs share. */
const HOOKS = 'services/common/failpoint.ts';
/** What several programs have in common. */
const SHARED = 'shared';
/** Packages in the older form of modules ask for what is Node's own by this name. */
const REQUIRE =
  "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);";

const { values } = parseArgs({
  options: {
    outDir: { type: 'string', default: 'dist' },
    failpoints: { type: 'boolean', default: false },
  },
});
process.exitCode = await build(values.outDir, values.failpoints);

/** Answers the exit code; what is wrong is on the terminal. No module goes to the disk by itself. */
async function build(outDir: string, keepsFailpoints: boolean): Promise<number> {
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: report };
  const config = ts.getParsedCommandLineOfConfigFile(CONFIG, {}, host);
  if (config === undefined) return 1;
  const program = ts.createProgram(config.fileNames, config.options);
  const modules = new Map<string, string>();
  const keep = (path: string, text: string): void => {
    modules.set(relative(ROOT, path).replace(/\.js$/, '.ts'), text);
  };
  const transformers = keepsFailpoints ? {} : { before: [withoutFailpoints] };
  const problems = [...config.errors, ...ts.getPreEmitDiagnostics(program)];
  if (problems.length === 0) {
    problems.push(...program.emit(undefined, keep, undefined, false, transformers).diagnostics);
  }
  problems.forEach(report);
  if (problems.length > 0) return 1;
  // Their names tell their content: without this, those of the build before would stay.
  rmSync(join(resolve(ROOT, outDir), SHARED), { recursive: true, force: true });
  await bundle({
    absWorkingDir: ROOT,
    entryPoints: [...programSources(), ...(keepsFailpoints ? [HOOKS] : [])],
    outbase: '.',
    outdir: outDir,
    bundle: true,
    splitting: true,
    chunkNames: `${SHARED}/[hash]`,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    external: [...NATIVE_PACKAGES],
    banner: { js: REQUIRE },
    plugins: [compiled(modules), builtins()],
    logLevel: 'warning',
  });
  return 0;
}

/** Gives the bundler our modules as the compiler has emitted them. */
function compiled(modules: ReadonlyMap<string, string>): Plugin {
  return {
    name: 'compiled',
    setup(bundler) {
      bundler.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = modules.get(relative(ROOT, path));
        return contents === undefined ? null : { contents, loader: 'js' };
      });
    },
  };
}

/**
 * Gives the bundler what is Node's own as modules of their members, getters apart. Where a program imports it by
 * itself, Node reads all members of it at the start, and one of `node:http` loads all that fetches.
 */
function builtins(): Plugin {
  const namespace = 'builtins';
  return {
    name: namespace,
    setup(bundler) {
      bundler.onResolve({ filter: /^node:/ }, ({ path, kind }) =>
        kind === 'import-statement' && isBuiltin(path) ? { path, namespace } : null,
      );
      bundler.onLoad({ filter: /^/, namespace }, ({ path }) => {
        const found = process.getBuiltinModule(path) ?? {};
        const members = Object.entries(Object.getOwnPropertyDescriptors(found))
          .filter(([name, member]) => 'value' in member && /^[a-z_$][\w$]*$/i.test(name))
          .map(([name]) => name);
        const contents = [
          `const found = process.getBuiltinModule('${path}');`,
          'export default found;',
          `export const { ${members.join(', ')} } = found;`,
        ];
        return { contents: contents.join('\n'), loader: 'js' };
      });
    },
  };
}

function report(problem: ts.Diagnostic): void {
  const host = {
    getCurrentDirectory: () => ts.sys.getCurrentDirectory(),
    getCanonicalFileName: (name: string) => name,
    getNewLine: () => '\n',
  };
  process.stderr.write(ts.formatDiagnostic(problem, host));
}
