/**
 * Whose reader may leave. A reader of a list that has seen enough (`minikv list | head`) ends the
 * command; a command that looks after other processes must not leave them alone for want of a reader.
 */
import type { Writable } from 'node:stream';

export interface Outputs {
  readonly stdout: Writable;
  readonly stderr: Writable;
}

export class ClosedOutput {
  #goesOn = false;

  constructor({ stdout, stderr }: Outputs, exit: (code: number) => void) {
    stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#goesOn) exit(error.code === 'EPIPE' ? 0 : 1);
    });
    // A complaint that nobody can read: the exit code says that there was one.
    stderr.on('error', () => undefined);
  }

  /** From here on what cannot be written is dropped. */
  goOnWithout(): void {
    this.#goesOn = true;
  }
}
