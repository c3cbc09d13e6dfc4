#!/usr/bin/env -S node --initial-old-space-size=96
// The volume process. Everything but its settings is in volume.ts.
import { systemClock } from '../common/clock.ts';
import { systemRandom } from '../common/random.ts';
import type { VolumeOptions } from '../config/options.ts';
import { readVolumeCommand, watchVolumeSettings } from '../config/volume.ts';
import { NodeDisk } from '../disk/node-disk.ts';
import { type Host, runProgram } from '../program/program.ts';
import { tcpNetwork } from '../rpc/tcp-network.ts';
import { createMetrics } from '../telemetry/metrics.ts';
import { startVolumeHttp } from './http/server.ts';
import { Volume } from './volume.ts';

async function serve(host: Host<VolumeOptions>): Promise<void> {
  const { inputs, loaded, logger, fail } = host;
  const { options } = loaded;
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
      network: tcpNetwork,
      startHttp: startVolumeHttp,
      logger,
      metrics: createMetrics(),
      onFatal: fail,
    },
    { options, pendingRestart: () => watch.pendingRestart },
  );
  host.onStop(() => {
    watch.stop();
    return volume.stop();
  });
  if (options.configFile !== null) watch.start();
  await volume.start();
}

await runProgram({
  name: 'minikv-volume',
  role: 'volume',
  labels: ({ name }) => ({ volume: name }),
  read: readVolumeCommand,
  serve,
});
