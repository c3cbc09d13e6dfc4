/**
 * host:port in text, and the addresses behind it right now. Names are looked up by the system's
 * resolver at every attempt and never cached: a pod that moved keeps its name and changes its address.
 */
import { lookup } from 'node:dns/promises';
import { KvError } from '../common/errors.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/;
const PORT_MAX = 65535;
/** Addresses of one name that are looked at. */
const ADDRESSES_MAX = 64;

/** Parts of `host:port` or `[v6]:port`. @throws KvError `INVALID_ARGUMENT` on any other text. */
export function parseHostPort(text: string): HostPort {
  const match = HOST_PORT.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port <= PORT_MAX)) {
    throw new KvError('INVALID_ARGUMENT', `"${text}" is not host:port`);
  }
  return { host, port };
}

export const formatHostPort = ({ host, port }: HostPort): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/**
 * Every ip:port that `address` stands for at this moment, in the resolver's order.
 * @throws KvError `UNAVAILABLE` when the name has none, `INVALID_ARGUMENT` when it is malformed.
 */
export async function resolveAll(address: string): Promise<readonly string[]> {
  const { host, port } = parseHostPort(address);
  try {
    const found = await lookup(host, { all: true });
    return found.slice(0, ADDRESSES_MAX).map((ip) => formatHostPort({ host: ip.address, port }));
  } catch (cause) {
    throw new KvError('UNAVAILABLE', `the name ${host} has no address right now`, { cause });
  }
}
