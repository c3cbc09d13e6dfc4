/**
 * JSON from outside. JSON.parse keeps the last of two equal names and any depth; here both are
 * refused, so that what was checked by one reader cannot mean something else to another.
 */
import { textOf } from '../common/bytes.ts';
import { KvError } from '../common/errors.ts';

export const JSON_DEPTH_MAX = 32;

/** The value of UTF-8 JSON. @throws KvError `INVALID_JSON` on syntax, depth over 32 or equal names. */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string;
  let value: unknown;
  try {
    text = textOf(bytes);
    value = JSON.parse(text);
  } catch (cause) {
    throw new KvError('INVALID_JSON', 'the body is not JSON in UTF-8', { cause });
  }
  checkStructure(text);
  return value;
}

/** Goes once through text that is known to be JSON. */
function checkStructure(text: string): void {
  /** Names so far of each open object; null for an array. */
  const open: (Set<string> | null)[] = [];
  let nameNext = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at);
    switch (character) {
      case '"': {
        const end = endOfString(text, at);
        const names = open.at(-1);
        if (nameNext && names != null) addName(names, text.slice(at, end + 1));
        nameNext = false;
        at = end;
        break;
      }
      case '{':
      case '[':
        nameNext = character === '{';
        open.push(nameNext ? new Set() : null);
        if (open.length > JSON_DEPTH_MAX) {
          throw new KvError('INVALID_JSON', `the body nests deeper than ${JSON_DEPTH_MAX}`);
        }
        break;
      case '}':
      case ']':
        open.pop();
        nameNext = false;
        break;
      case ',':
        nameNext = open.at(-1) instanceof Set;
        break;
      default:
    }
  }
}

function addName(names: Set<string>, quoted: string): void {
  const name: unknown = JSON.parse(quoted);
  if (typeof name !== 'string') return;
  if (names.has(name)) throw new KvError('INVALID_JSON', 'a name stands twice in one object');
  names.add(name);
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
