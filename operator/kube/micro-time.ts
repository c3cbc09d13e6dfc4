/** Times as Kubernetes writes them where it wants six digits: `2026-01-02T03:04:05.678000Z`. */
export const microTime = (wallMs: number): string =>
  new Date(wallMs).toISOString().replace(/Z$/, '000Z');
