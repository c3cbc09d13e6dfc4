/** Reads one file out of a zip archive: its list of contents stands at its end. */
import { inflateRawSync } from 'node:zlib';

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const STORED = 0;
const DEFLATED = 8;

/**
 * The bytes of the member of that name.
 * @throws Error when the archive has no such member or packs it in another way than deflate.
 */
export function unzip(archive: Buffer, name: string): Buffer {
  let end = archive.length - END_BYTES;
  while (end >= 0 && archive.readUInt32LE(end) !== END_SIGNATURE) end--;
  if (end < 0) throw new Error('not a zip archive');
  const memberCount = archive.readUInt16LE(end + 10);
  let at = archive.readUInt32LE(end + 16);
  for (let member = 0; member < memberCount; member++) {
    const nameBytes = archive.readUInt16LE(at + 28);
    const found = archive.toString('utf8', at + 46, at + 46 + nameBytes);
    if (found === name) return unpack(archive, at);
    at += 46 + nameBytes + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32);
  }
  throw new Error(`no ${name} in the zip archive`);
}

function unpack(archive: Buffer, entry: number): Buffer {
  const method = archive.readUInt16LE(entry + 10);
  const packedBytes = archive.readUInt32LE(entry + 20);
  const local = archive.readUInt32LE(entry + 42);
  // The local header repeats the name, and its extra field may have another length.
  const start = local + 30 + archive.readUInt16LE(local + 26) + archive.readUInt16LE(local + 28);
  const packed = archive.subarray(start, start + packedBytes);
  if (method === STORED) return packed;
  if (method === DEFLATED) return inflateRawSync(packed);
  throw new Error(`zip method ${method} is not read`);
}
