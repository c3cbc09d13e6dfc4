/** The services of the cluster: CoreDNS and a provisioner of volumes, from manifests/*.yaml. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGES } from './images.ts';
import { DNS_ADDRESS, DOMAIN, LOCAL_VOLUMES, SHARED_VOLUMES } from './settings.ts';

const FOLDER = join(import.meta.dirname, 'manifests');
const VALUES: Readonly<Record<string, string>> = {
  'image.coredns': IMAGES.coredns,
  'image.provisioner': IMAGES.provisioner,
  'image.shell': IMAGES.shell,
  dnsAddress: DNS_ADDRESS,
  domain: DOMAIN,
  localVolumes: LOCAL_VOLUMES,
  sharedVolumes: SHARED_VOLUMES,
};

/** All of them as one text for kubectl, with the names and addresses of this cluster filled in. */
export function serviceManifests(): string {
  const texts = readdirSync(FOLDER).map((name) => readFileSync(join(FOLDER, name), 'utf8'));
  return texts.join('\n---\n').replaceAll(/\{\{([^}]+)\}\}/g, (_, name: string) => {
    const value = VALUES[name];
    if (value === undefined) throw new Error(`no value for ${name} in the manifests`);
    return value;
  });
}
