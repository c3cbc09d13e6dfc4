/** Names of files: only what parses here is ours, everything else in a folder is left alone. */

/** What one volume keeps where. */
export interface Paths {
  /** Sealed segments. */
  readonly segments: string;
  /** Tails that were cut off. */
  readonly broken: string;
  /** The active segment. */
  readonly wal: string;
  readonly snapshot: string;
}

export const pathsOf = (dataPath: string, walPath: string): Paths => ({
  segments: `${dataPath}/segments`,
  broken: `${dataPath}/broken`,
  wal: walPath,
  snapshot: `${dataPath}/index.snapshot`,
});

const SEGMENT_NAME = /^(\d{10})\.seg$/;

export const segmentName = (segment: number): string => `${String(segment).padStart(10, '0')}.seg`;

/** The number in a segment's file name, or null. */
export function segmentOf(name: string): number | null {
  const digits = SEGMENT_NAME.exec(name)?.[1];
  return digits === undefined ? null : Number(digits);
}
