/**
 * Requests over kept connections at little cost to the machine under test: `fetch` takes several times
 * as much of a core. Nothing is tried twice.
 */
import { Agent, request } from 'undici';

export interface Request {
  readonly method: 'GET' | 'PUT' | 'DELETE';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

export interface Answer {
  /** 0: the connection broke, or nothing came in time. */
  readonly status: number;
  readonly body: Buffer;
  header(name: string): string | null;
}

export class Connections {
  readonly #agent: Agent;
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
    this.#agent = new Agent({ connect: { timeout: timeoutMs }, pipelining: 1 });
  }

  async call(url: string, { method, headers = {}, body }: Request): Promise<Answer> {
    try {
      const answer = await request(url, {
        method,
        headers,
        body: body ?? null,
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(this.#timeoutMs),
      });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      const header = (name: string): string | null => {
        const value = answer.headers[name];
        return typeof value === 'string' ? value : null;
      };
      return { status: answer.statusCode, body: bytes, header };
    } catch (error) {
      return { status: 0, body: Buffer.from(String(error)), header: () => null };
    }
  }

  close(): void {
    void this.#agent.destroy();
  }
}
