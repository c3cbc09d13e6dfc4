/** What every server process is: settings read once, one way to stop, and last words that say why. */
import { setFlagsFromString } from 'node:v8';
import { asError } from '../common/errors.ts';
import type { Command } from '../config/command.ts';
import { exitCodeOf, lastWords, terminationLogOf } from '../config/exit.ts';
import type { Inputs, Loaded } from '../config/role.ts';
import { readTextFile, writeTerminationLog } from '../disk/node-text.ts';
import { createLogger, type LogFields, type Logger, type LogLevel } from '../telemetry/logger.ts';

/** The settings that every program has. */
export interface ProgramOptions {
  readonly logLevel: LogLevel;
  readonly terminationLog: string | null;
}

export interface Program<O extends ProgramOptions> {
  /** As it is called, which begins its last words. */
  readonly name: string;
  /** What it is, for its log. */
  readonly role: string;
  /** Fields of every line that it logs. */
  readonly labels: (options: O) => LogFields;
  readonly read: (inputs: Inputs) => Promise<Command<O>>;
  /** Starts the server; rejects when that fails. */
  readonly serve: (host: Host<O>) => Promise<void>;
}

/** What a server gets of its process. */
export interface Host<O extends ProgramOptions> {
  readonly inputs: Inputs;
  readonly loaded: Loaded<O>;
  readonly logger: Logger;
  /** Ends the process with an error: for what leaves nothing that can be trusted. */
  readonly fail: (thrown: unknown) => never;
  /** What SIGTERM and SIGINT do, once, before the process ends well. */
  onStop(stop: () => Promise<void>): void;
}

/**
 * V8 counts buffers apart from its heap, and collects all of it after each 64 MiB of them: a stream of large
 * values made it do so several times a second. With them in one count it waits until the heap may grow no more.
 */
const ONE_COUNT = '--external-memory-accounted-in-global-limit';

/**
 * V8 would wake several threads for each collection of young objects, some ten a second, where one loop makes them:
 * handing the little work round costs more than it saves, and takes the cores from other programs.
 */
const ONE_SCAVENGER = '--no-parallel-scavenge';

/**
 * Where many objects of one place in the code have outlived a collection, V8 makes all of them old from the start.
 * Those of a request die soon, but until the next full collection they keep alive what they point to: nearly all
 * of each request (docs/adr/0020-requests-die-young.md).
 */
const ALL_BORN_YOUNG = '--no-allocation-site-pretenuring';

/**
 * Runs a program with the arguments and the environment of this process. Exit codes: 0 after a stop in
 * good order, 2 for settings that are refused, 78 for a folder of another node, 1 for everything else.
 */
export async function runProgram<O extends ProgramOptions>(program: Program<O>): Promise<void> {
  for (const flag of [ONE_COUNT, ONE_SCAVENGER, ALL_BORN_YOUNG]) setFlagsFromString(flag);
  const inputs: Inputs = {
    argv: process.argv.slice(2),
    env: process.env,
    readFile: readTextFile,
  };
  try {
    const command = await program.read(inputs);
    if (command.kind === 'print') process.stdout.write(`${command.text}\n`);
    else await serve(program, inputs, command.loaded);
  } catch (thrown) {
    die(program.name, asError(thrown), terminationLogOf(inputs));
  }
}

async function serve<O extends ProgramOptions>(
  { name, role, labels, serve: start }: Program<O>,
  inputs: Inputs,
  loaded: Loaded<O>,
): Promise<void> {
  const { options } = loaded;
  const logger = createLogger(options.logLevel, labels(options));
  const fail = (thrown: unknown): never => {
    const error = asError(thrown);
    logger.error({ error }, `${role} stops`);
    return die(name, error, options.terminationLog);
  };
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    // The loader of a WebAssembly module listens as well, and throws: who comes after it is not told.
    process.removeAllListeners(event).on(event, fail);
  }
  const onStop = (stop: () => Promise<void>): void => {
    let isStopping = false;
    const onSignal = (): void => {
      if (isStopping) return;
      isStopping = true;
      stop().then(() => process.exit(0), fail);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  };
  await start({ inputs, loaded, logger, fail, onStop }).catch(fail);
}

/** The reason is the last line, and stands where the supervisor looks for it. */
function die(name: string, error: Error, terminationLog: string | null): never {
  const words = lastWords(name, error);
  process.stderr.write(words);
  writeTerminationLog(terminationLog, words);
  process.exit(exitCodeOf(error));
}
