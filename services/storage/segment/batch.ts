/**
 * Encodes a batch of records into the pieces of one write. Heads and small values lie in one buffer,
 * large values are written from where they are: one allocation a batch.
 */
import { COPY_BYTES_MAX } from '../limits.ts';
import { type Draft, encodeHead, HEADER_BYTES } from '../record.ts';

export interface EncodedBatch {
  readonly parts: readonly Uint8Array[];
  readonly bytes: number;
}

export interface BatchPlace {
  readonly segment: number;
  readonly salt: number;
  /** Where the batch begins. */
  readonly offset: number;
  readonly syncedTo: number;
}

export function encodeBatch(drafts: readonly Draft[], place: BatchPlace): EncodedBatch {
  const out = Buffer.allocUnsafe(drafts.reduce((sum, draft) => sum + bufferedBytes(draft), 0));
  const parts: Uint8Array[] = [];
  const { segment, salt, syncedTo } = place;
  let offset = place.offset;
  let at = 0;
  let partStart = 0;
  for (const draft of drafts) {
    at += encodeHead(out, at, draft, { segment, salt, offset, syncedTo });
    offset += HEADER_BYTES + draft.meta.length + draft.data.length;
    if (draft.data.length <= COPY_BYTES_MAX) {
      out.set(draft.data, at);
      at += draft.data.length;
    } else {
      parts.push(out.subarray(partStart, at), draft.data);
      partStart = at;
    }
  }
  if (at > partStart) parts.push(out.subarray(partStart, at));
  return { parts, bytes: offset - place.offset };
}

function bufferedBytes(draft: Draft): number {
  const copied = draft.data.length <= COPY_BYTES_MAX ? draft.data.length : 0;
  return HEADER_BYTES + draft.meta.length + copied;
}
