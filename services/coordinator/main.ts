#!/usr/bin/env -S node --initial-old-space-size=96
// The coordinator process: settings, signals, exit codes. Everything else is in coordinator.ts.
import { systemClock } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { systemRandom } from '../common/random.ts';
import { readCoordinatorCommand, watchCoordinatorSettings } from '../config/coordinator.ts';
import { exitCodeOf, lastWords, terminationLogOf } from '../config/exit.ts';
import type { CoordinatorOptions } from '../config/options.ts';
import type { Inputs, Loaded } from '../config/role.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { readTextFile, writeTerminationLog } from '../disk/node-text.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { Coordinator } from './coordinator.ts';

const PROGRAM = 'minikv-coord';

async function serve(inputs: Inputs, loaded: Loaded<CoordinatorOptions>): Promise<void> {
  const { options } = loaded;
  const logger = createLogger(options.logLevel, { node: options.name });
  const fail = (thrown: unknown): never => {
    const error = asError(thrown);
    logger.error({ error }, 'coordinator stops');
    return die(error, options.terminationLog);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const watch = watchCoordinatorSettings(
    { clock: systemClock, inputs },
    {
      started: loaded,
      changed: (changed, names) => {
        logger.setLevel(changed.logLevel);
        coordinator.reload(changed);
        logger.info({ names }, 'settings reloaded');
      },
      refused: (error) => logger.warn({ error }, 'settings file refused'),
    },
  );
  const coordinator: Coordinator = new Coordinator(
    {
      disk: new NodeDisk(),
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics: createMetrics(),
      onFatal: fail,
    },
    {
      options,
      pendingRestart: () => watch.pendingRestart,
    },
  );
  const stop = (): void => {
    watch.stop();
    coordinator.stop().then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    await coordinator.open();
    if (options.configFile !== null) watch.start();
    await coordinator.run();
  } catch (error) {
    fail(error);
  }
}

/** The reason is the last line, and stands where the supervisor looks for it. */
function die(error: Error, terminationLog: string | null): never {
  const words = lastWords(PROGRAM, error);
  process.stderr.write(words);
  writeTerminationLog(terminationLog, words);
  process.exit(exitCodeOf(error));
}

const inputs: Inputs = { argv: process.argv.slice(2), env: process.env, readFile: readTextFile };
try {
  const command = await readCoordinatorCommand(inputs);
  if (command.kind === 'print') process.stdout.write(`${command.text}\n`);
  else await serve(inputs, command.loaded);
} catch (thrown) {
  die(asError(thrown), terminationLogOf(inputs));
}
