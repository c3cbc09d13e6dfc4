#!/usr/bin/env -S node --initial-old-space-size=96
// The coordinator process. Everything but its settings is in coordinator.ts.
import { systemClock } from '../common/clock.ts';
import { systemRandom } from '../common/random.ts';
import { readCoordinatorCommand, watchCoordinatorSettings } from '../config/coordinator.ts';
import type { CoordinatorOptions } from '../config/options.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { type Host, runProgram } from '../program/program.ts';
import { tcpNetwork } from '../rpc/tcp-network.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { Coordinator } from './coordinator.ts';
import { startHttpServer } from './http/server.ts';
import { openLevelTable } from './level-table.ts';

async function serve(host: Host<CoordinatorOptions>): Promise<void> {
  const { inputs, loaded, logger, fail } = host;
  const { options } = loaded;
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
      openTable: openLevelTable,
      clock: systemClock,
      random: systemRandom,
      network: tcpNetwork,
      startHttp: startHttpServer,
      logger,
      metrics: createMetrics(),
      onFatal: fail,
    },
    {
      options,
      pendingRestart: () => watch.pendingRestart,
    },
  );
  host.onStop(() => {
    watch.stop();
    return coordinator.stop();
  });
  await coordinator.open();
  if (options.configFile !== null) watch.start();
  await coordinator.run();
}

await runProgram({
  name: 'minikv-coord',
  role: 'coordinator',
  labels: ({ name }) => ({ node: name }),
  read: readCoordinatorCommand,
  serve,
});
