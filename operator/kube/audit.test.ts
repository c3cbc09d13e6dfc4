/** A list is compared with a store that goes on changing: only what is not newer than the list counts. */
import { beforeEach, expect, test } from '@jest/globals';
import { Audit } from './audit.ts';
import { ObjectStore } from './object-store.ts';
import type { KubeObject } from './types.ts';

const object = (name: string, uid: string, version: number): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'ns', uid, resourceVersion: String(version) },
});
let store: ObjectStore;
let audit: Audit;
beforeEach(() => {
  store = new ObjectStore();
  audit = new Audit();
  audit.start();
});

test('it is due once the watch has come to the version of the list, and not without a list', () => {
  expect(audit.isDue('99')).toBe(false);
  audit.listed([], '50');
  expect(audit.isDue('49')).toBe(false);
  expect(audit.isDue('50')).toBe(true);
});

test('what was deleted or made after the list is no drift', () => {
  audit.listed([object('gone', 'g', 10)], '50');
  audit.deleted(object('gone', 'g', 51));
  store.put(object('new', 'n', 52));
  expect(audit.drift(store)).toEqual([]);
});

test('what was listed and made anew since is no drift', () => {
  audit.listed([object('a', 'old', 10)], '50');
  audit.deleted(object('a', 'old', 51));
  store.put(object('a', 'new', 52));
  expect(audit.drift(store)).toEqual([]);
});

test('too old, absent, another uid and too many are drift; newer is not', () => {
  audit.listed(
    [
      object('old', 'o', 10),
      object('absent', 'a', 10),
      object('other', 'x', 10),
      object('newer', 'n', 10),
    ],
    '50',
  );
  store.put(object('old', 'o', 9));
  store.put(object('other', 'y', 60));
  store.put(object('newer', 'n', 60));
  store.put(object('ghost', 'h', 50));
  expect(audit.drift(store)).toEqual(['old', 'absent', 'other', 'ghost']);
});
