/**
 * Loaded into a process before all else: names are looked up in the JSON file `HOSTS_FILE` (name to
 * addresses), and by the system where they are not in it. So a test can move a name, or let it lag.
 */

import dns from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

const system = dns.lookup;

function addressesOf(name: string): readonly string[] | undefined {
  const hosts: unknown = JSON.parse(readFileSync(process.env['HOSTS_FILE'] ?? '', 'utf8'));
  return new Map(Object.entries(hosts as Record<string, readonly string[]>)).get(name);
}

const lookup = async (name: string, options: object): Promise<unknown> => {
  const found = addressesOf(name);
  if (found === undefined) return system(name, options);
  return found.map((address) => ({ address, family: 4 }));
};

Object.assign(dns, { lookup });
syncBuiltinESMExports();
