/** Every case, in the order in which they are shown. */
import type { MicroCase } from '../micro-case.ts';
import { BLOOM_CASES } from './bloom.ts';
import { CHECKSUM_CASES } from './checksums.ts';
import { CODEC_CASES } from './codecs.ts';
import { ENGINE_CASES } from './engine.ts';
import { LOG_CASES } from './log.ts';
import { METADATA_CASES } from './metadata.ts';
import { PLACEMENT_CASES } from './placement.ts';
import { RAFT_CASES } from './raft.ts';

export const MICRO_CASES: readonly MicroCase[] = [
  ...RAFT_CASES,
  ...LOG_CASES,
  ...ENGINE_CASES,
  ...CODEC_CASES,
  ...PLACEMENT_CASES,
  ...METADATA_CASES,
  ...BLOOM_CASES,
  ...CHECKSUM_CASES,
];
