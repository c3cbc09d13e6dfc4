/**
 * etcd's JSON gateway. Bodies are put into base64 once; of a request only the key and the first six
 * bytes of the value, which are eight characters of base64, are encoded anew.
 */
import type { Answer, Target } from './connection.ts';
import type { Dialect, Request, Speech, SpeechOptions } from './dialect.ts';
import { firstName, stamp, stampBytesOf, writeKey } from './values.ts';

const VALUE = '"value":"';
const QUOTE = '"'.charCodeAt(0);
/** What stands around the value in an answer, and the heads of chunks. */
const AROUND_BYTES_MAX = 64 * 1024;

export class EtcdSpeech implements Speech {
  readonly #prefix: string;
  readonly #options: SpeechOptions;
  readonly #bodies: readonly Buffer[];
  readonly #stamped: Buffer;

  constructor({ prefix }: Extract<Dialect, { kind: 'etcd' }>, options: SpeechOptions) {
    this.#prefix = prefix;
    this.#options = options;
    this.#bodies = options.bodies.map((body) => Buffer.from(body.toString('base64'), 'latin1'));
    this.#stamped = Buffer.alloc(stampBytesOf(options.sizeBytes));
  }

  get answerBytesMax(): number {
    return base64Length(this.#options.sizeBytes) * 2 + AROUND_BYTES_MAX;
  }

  putsTo(target: Target): Request {
    const valueLength = base64Length(this.#options.sizeBytes);
    const name = this.#name();
    const keyLength = base64Length(name.length);
    const before = '{"key":"';
    const between = `","${VALUE.slice(1)}`;
    const length = before.length + keyLength + between.length + valueLength + 2;
    const head = headOf('put', target, length);
    const keyAt = head.length + before.length;
    const valueAt = keyAt + keyLength + between.length;
    const bytes = Buffer.from(
      `${head}${before}${' '.repeat(keyLength)}${between}${' '.repeat(valueLength)}"}`,
      'latin1',
    );
    return (key) => {
      this.#writeKey(bytes, keyAt, { name, key });
      this.#bodies[key % this.#bodies.length]?.copy(bytes, valueAt);
      bytes.write(this.#stampOf(key), valueAt, 'latin1');
      return bytes;
    };
  }

  getsFrom(target: Target): Request {
    const name = this.#name();
    const keyLength = base64Length(name.length);
    const before = '{"key":"';
    const head = headOf('range', target, before.length + keyLength + 2);
    const bytes = Buffer.from(`${head}${before}${' '.repeat(keyLength)}"}`, 'latin1');
    const keyAt = head.length + before.length;
    return (key) => {
      this.#writeKey(bytes, keyAt, { name, key });
      return bytes;
    };
  }

  isValue(key: number, { bytes, start, end }: Answer): boolean {
    const at = bytes.subarray(start, end).indexOf(VALUE);
    const body = this.#bodies[key % this.#bodies.length];
    if (at < 0 || body === undefined) return false;
    const valueAt = start + at + VALUE.length;
    const valueEnd = valueAt + body.length;
    const stamped = this.#stampOf(key);
    const bodyAt = valueAt + stamped.length;
    return (
      valueEnd < end &&
      bytes[valueEnd] === QUOTE &&
      bytes.toString('latin1', valueAt, bodyAt) === stamped &&
      bytes.compare(body, stamped.length, body.length, bodyAt, valueEnd) === 0
    );
  }

  isAbsent({ status, bytes, start, end }: Answer): boolean {
    const body = bytes.toString('latin1', start, Math.min(end, start + AROUND_BYTES_MAX));
    return status === 200 && body.startsWith('{"header":{') && !body.includes('"kvs"');
  }

  #name(): Buffer {
    return Buffer.from(this.#prefix + firstName(this.#options.space), 'latin1');
  }

  #writeKey(
    bytes: Buffer,
    at: number,
    { name, key }: { readonly name: Buffer; readonly key: number },
  ): void {
    writeKey(name, this.#prefix.length, key);
    bytes.write(name.toString('base64'), at, 'latin1');
  }

  /**
   * The first characters of the key's value: six bytes are eight characters exactly, and of a shorter
   * value it is the whole.
   */
  #stampOf(key: number): string {
    stamp(this.#stamped, 0, key);
    return this.#stamped.toString('base64');
  }
}

const base64Length = (bytes: number): number => Math.ceil(bytes / 3) * 4;

const headOf = (call: 'put' | 'range', { host, port }: Target, length: number): string =>
  `POST /v3/kv/${call} HTTP/1.1\r\nHost: ${host}:${port}\r\n` +
  `Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;
