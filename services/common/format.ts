/** Versions of stored formats, and what one means that this build does not know. */
import { KvError } from './errors.ts';

/**
 * A format that this build does not know is no damage: what is stored stays as it is, for the build that does.
 * @throws KvError `DISK_FAILED` where it is newer than `newest`, `CORRUPT` where there never was one.
 */
export function checkFormat(what: string, version: number, newest: number): void {
  if (version >= 1 && version <= newest) return;
  if (version < 1) throw new KvError('CORRUPT', `${what} of format ${version}, which never was`);
  throw new KvError(
    'DISK_FAILED',
    `${what} of format ${version}, which only a newer build knows; this one knows up to ${newest}`,
  );
}
