/** Label and field selectors, as text in a query and as a LabelSelector in an object. */
import { fieldOf, isRecord, listOf, textOf } from '../json.ts';
import type { KubeObject, Selection } from '../types.ts';

export function matches(selection: Selection, object: KubeObject): boolean {
  const { namespace, labelSelector = '', fieldSelector = '' } = selection;
  return (
    (namespace === undefined || object.metadata.namespace === namespace) &&
    terms(labelSelector).every((term) => matchesLabel(term, object.metadata.labels ?? {})) &&
    terms(fieldSelector).every((term) => matchesField(term, object))
  );
}

/** Splits at commas that are not within brackets. */
const terms = (text: string): string[] =>
  text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');

type Labels = Readonly<Record<string, string>>;

function matchesLabel(term: string, labels: Labels): boolean {
  const [, name = '', not, list = ''] = /^(\S+) (not)?in \((.*)\)$/.exec(term) ?? [];
  if (name !== '') {
    const within = list.split(',').some((value) => value.trim() === labels[name]);
    return not === undefined ? within : !within;
  }
  const [, key = '', operator = '', value = ''] = /^([^=!]+)(==?|!=)(.*)$/.exec(term) ?? [];
  if (operator === '!=') return labels[key] !== value;
  if (operator !== '') return labels[key] === value;
  return term.startsWith('!') ? labels[term.slice(1)] === undefined : labels[term] !== undefined;
}

function matchesField(term: string, object: KubeObject): boolean {
  const [, path = '', operator = '', value = ''] = /^([^=!]+)(==?|!=)(.*)$/.exec(term) ?? [];
  const stored = textOf(fieldOf(object, ...path.split('.')));
  return operator === '!=' ? stored !== value : stored === value;
}

/** A LabelSelector `{matchLabels, matchExpressions}`; an empty one selects everything. */
export function selects(selector: unknown, labels: Labels = {}): boolean {
  const wanted = fieldOf(selector, 'matchLabels');
  const equal = Object.entries(isRecord(wanted) ? wanted : {});
  return (
    equal.every(([name, value]) => labels[name] === value) &&
    listOf(fieldOf(selector, 'matchExpressions')).every((rule) => satisfies(rule, labels))
  );
}

function satisfies(rule: unknown, labels: Labels): boolean {
  const value = labels[textOf(fieldOf(rule, 'key'))];
  const values = listOf(fieldOf(rule, 'values'));
  switch (textOf(fieldOf(rule, 'operator'))) {
    case 'In':
      return values.includes(value);
    case 'NotIn':
      return !values.includes(value);
    case 'Exists':
      return value !== undefined;
    default:
      return value === undefined;
  }
}
