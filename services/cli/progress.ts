/** How far a long command is: a bar where a person looks, nothing elsewhere; and its closing count. */
import { Presets, SingleBar } from 'cli-progress';
import { formatBytes } from '../common/units.ts';
import type { Terminal } from './terminal.ts';

export interface Tally {
  moved: number;
  movedBytes: number;
  /** Already there with the same bytes, kind and mode. */
  unchanged: number;
  skipped: number;
  failed: number;
}

export const newTally = (): Tally => ({
  moved: 0,
  movedBytes: 0,
  unchanged: 0,
  skipped: 0,
  failed: 0,
});

export const tallyText = (verb: string, tally: Tally): string =>
  `${verb} ${tally.moved} (${formatBytes(tally.movedBytes)}), ${tally.unchanged} already there, ` +
  `${tally.skipped} skipped, ${tally.failed} failed`;

export interface Progress {
  done(bytes: number): void;
  /** Takes the bar away, so that a line can be written. */
  stop(): void;
}

export function startProgress(terminal: Terminal, items: number): Progress {
  if (!terminal.interactive) return { done: () => undefined, stop: () => undefined };
  let bytes = 0;
  const bar = new SingleBar(
    {
      stream: terminal.stderr,
      format: '{bar} {percentage}%  {value}/{total}  {moved}  about {eta_formatted} left',
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  bar.start(items, 0, { moved: formatBytes(0) });
  return {
    done(more) {
      bytes += more;
      bar.increment({ moved: formatBytes(bytes) });
    },
    stop: () => bar.stop(),
  };
}
