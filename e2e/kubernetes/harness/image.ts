/** The image under test, which every node of the cluster has already. */
import { imageManifest } from '../../../image/files.ts';
import { FAILPOINTS, NEXT } from '../cluster/settings.ts';

const { version, bin } = imageManifest();

/** `minikv:VERSION` of this tree, or what MINIKV_IMAGE names on a cluster of one's own. */
export const MINIKV_IMAGE = process.env['MINIKV_IMAGE'] ?? `minikv:${version}`;
/** Another name of the same image, to roll to; undefined where only MINIKV_IMAGE is known. */
export const NEXT_IMAGE =
  process.env['MINIKV_IMAGE'] === undefined ? `${MINIKV_IMAGE}${NEXT}` : undefined;
/** The same programs with their failpoints. */
export const FAILPOINTS_IMAGE = `${MINIKV_IMAGE}${FAILPOINTS}`;
export const MINIKV_VERSION = version;
/** The names that the image's programs have on its PATH. */
export const MINIKV_PROGRAMS = Object.keys(bin);
