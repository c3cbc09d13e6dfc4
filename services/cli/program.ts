/**
 * The command line: words to calls, errors to one line and an exit code (0 ok, 1 failed, 2 usage).
 * `--coordinator` and `--output` may stand before or after the command; after `get`, `--output` is
 * the file to write, as it always was.
 */
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { AdminClient } from '../client/admin-client.ts';
import { KvClient } from '../client/kv-client.ts';
import { asError } from '../common/errors.ts';
import { VERSION } from '../common/version.ts';
import { exportTree } from './commands/export.ts';
import { importTree } from './commands/import.ts';
import { showStatus } from './commands/status.ts';
import { deleteValue, getValue, listValues, putValue, type Session } from './commands/values.ts';
import { type Tally, tallyText } from './progress.ts';
import {
  complain,
  describeError,
  type OutputForm,
  printResult,
  type Terminal,
} from './terminal.ts';

export const OK = 0;
export const FAILED = 1;
export const USAGE = 2;

/** What `minikv local` was asked for. */
export interface LocalRequest {
  readonly coordinators: number;
  readonly volumes: number;
  readonly dataDir: string;
  readonly basePort: number;
  readonly logLevel: string;
}

/** Runs a cluster until it is asked to stop; answers the exit code. */
export type RunLocal = (request: LocalRequest, terminal: Terminal) => Promise<number>;

const DEFAULT_COORDINATOR = 'http://localhost:5000';
const CONCURRENCY_MAX = 256;

/** Runs one command line (without program name) to its exit code; never throws. */
export async function runProgram(
  argv: readonly string[],
  terminal: Terminal,
  runLocal: RunLocal,
): Promise<number> {
  const outcome = { code: OK };
  const program = buildProgram(terminal, runLocal, outcome);
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return outcome.code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? OK : USAGE;
    complain(terminal, describeError(error));
    return FAILED;
  }
}

interface Outcome {
  code: number;
}

function buildProgram(terminal: Terminal, runLocal: RunLocal, outcome: Outcome): Command {
  const program = new Command('minikv')
    .description('A replicated store for keys and values.')
    .version(VERSION, '--version', 'print the version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.stdout.write(text),
      writeErr: (text) => terminal.stderr.write(text),
      outputError: (text, write) => write(`minikv: ${usageSentence(text)} (USAGE)\n`),
    });
  withShared(program).addHelpText(
    'after',
    examples('minikv put photos/cat.jpg --file cat.jpg', 'minikv get photos/cat.jpg > cat.jpg'),
  );
  const scene: Scene = { program, terminal, outcome };
  addValueCommands(scene);
  addTreeCommands(scene);
  addStatus(scene);
  addLocal(scene, runLocal);
  return program;
}

interface Scene {
  readonly program: Command;
  readonly terminal: Terminal;
  readonly outcome: Outcome;
}

const usageSentence = (text: string): string => text.trim().replace(/^error: /, '');

const examples = (...lines: readonly string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`;

/** A sub-command that takes the shared options as well. */
function addCommand(scene: Scene, usage: string, help: string): Command {
  const command = scene.program.command(usage).description(help);
  return usage.startsWith('get ') ? withCoordinator(command) : withShared(command);
}

const withCoordinator = (command: Command): Command =>
  command.option(
    '--coordinator <urls>',
    `coordinators, separated by commas (default: $MINIKV_COORDINATOR or ${DEFAULT_COORDINATOR})`,
    readUrls,
  );

const withShared = (command: Command): Command =>
  withCoordinator(command).option('--output <form>', 'text or json (default: text)', readForm);

function readUrls(text: string): readonly URL[] {
  return text.split(',').map((part) => {
    const url = URL.parse(part.trim());
    const plain = url?.protocol === 'http:' && url.pathname === '/' && url.search === '';
    if (url === null || !plain) {
      throw new InvalidArgumentError(`${part} is not a URL such as ${DEFAULT_COORDINATOR}`);
    }
    return url;
  });
}

function readForm(text: string): OutputForm {
  if (text === 'text' || text === 'json') return text;
  throw new InvalidArgumentError('it must be text or json');
}

const readCount =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d{1,9}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}`);
  };

interface SharedOptions {
  readonly coordinator?: readonly URL[];
  readonly output?: OutputForm;
}

interface Shared {
  readonly coordinators: readonly URL[];
  readonly form: OutputForm;
}

/** The shared options, those after the command first. */
function sharedOf({ program, terminal }: Scene, own: SharedOptions): Shared {
  const before = program.opts<SharedOptions>();
  const named = own.coordinator ?? before.coordinator;
  return {
    coordinators: named ?? urlsOfEnvironment(program, terminal.env['MINIKV_COORDINATOR'] ?? ''),
    form: own.output ?? before.output ?? 'text',
  };
}

function urlsOfEnvironment(program: Command, text: string): readonly URL[] {
  try {
    return readUrls(text === '' ? DEFAULT_COORDINATOR : text);
  } catch (error) {
    return program.error(`MINIKV_COORDINATOR: ${asError(error).message}`);
  }
}

async function withSession(
  scene: Scene,
  own: SharedOptions,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const { coordinators, form } = sharedOf(scene, own);
  const client = new KvClient(coordinators);
  try {
    await work({ client, terminal: scene.terminal, form });
  } finally {
    await client.close();
  }
}

interface GetOptions {
  readonly coordinator?: readonly URL[];
  readonly output?: string;
  readonly outputFile?: string;
}

function addValueCommands(scene: Scene): void {
  addCommand(scene, 'put <key> [source]', 'store a file, or standard input, under a key')
    .option('--file <path>', 'file to store; - is standard input')
    .addHelpText(
      'after',
      examples('minikv put greeting --file hello.txt', 'date | minikv put now -'),
    )
    .action((key: string, source: string | undefined, own: SharedOptions & { file?: string }) => {
      if (source !== undefined && (source !== '-' || own.file !== undefined)) {
        scene.program.error('give a file by --file, or - for standard input');
      }
      return withSession(scene, own, (session) => putValue(session, key, own.file ?? '-'));
    });
  addCommand(scene, 'get <key>', "write a value's bytes to standard output or a file")
    .option('-o, --output <path>', 'file to write; here it is not text or json')
    .option('--output-file <path>', 'the same')
    .addHelpText(
      'after',
      examples('minikv get greeting', 'minikv get photos/cat.jpg --output cat.jpg'),
    )
    .action((key: string, own: GetOptions) => {
      const { output, outputFile, ...shared } = own;
      const file = output ?? outputFile ?? null;
      return withSession(scene, shared, (session) => getValue(session, key, file));
    });
  addCommand(scene, 'delete <key>', 'remove a key; fails when there is none')
    .addHelpText('after', examples('minikv delete greeting'))
    .action((key: string, own: SharedOptions) =>
      withSession(scene, own, (session) => deleteValue(session, key)),
    );
  addCommand(scene, 'list [prefix]', 'print size, digest and name of every key with a prefix')
    .addHelpText('after', examples('minikv list photos/', 'minikv list --output json'))
    .action((prefix: string | undefined, own: SharedOptions) =>
      withSession(scene, own, (session) => listValues(session, prefix ?? '')),
    );
}

interface TreeOptions extends SharedOptions {
  readonly prefix?: string;
  readonly concurrency: number;
}

function addTreeCommands(scene: Scene): void {
  const report = (session: Session, verb: string, tally: Tally): void => {
    const { terminal, form } = session;
    printResult(terminal, form, { json: tally, text: tallyText(verb, tally) });
    if (tally.failed > 0) scene.outcome.code = FAILED;
  };
  const concurrency = [
    '--concurrency <n>',
    'files moved at once',
    readCount(1, CONCURRENCY_MAX),
    16,
  ] as const;
  addCommand(scene, 'import <dir>', 'store a folder tree, names as keys; can be run again')
    .option('--prefix <prefix>', 'folder of keys to put it under', '')
    .option(...concurrency)
    .addHelpText('after', examples('minikv import ./photos --prefix photos'))
    .action((folder: string, own: TreeOptions) =>
      withSession(scene, own, async (session) => {
        const options = { folder, prefix: own.prefix ?? '', concurrency: own.concurrency };
        report(session, 'imported', await importTree(session.client, session.terminal, options));
      }),
    );
  addCommand(scene, 'export <prefix> <dir>', 'write a folder of keys as a folder tree')
    .option(...concurrency)
    .addHelpText('after', examples('minikv export photos ./photos', "minikv export '' ./all"))
    .action((prefix: string, folder: string, own: TreeOptions) =>
      withSession(scene, own, async (session) => {
        const options = { folder, prefix, concurrency: own.concurrency };
        report(session, 'exported', await exportTree(session.client, session.terminal, options));
      }),
    );
}

function addStatus(scene: Scene): void {
  addCommand(scene, 'status', 'show coordinators, volumes and missing copies')
    .addHelpText('after', examples('minikv status', 'minikv status --output json'))
    .action(async (own: SharedOptions) => {
      const { coordinators, form } = sharedOf(scene, own);
      const admin = new AdminClient(coordinators);
      try {
        const output = { terminal: scene.terminal, form };
        if (!(await showStatus(admin, coordinators, output))) scene.outcome.code = FAILED;
      } finally {
        await admin.close();
      }
    });
}

const PORT_MAX = 64_000;

function addLocal(scene: Scene, runLocal: RunLocal): void {
  scene.program
    .command('local')
    .description('run a whole cluster on this machine until Ctrl-C')
    .option('--coordinators <n>', 'how many', readCount(1, 7), 3)
    .option('--volumes <n>', 'how many', readCount(1, 16), 3)
    .option('--data-dir <dir>', 'where it keeps everything', '.minikv')
    .option('--base-port <port>', 'first port', readCount(1024, PORT_MAX), 5000)
    .option('--log-level <level>', 'of the processes, in DIR/logs', 'info')
    .addHelpText(
      'after',
      examples('minikv local', 'minikv local --data-dir /tmp/kv --base-port 7000'),
    )
    .action(async (request: LocalRequest) => {
      scene.outcome.code = await runLocal(request, scene.terminal);
    });
}
