/** Reads metrics of a process, as a scraper sees them. */

const SAMPLE = /^([a-z_]\w*(?:\{.*\})?) (\S+)$/i;

/** All samples by series, written as in the text: `name` or `name{label="value"}`. @throws when the process does not answer. */
export async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2000) });
  const samples = new Map<string, number>();
  for (const line of (await answer.text()).split('\n')) {
    const [, series, value] = SAMPLE.exec(line) ?? [];
    if (series !== undefined) samples.set(series, Number(value));
  }
  return samples;
}

/** Value of one series; 0 where it is not shown. */
export const sample = async (url: string, series: string): Promise<number> =>
  (await scrape(url)).get(series) ?? 0;
