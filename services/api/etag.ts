/**
 * Strong ETags (a blobId in quotes) and the conditions that name them. A tag that is well-formed but
 * none of ours can match nothing; it is kept out of the list, not refused.
 */
import { KvError } from '../common/errors.ts';
import { type BlobId, blobId, isHex32 } from '../common/ids.ts';

/** What `If-Match` or `If-None-Match` asks. */
export type TagList =
  | { readonly kind: 'any' }
  | { readonly kind: 'tags'; readonly blobIds: readonly BlobId[] };

/** Most tags of one condition. */
export const TAGS_MAX = 16;

export const etagOf = (id: BlobId): string => `"${id}"`;

/**
 * Reads `*` or a comma-separated list. `strong`: a weak tag matches nothing, as `If-Match` demands.
 * @throws KvError `INVALID_HEADER` on an empty, unquoted or overlong list.
 */
export function parseTags(text: string, strong: boolean): TagList {
  const trimmed = text.trim();
  if (trimmed === '*') return { kind: 'any' };
  const blobIds: BlobId[] = [];
  const parts = trimmed.split(',');
  if (parts.length > TAGS_MAX) throw new KvError('INVALID_HEADER', `at most ${TAGS_MAX} ETags`);
  for (const part of parts) {
    const tag = part.trim();
    const weak = tag.startsWith('W/');
    const opaque = weak ? tag.slice(2) : tag;
    if (!isQuoted(opaque)) {
      throw new KvError('INVALID_HEADER', 'an ETag stands in double quotes; * stands alone');
    }
    const inner = opaque.slice(1, -1);
    if (isHex32(inner) && !(weak && strong)) blobIds.push(blobId(inner));
  }
  return { kind: 'tags', blobIds };
}

const isQuoted = (text: string): boolean =>
  text.length >= 2 && text.startsWith('"') && text.indexOf('"', 1) === text.length - 1;

/** True where the value `current` is among the tags. */
export const tagsMatch = (tags: TagList, current: BlobId): boolean =>
  tags.kind === 'any' || tags.blobIds.includes(current);
