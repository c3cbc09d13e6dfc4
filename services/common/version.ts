/** What this build calls itself: in status, Hello, metrics and `--version`. */
export const VERSION = '0.1.0';
