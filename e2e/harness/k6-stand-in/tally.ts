/** Samples of a run, and which thresholds they cross. */
import type { Tags } from './messages.ts';

interface Sample {
  readonly value: number;
  readonly tags: Tags;
}

export class Tally {
  readonly #samples = new Map<string, Sample[]>();

  add(metric: string, sample: Sample): void {
    const samples = this.#samples.get(metric) ?? [];
    samples.push(sample);
    this.#samples.set(metric, samples);
  }

  /** Lines for people: each check with how often it held and did not, then what failed and how. */
  lines(): readonly string[] {
    const checks = Map.groupBy(this.#of('checks'), ({ tags }) => tags['check'] ?? '');
    const failures = Map.groupBy(
      this.#of('operations_failed').filter(({ value }) => value === 1),
      ({ tags }) => `${tags['operation']} ${tags['status']} ${tags['code']}`.trim(),
    );
    return [
      ...[...checks].map(([name, samples]) => {
        const held = sum(samples);
        const mark = held === samples.length ? '✓' : '✗';
        return `${mark} ${name}  ✓ ${held} ✗ ${samples.length - held}`;
      }),
      ...[...failures].map(([what, samples]) => `failed: ${what}  ${samples.length}`),
    ];
  }

  /** Thresholds that do not hold. One of a metric without samples holds, as in k6. */
  crossed(thresholds: Readonly<Record<string, readonly string[]>>): readonly string[] {
    return Object.entries(thresholds).flatMap(([name, expressions]) => {
      const [, metric = name, tag = '', wanted = ''] = /^(\w+)\{(\w+):(.+)\}$/.exec(name) ?? [];
      const samples = this.#of(metric).filter(({ tags }) => tag === '' || tags[tag] === wanted);
      if (samples.length === 0) return [];
      return expressions
        .filter((expression) => !holds(expression, samples))
        .map((expression) => `${name}: ${expression}`);
    });
  }

  #of(metric: string): readonly Sample[] {
    return this.#samples.get(metric) ?? [];
  }
}

const sum = (samples: readonly Sample[]): number =>
  samples.reduce((total, { value }) => total + value, 0);

function holds(expression: string, samples: readonly Sample[]): boolean {
  const [, percent, rate] = /^(?:p\((\d+)\)<\d+|rate==([01]))$/.exec(expression) ?? [];
  if (rate !== undefined) return sum(samples) / samples.length === Number(rate);
  if (percent === undefined) throw new Error(`the stand-in knows no threshold '${expression}'`);
  const sorted = samples.map(({ value }) => value).sort((a, b) => a - b);
  const index = Math.ceil((Number(percent) / 100) * sorted.length) - 1;
  return (sorted[index] ?? 0) < Number(expression.split('<')[1]);
}
