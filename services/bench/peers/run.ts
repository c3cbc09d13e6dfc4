/**
 * `npm run bench:peers`: minikv against the stores that its users would pick instead, in one run on one
 * machine, under one load generator. Exit code 1 where minikv gave a wrong or a refused answer.
 */
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { asError } from '../../common/errors.ts';
import { SECOND_MS } from '../../common/units.ts';
import { machineLine, thisHost } from '../report.ts';
import type { Member, Running, Stage } from './cast.ts';
import { writeDocument } from './document.ts';
import { etcd } from './etcd.ts';
import { minikv } from './minikv.ts';
import { minikvRust } from './minikv-rust.ts';
import { measureFailOver, measureRestart } from './outages.ts';
import { type DoorName, PEER_NAMES, type Peer, type PeerName } from './peer.ts';
import type { Processes } from './processes.ts';
import { runRace } from './race.ts';
import { type Entry, errorCount, type Figures } from './results.ts';
import { QUICK_ROWS, ROWS, type Row, rowsNamed } from './rows.ts';
import { seaweedfs } from './seaweedfs.ts';
import { type LeftOut, type Report, terminalTable } from './table.ts';
import { verdictsOf } from './verdicts.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PEERS: Readonly<Record<PeerName, Peer>> = {
  minikv,
  etcd,
  seaweedfs,
  'minikv-rust': minikvRust,
};
const PARTS = ['load', 'fail-over', 'restart'] as const;
type Part = (typeof PARTS)[number];

interface Flags {
  readonly quick?: true;
  readonly peers: readonly PeerName[];
  readonly rows?: readonly Row[];
  readonly only?: Part;
  readonly rounds?: number;
  readonly seconds?: number;
  readonly warmUp?: number;
  readonly failOvers?: number;
  readonly keys?: number;
  readonly basePort: number;
  readonly dir?: string;
  readonly cache: string;
  readonly output: 'text' | 'json';
  readonly write?: true;
}

/** What is left open by the flags. */
const FULL = { rounds: 3, seconds: 3, warmUp: 10, failOvers: 5, keys: 100_000, restarts: 3 };
const QUICK = { rounds: 1, seconds: 1, warmUp: 3, failOvers: 1, keys: 5000, restarts: 1 };
const QUICK_KEYS = 500;
/** Turns of a group of rows; more of them would only make a busy machine busier. */
const RETAKES = 20;

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => stopping.abort(new Error('stopped')));
}
const started = new Set<Processes>();
process.on('exit', () => {
  for (const processes of started) processes.killAll();
});

const beganMs = performance.now();

/** Progress, with the minutes and seconds since the start. */
function say(line: string): void {
  const seconds = Math.floor((performance.now() - beganMs) / SECOND_MS);
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  process.stderr.write(`${clock.padStart(6)}  ${line}\n`);
}

async function bench(flags: Flags): Promise<void> {
  const folder = await mkdtemp(join(flags.dir ?? tmpdir(), 'minikv-peers-'));
  try {
    const report = await measureAll(flags, folder);
    const json = flags.output === 'json';
    process.stdout.write(`${json ? JSON.stringify(report) : terminalTable(report)}\n`);
    if (flags.write === true) {
      await writeDocument(report, join(ROOT, 'docs'));
      say('written: docs/benchmarks.md, docs/benchmarks/peers.json and peers.svg');
    }
    const ours = report.figures.rows.filter(({ door }) => door === 'minikv');
    if (ours.some((row) => errorCount(row) > 0)) process.exitCode = 1;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measureAll(flags: Flags, folder: string): Promise<Report> {
  const settings = { ...(flags.quick === true ? QUICK : FULL), ...flags };
  const leftOut: LeftOut[] = [];
  const note = (peer: PeerName, reason: string): void => {
    const why = shortened(reason);
    say(`${peer} is left out: ${why}`);
    if (!leftOut.some((each) => each.peer === peer)) leftOut.push({ peer, why });
  };
  const { signal } = stopping;
  const entries = new Map<DoorName, Entry>();
  const joined = ({ peer, installed: { version }, doors }: Running): void => {
    for (const { name, durability } of doors) {
      entries.set(name, { door: name, peer: peer.name, version, durability });
    }
  };
  const { basePort } = flags;
  const stage: Stage = { folder, basePort, signal, say, started, joined, leftOut: note };
  const members: Member[] = [];
  for (const name of flags.peers) {
    signal.throwIfAborted();
    const peer = PEERS[name];
    try {
      const installed = await peer.install({ cache: flags.cache, signal, say });
      members.push({ peer, installed });
    } catch (error) {
      signal.throwIfAborted();
      note(name, `it cannot be installed: ${asError(error).message}`);
    }
  }
  if (members.length === 0) throw new Error('no peer can be installed');
  const wants = (part: Part): boolean => flags.only === undefined || flags.only === part;
  const isQuick = flags.quick === true;
  const rows = (flags.rows ?? (isQuick ? rowsNamed(QUICK_ROWS) : ROWS)).map((row) =>
    isQuick ? { ...row, keys: Math.min(row.keys, QUICK_KEYS) } : row,
  );
  const { rounds, seconds } = settings;
  const race = wants('load')
    ? await runRace(
        members,
        { rows, rounds, seconds, warmUpSeconds: settings.warmUp, retakes: isQuick ? 0 : RETAKES },
        stage,
      )
    : { rows: [], gaps: [], diskBytesPerSecond: null };
  if (wants('fail-over')) say('fail-over ...');
  const failOver = wants('fail-over')
    ? await measureFailOver(members, settings.failOvers, stage)
    : [];
  if (wants('restart')) say('restart ...');
  const restart = wants('restart')
    ? await measureRestart(members, { times: settings.restarts, keys: settings.keys }, stage)
    : [];
  const disk = race.diskBytesPerSecond;
  const figures: Figures = {
    rows: race.rows,
    gaps: race.gaps,
    disk: disk === null ? null : { bytesPerSecond: disk },
    failOver,
    restart,
    restartKeys: settings.keys,
  };
  return {
    machine: machineLine(thisHost()),
    commit: commitOf(),
    command: `npm run bench:peers -- ${process.argv.slice(2).join(' ')}`.replace(/ --$| -- $/, ''),
    settings: `${rounds} counted round${rounds === 1 ? '' : 's'} of ${seconds} s each, medians`,
    entries: [...entries.values()],
    leftOut,
    figures,
    verdicts: verdictsOf(figures),
  };
}

const REASON_HEAD = 150;
const REASON_TAIL = 350;

/** A compiler says much, and the cause at the end. */
const shortened = (text: string): string =>
  text.length <= REASON_HEAD + REASON_TAIL
    ? text
    : `${text.slice(0, REASON_HEAD)} ... ${text.slice(-REASON_TAIL)}`;

/** Of the tree that is measured; `+` where it has changes. */
function commitOf(): string {
  const git = (args: readonly string[]): string =>
    execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: 'pipe' }).trim();
  try {
    const isDirty = git(['status', '--porcelain', '--untracked-files=no']) !== '';
    return `at commit ${git(['rev-parse', '--short=10', 'HEAD'])}${isDirty ? '+' : ''}`;
  } catch {
    return 'of an unknown commit';
  }
}

const listOf = (text: string): readonly string[] =>
  text.split(',').flatMap((word) => (word.trim() === '' ? [] : [word.trim()]));

const readCount =
  (min: number, max: number) =>
  (text: string): number => {
    const value = Number(text);
    if (/^\d{1,10}$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`it must be a whole number from ${min} to ${max}`);
  };

const readOneOf =
  <T extends string>(words: readonly T[]) =>
  (text: string): T => {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    throw new InvalidArgumentError(`it must be one of ${words.join(', ')}`);
  };

/** In the order of the table, whatever order they are asked for in. */
function readPeers(text: string): readonly PeerName[] {
  const wanted = listOf(text).map(readOneOf(PEER_NAMES));
  return PEER_NAMES.filter((name) => wanted.includes(name));
}

function readRows(text: string): readonly Row[] {
  try {
    return rowsNamed(listOf(text));
  } catch (error) {
    throw new InvalidArgumentError(asError(error).message);
  }
}

const EXAMPLES = `
Examples:
  npm run bench:peers -- --quick                         some rows in a few minutes
  npm run bench:peers -- --peers minikv,etcd --rows put  only PUTs, against etcd alone
  npm run bench:peers -- --only restart --keys 1000000
  npm run bench:peers -- --write                         all, into docs/benchmarks.md

Rows (--rows takes whole words of a beginning: put, put-1k, get-1m-16):
${ROWS.map(({ id, title }) => `  ${id.padEnd(14)} ${title}`).join('\n')}
`;

const program = new Command('npm run bench:peers --')
  .description(
    'Races minikv against etcd, SeaweedFS and minikv 2.0.1 (Rust) on this machine, three copies each.\n' +
      'Peers are built once, by Go and cargo; one that cannot be had is named and left out.',
  )
  .option('--quick', 'few rows, one short round: to see that it works, not for figures')
  .option('--peers <names>', `of ${PEER_NAMES.join(', ')}`, readPeers, PEER_NAMES)
  .option('--rows <ids>', 'which rows, separated by commas', readRows)
  .option('--only <part>', `one of ${PARTS.join(', ')}`, readOneOf(PARTS))
  .option('--rounds <n>', 'counted; one more is dropped (3)', readCount(1, 100))
  .option('--seconds <n>', 'counted of each row and store in a round (3)', readCount(1, 600))
  .option('--warm-up <n>', 'seconds of load before each group of rows (10)', readCount(0, 600))
  .option('--fail-overs <n>', 'leaders killed of each store (5)', readCount(1, 100))
  .option('--keys <n>', 'stored before the restarts (100000)', readCount(1, 100_000_000))
  .option('--base-port <port>', 'first of some 4,400 ports', readCount(1024, 60_000), 20_000)
  .option('--dir <dir>', 'where the temporary folder with all data is made')
  .option('--cache <dir>', 'where built peers are kept', cacheFolder())
  .option('--output <form>', 'text or json', readOneOf(['text', 'json'] as const), 'text')
  .option('--write', 'put tables, plot and JSON into docs/')
  .addHelpText('after', EXAMPLES)
  .action(bench);

function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'minikv-peers');
}

try {
  await program.parseAsync();
} catch (error) {
  const why = stopping.signal.aborted ? 'stopped' : asError(error).message;
  process.stderr.write(`bench:peers: ${why}\n`);
  process.exitCode = 1;
}
process.exit();
