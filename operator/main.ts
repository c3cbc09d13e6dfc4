#!/usr/bin/env node
// The operator process: settings, signals, exit codes. Everything else is in operator.ts.
import { systemClock } from '../services/common/clock.ts';
import { asError } from '../services/common/errors.ts';
import { systemRandom } from '../services/common/random.ts';
import { VERSION } from '../services/common/version.ts';
import { exitCodeOf, lastWords, terminationLogOf } from '../services/config/exit.ts';
import { readOperatorCommand } from '../services/config/operator.ts';
import type { OperatorOptions } from '../services/config/options.ts';
import type { Inputs } from '../services/config/role.ts';
import { readTextFile, writeTerminationLog } from '../services/disk/node-text.ts';
import { createLogger } from '../services/telemetry/logger.ts';
import { createMetrics } from '../services/telemetry/metrics.ts';
import { defaultAccess } from './kube/access.ts';
import { HttpKube } from './kube/http-kube.ts';
import { HttpTransport } from './kube/http-transport.ts';
import { requestMetrics } from './kube/metrics.ts';
import { Operator } from './operator.ts';
import { clusterController } from './reconcile/controller.ts';

const PROGRAM = 'minikv-operator';

async function serve(options: OperatorOptions): Promise<void> {
  const logger = createLogger(options.logLevel, { operator: options.podName });
  const fail = (thrown: unknown): never => {
    const error = asError(thrown);
    logger.error({ error }, 'operator stops');
    return die(error, options.terminationLog);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  const metrics = createMetrics();
  const transport = new HttpTransport({
    access: defaultAccess(),
    clock: systemClock,
    metrics: requestMetrics(metrics),
    userAgent: `${PROGRAM}/${VERSION}`,
  });
  const operator = new Operator(
    {
      kube: new HttpKube(transport),
      clock: systemClock,
      random: systemRandom,
      logger,
      metrics,
      onFatal: fail,
    },
    options,
    clusterController({ adminNamespaces: [options.podNamespace, ...options.adminNamespaces] }),
  );
  let isStopping = false;
  const stop = (): void => {
    if (isStopping) return;
    isStopping = true;
    operator
      .stop()
      .then(() => transport.close())
      .then(() => process.exit(0), fail);
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  const port = await operator.start();
  logger.info({ port, version: VERSION }, 'operator started');
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
  const command = await readOperatorCommand(inputs);
  if (command.kind === 'print') process.stdout.write(`${command.text}\n`);
  else await serve(command.loaded.options);
} catch (thrown) {
  die(asError(thrown), terminationLogOf(inputs));
}
