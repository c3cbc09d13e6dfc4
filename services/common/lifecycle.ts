/**
 * Starts parts in order and stops them in reverse. A part that fails to start stops those before it;
 * a part that fails to stop does not keep the others running.
 */
import { asError } from './errors.ts';

/** What a composition root starts and stops. */
export interface Part {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export class Lifecycle {
  readonly #started: Part[] = [];

  async start(parts: readonly Part[]): Promise<void> {
    for (const part of parts) {
      try {
        await part.start();
      } catch (error) {
        await this.stop();
        throw error;
      }
      this.#started.push(part);
    }
  }

  /** Stops all started parts, last first; answers what went wrong, if anything did. */
  async stop(): Promise<readonly Error[]> {
    const failures: Error[] = [];
    for (let part = this.#started.pop(); part !== undefined; part = this.#started.pop()) {
      try {
        await part.stop();
      } catch (error) {
        failures.push(asError(error));
      }
    }
    return failures;
  }
}
