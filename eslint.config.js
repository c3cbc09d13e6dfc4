import tseslint from 'typescript-eslint';

/** House rules as lint: each entry of docs/architecture.md "Rules" that a tool can judge. */
const bannedSyntax = [
  { selector: 'ExportDefaultDeclaration', message: 'Name what you export.' },
  { selector: 'TSEnumDeclaration', message: 'Use a union of string literals.' },
  {
    selector: 'ExportAllDeclaration',
    message: 'No barrels: import from the file that owns the name.',
  },
  { selector: 'TSParameterProperty', message: 'Assign in the constructor body.' },
];
const bannedInPureRooms = [
  { selector: 'AwaitExpression', message: 'Pure rooms do not wait.' },
  { selector: 'FunctionDeclaration[async=true]', message: 'Pure rooms do not wait.' },
  { selector: 'ArrowFunctionExpression[async=true]', message: 'Pure rooms do not wait.' },
];
const clockGlobals = [
  { object: 'Date', property: 'now', message: 'Pass a Clock in.' },
  { object: 'Math', property: 'random', message: 'Pass a Random in.' },
  { object: 'performance', property: 'now', message: 'Pass a Clock in.' },
];
const timers = ['setTimeout', 'setInterval', 'setImmediate'];
const tests = [
  '**/*.test.ts',
  'services/testing/**',
  'operator/*/testing/**',
  'services/sim/**',
  'services/bench/**',
  'e2e/**',
];

export default tseslint.config(
  { ignores: ['**/generated/**', 'dist/**', 'node_modules/**', '**/*.js', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'max-lines': ['error', { max: 350, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 4],
      complexity: ['error', 12],
      'no-restricted-syntax': ['error', ...bannedSyntax],
      'no-restricted-properties': ['error', ...clockGlobals],
      'no-restricted-globals': [
        'error',
        ...timers.map((name) => ({ name, message: 'Pass a Clock in.' })),
      ],
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/consistent-type-assertions': ['error', { assertionStyle: 'never' }],
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      // Blind to state that changes during an await (`if (this.#stopped)` twice in one function).
      '@typescript-eslint/no-unnecessary-condition': 'off',
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_' },
      ],
      '@typescript-eslint/unified-signatures': 'off',
      '@typescript-eslint/no-invalid-void-type': 'off',
    },
  },
  {
    files: [
      'services/common/**',
      'services/rpc/**',
      '**/*codec.ts',
      '**/*.test.ts',
      'services/testing/**',
      'operator/*/testing/**',
      'e2e/**',
      'services/bench/**',
      'image/**',
    ],
    rules: { '@typescript-eslint/consistent-type-assertions': 'off' },
  },
  {
    files: [
      'services/raft/**',
      'services/placement/**',
      'services/two-phase-commit/**',
      'services/metadata/**',
      'operator/desired/**',
      'operator/plan/**',
    ],
    ignores: tests,
    rules: {
      'no-restricted-syntax': ['error', ...bannedSyntax, ...bannedInPureRooms],
      'no-restricted-globals': [
        'error',
        ...[...timers, 'Date', 'process', 'Buffer', 'performance', 'queueMicrotask', 'fetch'].map(
          (name) => ({
            name,
            message: 'Pure rooms have no clock, no disk and no process.',
          }),
        ),
      ],
    },
  },
  {
    files: ['services/common/clock.ts', 'services/cli/**'],
    rules: { 'no-restricted-properties': 'off', 'no-restricted-globals': 'off' },
  },
  {
    files: tests,
    rules: {
      'max-lines-per-function': 'off',
      complexity: 'off',
      'max-lines': ['error', { max: 700, skipBlankLines: true, skipComments: true }],
      'no-restricted-properties': 'off',
      'no-restricted-globals': 'off',
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/use-unknown-in-catch-callback-variable': 'off',
      '@typescript-eslint/no-empty-function': 'off',
    },
  },
);
