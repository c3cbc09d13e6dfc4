/**
 * Delta debugging (Zeller): finds a small part of a list that still fails, by leaving out ever smaller
 * parts. What it answers fails; that nothing more could be left out is not promised once `runsMax` is used up.
 */
export async function shrink<T>(
  whole: readonly T[],
  fails: (part: readonly T[]) => Promise<boolean>,
  runsMax: number,
): Promise<readonly T[]> {
  let best = whole;
  let runs = 0;
  const tries = async (part: readonly T[]): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs += 1;
    return fails(part);
  };
  if (whole.length > 0 && (await tries([]))) return [];
  let pieces = 2;
  while (best.length > 1 && runs < runsMax) {
    const size = Math.ceil(best.length / pieces);
    let isSmaller = false;
    for (let at = 0; at < best.length; at += size) {
      const rest = [...best.slice(0, at), ...best.slice(at + size)];
      if (!(await tries(rest))) continue;
      best = rest;
      pieces = Math.max(2, pieces - 1);
      isSmaller = true;
      break;
    }
    if (isSmaller) continue;
    if (size === 1) break;
    pieces = Math.min(best.length, pieces * 2);
  }
  return best;
}
