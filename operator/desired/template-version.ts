/**
 * Which version of the pod template a role gets. An operator that is upgraded goes on building the
 * version that is noted on the StatefulSet, so its upgrade restarts nothing; once the spec changes the
 * template anyway, the newest version comes with that roll.
 */
import type { Role } from '../api/names.ts';
import { contentHash, type Fields } from './manifest.ts';
import { layOver, type Overlaid } from './overlay.ts';
import { buildPodTemplate, type PodTemplate } from './pod-template.ts';
import type { NotedTemplate, Wanted } from './wanted.ts';

export type TemplateBuilder = (wanted: Wanted, role: Role) => PodTemplate;

/** Every version that is still built, oldest first; a golden file stands for each. */
const BUILDERS: ReadonlyMap<number, TemplateBuilder> = new Map([[1, buildPodTemplate]]);

export type ChosenTemplate =
  | { readonly kind: 'template'; readonly template: PodTemplate; readonly noted: NotedTemplate }
  | Extract<Overlaid, { kind: 'rejected' }>;

export function chooseTemplate(
  wanted: Wanted,
  role: Role,
  builders: ReadonlyMap<number, TemplateBuilder> = BUILDERS,
): ChosenTemplate {
  const { podTemplate } = role === 'coordinator' ? wanted.spec.coordinators : wanted.spec.volumes;
  const noted = wanted.noted[role];
  const kept = noted === null ? undefined : builders.get(noted.version);
  if (noted !== null && kept !== undefined) {
    const chosen = build(noted.version, kept(wanted, role), podTemplate);
    if (chosen.kind === 'rejected' || chosen.noted.hash === noted.hash) return chosen;
  }
  const newest = Math.max(...builders.keys());
  return build(newest, (builders.get(newest) ?? buildPodTemplate)(wanted, role), podTemplate);
}

function build(version: number, template: PodTemplate, overlay: Fields): ChosenTemplate {
  const overlaid = layOver(template, overlay);
  if (overlaid.kind === 'rejected') return overlaid;
  return { ...overlaid, noted: { version, hash: contentHash(overlaid.template) } };
}
