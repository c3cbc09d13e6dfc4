#!/usr/bin/env -S node --initial-old-space-size=96
// The volume process: settings, signals, exit codes. Everything else is in volume.ts.
import { systemClock } from '../common/clock.ts';
import { asError } from '../common/errors.ts';
import { systemRandom } from '../common/random.ts';
import { exitCodeOf, lastWords, terminationLogOf } from '../config/exit.ts';
import type { VolumeOptions } from '../config/options.ts';
import type { Inputs, Loaded } from '../config/role.ts';
import { readVolumeCommand, watchVolumeSettings } from '../config/volume.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { readTextFile, writeTerminationLog } from '../disk/node-text.ts';
import { createLogger } from '../telemetry/logger.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { Volume } from './volume.ts';

const PROGRAM = 'minikv-volume';

async function serve(inputs: Inputs, loaded: Loaded<VolumeOptions>): Promise<void> {
  const { options } = loaded;
  const logger = createLogger(options.logLevel, { volume: options.name });
  const fail = (thrown: unknown): never => {
    const error = asError(thrown);
    logger.error({ error }, 'volume stops');
    return die(error, options.terminationLog);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const watch = watchVolumeSettings(
    { clock: systemClock, inputs },
    {
      started: loaded,
      changed: (changed, names) => {
        logger.setLevel(changed.logLevel);
        volume.reload(changed);
        logger.info({ names }, 'settings reloaded');
      },
      refused: (error) => logger.warn({ error }, 'settings file refused'),
    },
  );
  const volume: Volume = new Volume(
    {
      disk: new NodeDisk(),
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics: createMetrics(),
      onFatal: fail,
    },
    { options, pendingRestart: () => watch.pendingRestart },
  );
  const stop = (): void => {
    watch.stop();
    volume.stop().then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  if (options.configFile !== null) watch.start();
  await volume.start().catch(fail);
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
  const command = await readVolumeCommand(inputs);
  if (command.kind === 'print') process.stdout.write(`${command.text}\n`);
  else await serve(inputs, command.loaded);
} catch (thrown) {
  die(asError(thrown), terminationLogOf(inputs));
}
