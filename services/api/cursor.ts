/**
 * Cursors of listings: opaque to clients, checked by servers. A cursor holds the last key given out and
 * a CRC over it and over the listing it belongs to, so that one listing's cursor is refused by another.
 */
import { concatBytes, utf8 } from '../common/bytes.ts';
import { crc32 } from '../common/checksum.ts';
import { KvError } from '../common/errors.ts';

/** What must stay the same from page to page. */
export interface CursorScope {
  readonly prefix: Uint8Array;
  readonly start: Uint8Array;
  readonly end: Uint8Array;
}

const CRC_BYTES = 4;

export function encodeCursor(scope: CursorScope, lastKey: Uint8Array): string {
  const bytes = Buffer.alloc(CRC_BYTES + lastKey.length);
  bytes.writeUInt32LE(check(scope, lastKey), 0);
  bytes.set(lastKey, CRC_BYTES);
  return bytes.toString('base64url');
}

/** The key after which to go on. @throws KvError `INVALID_ARGUMENT` for a cursor of another listing. */
export function decodeCursor(scope: CursorScope, text: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url');
  const lastKey = bytes.subarray(CRC_BYTES);
  const genuine =
    lastKey.length > 0 &&
    bytes.toString('base64url') === text &&
    bytes.readUInt32LE(0) === check(scope, lastKey);
  if (!genuine) throw new KvError('INVALID_ARGUMENT', 'the cursor is not one of this listing');
  return lastKey;
}

function check(scope: CursorScope, lastKey: Uint8Array): number {
  const sizes = `v1 ${scope.prefix.length} ${scope.start.length} ${scope.end.length}\n`;
  return crc32(concatBytes([utf8(sizes), scope.prefix, scope.start, scope.end, lastKey]));
}
