/** What this build calls itself: in status, Hello, metrics and `--version`. */
export const VERSION = '0.1.0';

/**
 * Which commands and rows of the metadata this build knows: said in every hello. To be raised with each new kind
 * of them, and whenever a command makes other bytes than in the build before: digests of nodes of different
 * formats say nothing about each other. 0: a build that said none.
 */
export const STATE_FORMAT = 3;
/** Since then nodes know inline values: in an older one a command with one would end the process. */
export const INLINE_FORMAT = 3;
