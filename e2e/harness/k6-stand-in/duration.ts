const UNIT_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000 };

/** Milliseconds of `3s` or `2m`. @throws Error for any other form. */
export function durationMs(text: string): number {
  const [, count = '', unit = ''] = /^(\d+)([sm])$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? 0);
  if (ms > 0) return ms;
  throw new Error(`the stand-in knows durations such as 3s and 2m, not '${text}'`);
}
