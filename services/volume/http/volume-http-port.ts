/** What a volume can tell and hand out over HTTP. Answers from the first moment, also while recovering. */
import type { VolumeStatus } from '../../api/admin.ts';
import type { CopyId, DiskId } from '../../common/ids.ts';
import type { ReadResult } from '../../storage/types.ts';

export interface VolumeHttpPort {
  status(): VolumeStatus;
  /** Copies held and bytes of values; zeros while recovering. */
  usage(): { readonly copies: number; readonly bytes: number };
  /** Registered in this boot and not stopping; `reason` says why not. */
  readiness(): { readonly ready: boolean; readonly reason: string | null };
  /** 0 while unformatted. */
  disk(): DiskId;
  /** Key that signs redirects, as hex; null before a coordinator has told it. */
  redirectKey(): string | null;
  /** Bytes of a copy that can be read; null for one that is absent, open, dropped or unsound. */
  size(copyId: CopyId): number | null;
  /** At most 1 MiB of a copy; see `StorageEngine.read`. */
  read(copyId: CopyId, offset: number, length: number): Promise<ReadResult>;
}
