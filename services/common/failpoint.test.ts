import { afterEach, expect, test } from '@jest/globals';
import { utf8 } from './bytes.ts';
import { failpoint, hookFailpoints } from './failpoint.ts';

afterEach(() => hookFailpoints(null));

test('without a hook a failpoint does nothing; with one it says where and about what', () => {
  failpoint('gateway.voted', utf8('before'));
  const seen: string[] = [];
  hookFailpoints((name, about) => seen.push(`${name} ${Buffer.from(about).toString()}`));
  failpoint('gateway.voted', utf8('k'));
  hookFailpoints(null);
  failpoint('gateway.voted', utf8('after'));
  expect(seen).toEqual(['gateway.voted k']);
});
