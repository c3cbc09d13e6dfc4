/** Names that are wanted and taken: what each of them keeps from going on, and what is said of it. */
import type { ForeignObject, Snapshot } from './types.ts';

/** Nothing of the cluster stands on them, so another's object costs no more than the one in its place. */
const OPTIONAL = /^(?:PodMonitor|PrometheusRule)\//;

const isLeftOut = ({ key, leaves }: ForeignObject): boolean => !leaves && OPTIONAL.test(key);

/** What nothing goes on beside: an apply would take it over, or be undone with it. */
export const hindrances = ({ foreign }: Snapshot): readonly ForeignObject[] =>
  foreign.filter((object) => !isLeftOut(object));

/** Why the object of this key is not applied, as a refusal of the server would say; null: it may be. */
export function leftOut({ foreign }: Snapshot, key: string): string | null {
  const found = foreign.find((object) => object.key === key);
  return found === undefined || !isLeftOut(found) ? null : sentenceOf(found);
}

export const sentenceOf = ({ key, leaves }: ForeignObject): string =>
  leaves ? key : `${key} (not made for this cluster: delete it, or give the cluster another name)`;
