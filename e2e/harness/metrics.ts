/** Reads single samples of a process' metrics, as a scraper sees them. */

/** Value of one series, written as in the text: `name{label="value"}`; 0 where it is not shown. */
export async function sample(url: string, series: string): Promise<number> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2000) });
  const text = await answer.text();
  const line = text.split('\n').find((each) => each.startsWith(`${series} `));
  return line === undefined ? 0 : Number(line.slice(series.length + 1));
}
