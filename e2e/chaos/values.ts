/** Values that prove themselves: each has a name of its own, from which every byte of it follows. */
import { createCipheriv, createHash } from 'node:crypto';
import { present } from '../../services/common/assert.ts';

/** Name and size in the clear, then bytes that only this name gives. */
const NAME_BYTES = 48;
const IV = Buffer.alloc(16);

export function valueOf(name: string, size: number): Buffer {
  const whole = Buffer.alloc(Math.max(NAME_BYTES, size));
  const key = createHash('md5').update(name).digest();
  createCipheriv('aes-128-ctr', key, IV).update(whole).copy(whole);
  whole.write(`${name}:${whole.length}:`.padEnd(NAME_BYTES), 0, 'latin1');
  return whole;
}

/** The name of a whole value; null for bytes that no write can have made. */
export function nameOf(bytes: Buffer): string | null {
  const [name, size] = bytes.subarray(0, NAME_BYTES).toString('latin1').split(':');
  if (size === undefined || Number(size) !== bytes.length) return null;
  const known = present(name, 'a name');
  return valueOf(known, bytes.length).equals(bytes) ? known : null;
}
