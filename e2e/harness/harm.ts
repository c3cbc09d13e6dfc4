/** Does to files what bad disks and power cuts do. The process that owns a file is down, or is to notice. */
import { open, stat } from 'node:fs/promises';

/** Flips one bit of the byte at `offset`. */
export async function flipBit(path: string, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const byte = Buffer.alloc(1);
    const { bytesRead } = await file.read(byte, 0, 1, offset);
    if (bytesRead !== 1) throw new Error(`${path} has no byte ${offset}`);
    await file.write(Buffer.of((byte[0] ?? 0) ^ 0x10), 0, 1, offset);
  } finally {
    await file.close();
  }
}

export async function append(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'a');
  try {
    await file.write(bytes);
  } finally {
    await file.close();
  }
}

export async function truncate(path: string, bytes: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}

export const sizeOf = async (path: string): Promise<number> => (await stat(path)).size;
