/**
 * Metrics by name, type and labels, made once in each room's `metrics.ts` and printed as Prometheus
 * text. Names follow `minikv_<thing>_<unit>`; seconds and bytes; labels are few and bounded.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;

export interface CounterMetric {
  add(count?: number, labels?: Labels): void;
}

export interface GaugeMetric {
  set(value: number, labels?: Labels): void;
}

export interface HistogramMetric {
  observe(value: number, labels?: Labels): void;
}

/** Label values and what is measured for each. */
export type SampleRead = () => Iterable<readonly [string, number]>;

export interface Metrics {
  counter(name: string, help: string, labels?: readonly string[]): CounterMetric;
  gauge(name: string, help: string, labels?: readonly string[]): GaugeMetric;
  /** A gauge that is read at each scrape. */
  sampled(name: string, help: string, read: () => number): void;
  /** The same for several values, told apart by one label. */
  sampledBy(name: string, help: string, label: string, read: SampleRead): void;
  histogram(
    name: string,
    help: string,
    buckets: readonly number[],
    labels?: readonly string[],
  ): HistogramMetric;
  readonly contentType: string;
  print(): Promise<string>;
}

/** Buckets for latencies in seconds, 0.25 ms to 10 s. */
export const LATENCY_SECONDS: readonly number[] = [
  0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  return {
    counter(name, help, labels = []) {
      const metric = new Counter({ name, help, labelNames: [...labels], registers });
      return { add: (count = 1, values = {}) => metric.inc(values, count) };
    },
    gauge(name, help, labels = []) {
      const metric = new Gauge({ name, help, labelNames: [...labels], registers });
      return { set: (value, values = {}) => metric.set(values, value) };
    },
    sampled(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    },
    sampledBy(name, help, label, read) {
      new Gauge({
        name,
        help,
        registers,
        labelNames: [label],
        collect() {
          this.reset();
          for (const [value, measured] of read()) this.set({ [label]: value }, measured);
        },
      });
    },
    histogram(name, help, buckets, labels = []) {
      const metric = new Histogram({
        name,
        help,
        buckets: [...buckets],
        labelNames: [...labels],
        registers,
      });
      return { observe: (value, values = {}) => metric.observe(values, value) };
    },
    contentType: registry.contentType,
    print: () => registry.metrics(),
  };
}
