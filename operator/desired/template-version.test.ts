/** An upgraded operator restarts nothing: the noted version is built until the spec changes anyway. */
import { expect, test } from '@jest/globals';
import { buildPodTemplate } from './pod-template.ts';
import { type ChosenTemplate, chooseTemplate, type TemplateBuilder } from './template-version.ts';
import { specOf, wantedOf } from './testing/sample-cluster.ts';
import type { NotedTemplate } from './wanted.ts';

const newer: TemplateBuilder = (wanted, role) => {
  const template = buildPodTemplate(wanted, role);
  return { ...template, spec: { ...template.spec, dnsPolicy: 'ClusterFirst' } };
};
const old = new Map([[1, buildPodTemplate]]);
const both = new Map([...old, [2, newer]]);

function choose(
  builders: ReadonlyMap<number, TemplateBuilder>,
  noted: NotedTemplate | null,
  image = 'minikv:0.1.0',
): Extract<ChosenTemplate, { kind: 'template' }> {
  const wanted = wantedOf(specOf({ image }), { noted: { coordinator: noted, volume: null } });
  const chosen = chooseTemplate(wanted, 'coordinator', builders);
  if (chosen.kind === 'rejected') throw new Error('rejected');
  return chosen;
}

test('nothing noted: the newest', () => {
  expect(choose(both, null).noted.version).toBe(2);
});

test('the noted version stays while the spec does', () => {
  const { noted } = choose(old, null);
  const after = choose(both, noted);
  expect(after.noted).toEqual(noted);
  expect(after.template.spec).not.toHaveProperty('dnsPolicy');
});

test('a changed spec takes the newest version with it', () => {
  const { noted } = choose(old, null);
  const after = choose(both, noted, 'minikv:0.2.0');
  expect(after.noted.version).toBe(2);
  expect(after.template.spec).toHaveProperty('dnsPolicy');
});

test('a version that is no longer built gives way to the newest', () => {
  const { noted } = choose(both, null);
  expect(choose(old, noted).noted.version).toBe(1);
});
