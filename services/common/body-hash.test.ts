import { describe, expect, test } from '@jest/globals';
import { BODY_HASH_BYTES, type BodyHashName, bodyHash } from './body-hash.ts';
import { utf8 } from './bytes.ts';

const OF_ABC: Record<BodyHashName, string> = {
  md5: 'kAFQmDzST7DWlj99KOF/cg==',
  'sha-256': 'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
  'sha-512':
    '3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==',
};

describe('the hash of a body', () => {
  test.each(Object.entries(OF_ABC))(
    '%s of abc, in two pieces, is the published one',
    (name, b64) => {
      const hash = bodyHash(name as BodyHashName);
      hash.update(utf8('a'));
      hash.update(utf8('bc'));
      const text = hash.finish();
      expect(text).toBe(b64);
      expect(Buffer.from(text, 'base64')).toHaveLength(BODY_HASH_BYTES[name as BodyHashName]);
    },
  );
});
