import { expect, test } from '@jest/globals';
import ts from 'typescript';
import { withoutFailpoints } from './without-failpoints.ts';

const IMPORT = "import { failpoint } from '../common/failpoint.ts';\n";

function built(text: string): string {
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2024, module: ts.ModuleKind.ESNext },
    transformers: { before: [withoutFailpoints] },
  });
  return outputText.replace(/\s+/g, ' ').trim();
}

test('a call and the import go, and what stands around them stays', () => {
  const text = `${IMPORT}export function f(): void { a(); failpoint('volume.staged', key); b(); }`;
  expect(built(text)).toBe('export function f() { a(); b(); }');
});

test('a loop that has nothing else in it goes too', () => {
  const text = `${IMPORT}export function f(): void { for (const { data } of all) failpoint('x', data); }`;
  expect(built(text)).toBe('export function f() { }');
});

test('a branch that has nothing else in it keeps its condition', () => {
  const text = `${IMPORT}export function f(): void { if (g()) failpoint('x'); else h(); }`;
  expect(built(text)).toBe('export function f() { if (g()) ; else h(); }');
});

test.each([
  ["export const f = (): void => failpoint('x');"],
  ['export const f = failpoint;'],
  ["export function f(): void { if (a) { void failpoint('x'); } }"],
])('whatever is more than a statement is refused: %s', (text) => {
  expect(() => built(IMPORT + text)).toThrow('a failpoint is a statement of its own');
});

test('a module without failpoints is left as it is, and one may import their names', () => {
  const text =
    "import type { Failpoint } from '../common/failpoint.ts';\nexport const failpoint: Failpoint = 'x';";
  expect(built(text)).toBe("export const failpoint = 'x';");
});
