#!/usr/bin/env node
// The operator process. Everything but its settings is in operator.ts.
import { systemClock } from '../services/common/clock.ts';
import { systemRandom } from '../services/common/random.ts';
import { VERSION } from '../services/common/version.ts';
import { readOperatorCommand } from '../services/config/operator.ts';
import type { OperatorOptions } from '../services/config/options.ts';
import { type Host, runProgram } from '../services/program/program.ts';
import { createMetrics } from '../services/telemetry/metrics.ts';
import { defaultAccess } from './kube/access.ts';
import { HttpKube } from './kube/http-kube.ts';
import { HttpTransport } from './kube/http-transport.ts';
import { requestMetrics } from './kube/metrics.ts';
import { Operator } from './operator.ts';
import { clusterController } from './reconcile/controller.ts';

const PROGRAM = 'minikv-operator';

async function serve(host: Host<OperatorOptions>): Promise<void> {
  const { loaded, logger, fail } = host;
  const { options } = loaded;
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
  host.onStop(async () => {
    await operator.stop();
    await transport.close();
  });
  const port = await operator.start();
  logger.info({ port, version: VERSION }, 'operator started');
}

await runProgram({
  name: PROGRAM,
  role: 'operator',
  labels: ({ podName }) => ({ operator: podName }),
  read: readOperatorCommand,
  serve,
});
