import { readFileSync } from 'node:fs';
import { afterEach, expect, test } from '@jest/globals';
import { utf8 } from './bytes.ts';
import { failpoint, hookFailpoints, STORE_FAILPOINTS } from './failpoint.ts';

afterEach(() => hookFailpoints(null));

test('without a hook a failpoint does nothing; with one it says where and about what', () => {
  failpoint('gateway.voted', utf8('before'));
  const seen: string[] = [];
  hookFailpoints((name, about) => seen.push(`${name} ${Buffer.from(about).toString()}`));
  failpoint('gateway.voted', utf8('k'));
  failpoint('log.cut');
  hookFailpoints(null);
  failpoint('gateway.voted', utf8('after'));
  expect(seen).toEqual(['gateway.voted k', 'log.cut ']);
});

test('docs/testing.md lists each failpoint of the store with what is so when it is met', () => {
  const page = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `([a-z]+\.[a-z-]+)` \| (.+) \|$/gm)];
  expect(rows.map(([, name, text]) => [name, text])).toEqual(Object.entries(STORE_FAILPOINTS));
  expect(page).toContain(`${rows.length} named steps of the store`);
});
