#!/usr/bin/env node
// Runs a command of this project under the Node that it asks for, installing what is missing first.
// Plain JavaScript for any Node from 20 on: it is what `npm start` and `npm test` call right after a
// clone. Usage: launch.mjs FILE [ARG ...], FILE relative to the project.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const node = join(root, 'node_modules', 'node', 'bin', 'node');

if (!existsSync(node)) {
  console.error('minikv: installing dependencies (once, about a minute) ...');
  // Not `npm ci`: it refuses a lockfile that lacks other platforms' optional packages, which some
  // registries do not serve. The locked versions are installed all the same.
  const options = ['--no-save', '--no-audit', '--no-fund', '--loglevel=error'];
  const install = spawnSync('npm', ['install', ...options], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  });
  if (install.status !== 0 || !existsSync(node)) {
    console.error('minikv: npm install failed; run it by hand to see why.');
    process.exit(1);
  }
}

const [file, ...args] = process.argv.slice(2);
// What Node has once compiled serves every process that is started here: each begins in less than half the time.
const compiled = process.env.NODE_COMPILE_CACHE ?? join(root, 'node_modules', '.cache', 'compiled');
const child = spawn(
  node,
  ['--disable-warning=ExperimentalWarning', '--experimental-vm-modules', join(root, file), ...args],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: compiled,
      PATH: `${dirname(node)}:${process.env.PATH}`,
    },
  },
);
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal === null ? (code ?? 1) : 1));
