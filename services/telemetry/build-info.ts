/** What this build calls itself in status, Hello and metrics. */
export const VERSION = '0.1.0';
