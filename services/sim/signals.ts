/**
 * Where the log and the counters of simulated processes go: to whoever asked for them, and nowhere else.
 * What a process says after its end nobody hears.
 */
import type { Logger } from '../telemetry/logger.ts';
import { silentLogger } from '../telemetry/logger.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Life } from './life.ts';
import type { SimOptions } from './types.ts';

export function loggerOf(host: string, life: Life, onLog: SimOptions['onLog']): Logger {
  if (onLog === undefined) return silentLogger;
  const loggerWith = (bound: Parameters<Logger['child']>[0]): Logger => {
    const log: Logger['info'] = (fields, message) => {
      if (!life.isOver) onLog(host, message, { ...bound, ...fields });
    };
    return {
      debug: log,
      info: log,
      warn: log,
      error: log,
      child: (fields) => loggerWith({ ...bound, ...fields }),
      setLevel: () => undefined,
    };
  };
  return loggerWith({});
}

export function metricsOf(host: string, life: Life, onCount: SimOptions['onCount']): Metrics {
  return {
    counter: (name) => ({
      add: (count = 1) => {
        if (!life.isOver) onCount?.(host, name, count);
      },
    }),
    gauge: () => ({ set: () => undefined }),
    sampled: () => undefined,
    sampledBy: () => undefined,
    histogram: () => ({ observe: () => undefined }),
    contentType: 'text/plain',
    print: () => Promise.resolve(''),
  };
}
