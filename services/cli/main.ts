#!/usr/bin/env node
/** The `minikv` program. */
import { HOUR_MS } from '../common/units.ts';
import { ClosedOutput } from './closed-output.ts';
import { runLocalCluster, thisMachine } from './local-cluster.ts';
import { runProgram } from './program.ts';

// Waiting for a retry keeps no handle open, and the process must not end meanwhile.
const awake = setInterval(() => undefined, HOUR_MS);

const output = new ClosedOutput(process, (code) => process.exit(code));

process.exitCode = await runProgram(
  process.argv.slice(2),
  {
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    interactive: process.stderr.isTTY,
    env: process.env,
  },
  (request, terminal) => {
    output.goOnWithout();
    return runLocalCluster(request, terminal, thisMachine());
  },
);
clearInterval(awake);
