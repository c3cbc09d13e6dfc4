#!/usr/bin/env node
// The coordinator process: settings, signals, exit codes. Everything else is in coordinator.ts.
import { systemClock } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { systemRandom } from '../common/random.ts';
import { readCoordinatorCommand, watchCoordinatorSettings } from '../config/coordinator.ts';
import { exitCodeOf, lastWords } from '../config/exit.ts';
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
  let inForce = options;
  const fail = (thrown: unknown): never => {
    const error = asError(thrown);
    logger.error({ error }, 'coordinator stops');
    writeTerminationLog(options.terminationLog, lastWords(PROGRAM, error));
    process.exit(exitCodeOf(error));
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const watch = watchCoordinatorSettings(
    { clock: systemClock, inputs },
    {
      started: loaded,
      changed: (changed, names) => {
        inForce = changed;
        logger.setLevel(changed.logLevel);
        logger.info({ names }, 'settings reloaded');
      },
      refused: (error) => logger.warn({ error }, 'settings file refused'),
    },
  );
  const coordinator = new Coordinator(
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
      maxObjectBytes: () => inForce.maxObjectBytes,
      pendingRestart: () => watch.pendingRestart,
    },
  );
  const stop = (): void => {
    watch.stop();
    coordinator.stop().then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  await coordinator.open();
  if (options.configFile !== null) watch.start();
  await coordinator.run();
}

const inputs: Inputs = { argv: process.argv.slice(2), env: process.env, readFile: readTextFile };
try {
  const command = await readCoordinatorCommand(inputs);
  if (command.kind === 'print') process.stdout.write(`${command.text}\n`);
  else await serve(inputs, command.loaded);
} catch (thrown) {
  const error = asError(thrown);
  const words = lastWords(PROGRAM, error);
  process.stderr.write(words);
  writeTerminationLog(process.env['MINIKV_TERMINATION_LOG'] ?? null, words);
  process.exit(exitCodeOf(error));
}
