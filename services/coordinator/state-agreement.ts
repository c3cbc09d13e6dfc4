/**
 * What follows from what nodes say of their states at one index. A majority that says the same is
 * right; without one nobody knows. Pure.
 */
import type { NodeId } from '../common/ids.ts';

/**
 * `agreed`: a majority says what this node says. `outvoted`: a majority says something else. `split`:
 * somebody differs and no majority is known. `open`: nobody differs, and not enough have spoken.
 */
export type Agreement = 'agreed' | 'outvoted' | 'split' | 'open';

export function agreementOf(
  self: NodeId,
  voterCount: number,
  said: ReadonlyMap<NodeId, string>,
): Agreement {
  const own = said.get(self);
  if (own === undefined) return 'open';
  const counts = new Map<string, number>();
  for (const digest of said.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
  const majority = Math.floor(voterCount / 2) + 1;
  for (const [digest, count] of counts) {
    if (count >= majority) return digest === own ? 'agreed' : 'outvoted';
  }
  return counts.size > 1 ? 'split' : 'open';
}
