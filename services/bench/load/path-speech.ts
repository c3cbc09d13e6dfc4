/** Stores that have a path for each key, and its bytes behind it: minikv, and SeaweedFS in both ways. */
import type { Answer, Target } from './connection.ts';
import type { Dialect, Request, Speech, SpeechOptions } from './dialect.ts';
import { firstName, stamp, stampBytesOf, writeKey } from './values.ts';

type Paths = Extract<Dialect, { kind: 'paths' }>;

const NOT_FOUND = 404;
/** Bodies of refusals. */
const REFUSAL_BYTES_MAX = 16 * 1024;

export class PathSpeech implements Speech {
  readonly #dialect: Paths;
  readonly #options: SpeechOptions;
  readonly #prefixes: readonly Buffer[];
  readonly #stamped: Buffer;

  constructor(dialect: Paths, options: SpeechOptions) {
    this.#dialect = dialect;
    this.#options = options;
    this.#prefixes = dialect.prefixes.map((prefix) => Buffer.from(prefix, 'latin1'));
    this.#stamped = Buffer.alloc(stampBytesOf(options.sizeBytes));
  }

  get answerBytesMax(): number {
    return this.#options.sizeBytes + REFUSAL_BYTES_MAX;
  }

  putsTo(target: Target): Request {
    const { sizeBytes, bodies } = this.#options;
    const fields = `Content-Type: application/octet-stream\r\nContent-Length: ${sizeBytes}\r\n`;
    const head = this.#head('PUT', target, { query: this.#dialect.putQuery ?? '', fields });
    const bytes = Buffer.concat([head, Buffer.alloc(sizeBytes)]);
    return (key) => {
      this.#writePath(bytes, 'PUT', key);
      bodies[key % bodies.length]?.copy(bytes, head.length);
      stamp(bytes, head.length, key);
      return bytes;
    };
  }

  getsFrom(target: Target): Request {
    const bytes = this.#head('GET', target, { query: this.#dialect.getQuery ?? '', fields: '' });
    return (key) => {
      this.#writePath(bytes, 'GET', key);
      return bytes;
    };
  }

  isValue(key: number, { bytes, start, end }: Answer): boolean {
    const { bodies, sizeBytes } = this.#options;
    const body = bodies[key % bodies.length];
    if (body === undefined || end - start !== sizeBytes) return false;
    const stamped = this.#stamped.length;
    stamp(this.#stamped, 0, key);
    return (
      bytes.compare(this.#stamped, 0, stamped, start, start + stamped) === 0 &&
      bytes.compare(body, stamped, sizeBytes, start + stamped, end) === 0
    );
  }

  isAbsent({ status }: Answer): boolean {
    return status === NOT_FOUND;
  }

  #head(
    method: string,
    { host, port }: Target,
    { query, fields }: { readonly query: string; readonly fields: string },
  ): Buffer {
    const { prefixes, suffix } = this.#dialect;
    const path = `${prefixes[0] ?? ''}${firstName(this.#options.space)}${suffix}${query}`;
    const rest = ` HTTP/1.1\r\nHost: ${host}:${port}\r\n${fields}\r\n`;
    return Buffer.from(`${method} ${path}${rest}`, 'latin1');
  }

  #writePath(bytes: Buffer, method: string, key: number): void {
    const at = method.length + 1;
    const prefix = this.#prefixes[key % this.#prefixes.length];
    if (prefix === undefined) throw new RangeError('a dialect needs a prefix');
    prefix.copy(bytes, at);
    writeKey(bytes, at + prefix.length, key);
  }
}
