/** docs/metrics.md has one row for each metric that a process makes, and none for any other. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { LOG_DAMAGE_KINDS } from '../consensus/damage.ts';
import { METADATA_DAMAGE_KINDS } from '../coordinator/metadata-damage.ts';
import { DAMAGE_KINDS } from '../storage/metrics.ts';

const ROOT = join(import.meta.dirname, '../..');
const page = readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8');
const rows = [...page.matchAll(/^\| `(minikv_[a-z0-9_]+)` \| (counter|gauge|histogram) \|/gm)];

/** Names as they stand in the sources: a literal is the only way in which one is made. */
function namesInSources(): string[] {
  const names = new Set<string>();
  for (const path of ['services', 'operator'].flatMap(filesIn)) {
    if (!path.endsWith('.ts') || path.endsWith('.test.ts') || path.includes('testing/')) continue;
    const text = readFileSync(path, 'utf8');
    for (const [, name = ''] of text.matchAll(/'(minikv_[a-z0-9_]+)'/g)) names.add(name);
  }
  return [...names].toSorted();
}

const filesIn = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((path) =>
    join(ROOT, folder, path),
  );

test('every metric has a row, and no row is left over', () => {
  const documented = rows.map(([, name]) => name ?? '');
  expect(documented.toSorted()).toEqual(namesInSources());
});

test('counters and no others end in _total', () => {
  for (const [, name = '', type] of rows) {
    expect({ name, isCounter: name.endsWith('_total') }).toEqual({
      name,
      isCounter: type === 'counter',
    });
  }
});

test.each([
  ['minikv_raft_log_damage_total', LOG_DAMAGE_KINDS],
  ['minikv_metadata_damage_total', METADATA_DAMAGE_KINDS],
  ['minikv_volume_damage_total', DAMAGE_KINDS],
])('every kind of %s has its row', (name, kinds) => {
  const section = page.split('\n### ').find((text) => text.startsWith(`\`${name}{kind}\``)) ?? '';
  const own = section.split('\n## ')[0] ?? '';
  const documented = [...own.matchAll(/^\| `([a-z_]+)` \|/gm)].map(([, kind]) => kind);
  expect(documented).toEqual([...kinds]);
});
