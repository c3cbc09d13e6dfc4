/** Reads single metrics of a process. */

/** All samples without labels, by name. @throws when the process does not answer. */
export async function scrape(url: string): Promise<ReadonlyMap<string, number>> {
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(2000) });
  const samples = new Map<string, number>();
  for (const line of (await answer.text()).split('\n')) {
    const [, name, value] = /^(\w+) (\S+)$/.exec(line) ?? [];
    if (name !== undefined) samples.set(name, Number(value));
  }
  return samples;
}
