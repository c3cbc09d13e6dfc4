/** The peers of one life: started on fresh folders, asked until they answer, ended with their data. */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { asError } from '../../common/errors.ts';
import { MINUTE_MS, SECOND_MS } from '../../common/units.ts';
import type { Door, Installed, Peer, PeerName, Site } from './peer.ts';
import { Processes } from './processes.ts';
import { isStored, putOnce, putRequest } from './single.ts';

/** A peer that could be installed. */
export interface Member {
  readonly peer: Peer;
  readonly installed: Installed;
}

/** A peer whose processes run and answer. */
export interface Running extends Member {
  readonly site: Site;
  readonly processes: Processes;
  readonly doors: readonly Door[];
}

export interface Stage {
  readonly folder: string;
  readonly basePort: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  /** What must be ended even when nothing else is done any more. */
  readonly started: Set<Processes>;
  /** Told of each life of a peer that begins. */
  readonly joined: (running: Running) => void;
  /** Told of a peer that takes no part, and why. */
  readonly leftOut: (name: PeerName, why: string) => void;
}

const READY_MS = 2 * MINUTE_MS;
const READY_POLL_MS = 250;
/** Ports that one peer may use from its first one on. */
const PORTS_PER_PEER = 1100;
/** Of no space: its digits are not decimal. */
const PROBE = '0000ffffffffff01';

/** Runs `work` with all members that start; the others are named and left out. */
export async function withCast<T>(
  members: readonly Member[],
  stage: Stage,
  work: (cast: readonly Running[]) => Promise<T>,
): Promise<T> {
  const cast: Running[] = [];
  try {
    for (const [i, member] of members.entries()) {
      stage.signal.throwIfAborted();
      const basePort = stage.basePort + i * PORTS_PER_PEER;
      const site = { basePort, folder: join(stage.folder, member.peer.name) };
      try {
        const running = await start(member, site, stage);
        cast.push(running);
        stage.joined(running);
      } catch (error) {
        stage.signal.throwIfAborted();
        stage.leftOut(member.peer.name, `it does not start: ${asError(error).message}`);
      }
    }
    return await work(cast);
  } finally {
    await Promise.all(cast.map((running) => end(running.processes, running.site, stage)));
  }
}

async function start(member: Member, site: Site, stage: Stage): Promise<Running> {
  const { installed, peer } = member;
  await rm(site.folder, { recursive: true, force: true });
  await mkdir(site.folder, { recursive: true });
  const processes = new Processes(installed.processes(site), site.folder);
  stage.started.add(processes);
  stage.say(`starting ${peer.name} ...`);
  try {
    await processes.startAll();
    const doors = await readyDoors({ installed, site, processes }, stage.signal);
    return { ...member, site, processes, doors };
  } catch (error) {
    await end(processes, site, stage);
    throw error;
  }
}

async function end(processes: Processes, { folder }: Site, { started }: Stage): Promise<void> {
  await processes.end();
  started.delete(processes);
  await rm(folder, { recursive: true, force: true });
}

/** The doors, once a write through each of their targets is acknowledged and can be read. */
async function readyDoors(
  { installed, site, processes }: Pick<Running, 'installed' | 'site' | 'processes'>,
  signal: AbortSignal,
): Promise<readonly Door[]> {
  const endMs = performance.now() + READY_MS;
  let why = 'it says nothing';
  while (performance.now() < endMs) {
    signal.throwIfAborted();
    const death = await processes.death();
    if (death !== null) throw new Error(death);
    try {
      const doors = await installed.open(site);
      const silent = await firstSilent(doors, signal);
      if (silent === null) return doors;
      why = silent;
    } catch (error) {
      why = asError(error).message;
    }
    await pause(READY_POLL_MS);
  }
  throw new Error(`not ready within ${READY_MS / SECOND_MS} s: ${why}`);
}

async function firstSilent(doors: readonly Door[], signal: AbortSignal): Promise<string | null> {
  const value = Buffer.from('ready');
  for (const door of doors) {
    for (const target of door.targets) {
      const request = putRequest(door, target, { name: PROBE, value });
      const answers =
        (await putOnce(request, signal)) &&
        (await isStored(door, target, { name: PROBE, value, signal }));
      if (!answers) return `${door.name} at port ${target.port} takes no write yet`;
    }
  }
  return null;
}
