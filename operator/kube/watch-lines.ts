/**
 * A watch's bytes as events: one JSON object a line. A stream that ends within a line, or a line that is
 * no event, is an error and never silence: an event may have been lost with it.
 */
import { fieldOf, textOf } from './json.ts';
import { KubeError, statusError, TORN_LINE } from './kube-error.ts';
import { readObject } from './object.ts';
import type { Kind, WatchEvent } from './types.ts';

/** An object is below 1.5 MiB in etcd; a line of this length is not one. */
const LINE_CHARS_MAX = 8 * 1024 * 1024;

/** @throws KubeError what the server reports as an event; `TornLine` for anything unreadable. */
export async function* readEvents(
  kind: Kind,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<WatchEvent> {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  const decode = (bytes: Uint8Array): string => {
    try {
      return utf8.decode(bytes, { stream: true });
    } catch (cause) {
      throw torn('a watch line is not UTF-8', cause);
    }
  };
  let pieces: string[] = [];
  let chars = 0;
  for await (const bytes of body) {
    const lines = decode(bytes).split('\n');
    for (const [i, line] of lines.entries()) {
      pieces.push(line);
      chars += line.length;
      if (chars > LINE_CHARS_MAX) throw torn('a watch line is too long');
      if (i === lines.length - 1) break;
      const whole = pieces.join('');
      pieces = [];
      chars = 0;
      if (whole.trim() !== '') yield readEvent(kind, whole);
    }
  }
  if (chars > 0) throw torn('the stream ended within a line');
}

function readEvent(kind: Kind, line: string): WatchEvent {
  const event = parseLine(line);
  const object = fieldOf(event, 'object');
  const type = textOf(fieldOf(event, 'type'));
  switch (type) {
    case 'ADDED':
      return { kind: 'added', object: readObject(kind, object) };
    case 'MODIFIED':
      return { kind: 'modified', object: readObject(kind, object) };
    case 'DELETED':
      return { kind: 'deleted', object: readObject(kind, object) };
    case 'BOOKMARK': {
      const resourceVersion = textOf(fieldOf(object, 'metadata', 'resourceVersion'));
      if (resourceVersion === '') throw torn('a bookmark without a resourceVersion');
      return { kind: 'bookmark', resourceVersion };
    }
    case 'ERROR':
      throw statusError(500, object);
    default:
      throw torn(`a watch event of unknown type ${JSON.stringify(type)}`);
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw torn('a watch line is not JSON', cause);
  }
}

const torn = (message: string, cause?: unknown): KubeError =>
  new KubeError({ code: 0, reason: TORN_LINE, message, cause });
