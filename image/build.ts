/**
 * `npm run build`: what tsconfig.build.json names, compiled without failpoints, into `dist` or the
 * folder of `--outDir`. With `--failpoints` they stay, for images that a test ends at one of them.
 */
import { parseArgs } from 'node:util';
import ts from 'typescript';
import { withoutFailpoints } from './without-failpoints.ts';

const CONFIG = 'tsconfig.build.json';
/** The room of the failpoints themselves, which a release does not have. */
const FAILPOINTS = /(^|\/)services\/common\/failpoint\.js(\.map)?$/;

const { values } = parseArgs({
  options: { outDir: { type: 'string' }, failpoints: { type: 'boolean', default: false } },
});
process.exitCode = build(values.outDir, values.failpoints);

/** Answers the exit code; what is wrong is on the terminal. */
function build(outDir: string | undefined, keepsFailpoints: boolean): number {
  const override = outDir === undefined ? {} : { outDir };
  const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: report };
  const config = ts.getParsedCommandLineOfConfigFile(CONFIG, override, host);
  if (config === undefined) return 1;
  const program = ts.createProgram(config.fileNames, config.options);
  const write: ts.WriteFileCallback = (path, text, mark) => {
    if (keepsFailpoints || !FAILPOINTS.test(path)) ts.sys.writeFile(path, text, mark);
  };
  const transformers = keepsFailpoints ? {} : { before: [withoutFailpoints] };
  const problems = [...config.errors, ...ts.getPreEmitDiagnostics(program)];
  if (problems.length === 0) {
    const emitted = program.emit(undefined, write, undefined, false, transformers);
    problems.push(...emitted.diagnostics);
  }
  problems.forEach(report);
  return problems.length === 0 ? 0 : 1;
}

function report(problem: ts.Diagnostic): void {
  const host = {
    getCurrentDirectory: () => ts.sys.getCurrentDirectory(),
    getCanonicalFileName: (name: string) => name,
    getNewLine: () => '\n',
  };
  process.stderr.write(ts.formatDiagnostic(problem, host));
}
