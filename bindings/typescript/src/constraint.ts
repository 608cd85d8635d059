/** Constraint: a line such as `amount <= 100`, read to what it demands, or the reason why it is none. */

import { byteLength, compareTexts, isWellFormed } from './bytes.js';
import { MAX_COLLECTION, MAX_QUERIES } from './block.js';
import { resourceFlaw } from './resource.js';
import { refuse } from './error.js';
import { FUNCTIONS, operandFlaw, type Judge } from './operand.js';
import { trim } from './text.js';

const MAX_CONSTRAINT_BYTES = 4096;
const MAX_TEXT_BYTES = 1024;

export type Value = string | number | boolean;

/** From one whole number to another, both included. */
export interface Range {
  readonly least?: number | undefined;
  readonly most?: number | undefined;
}

export type Demand =
  | { readonly is: 'present' }
  | { readonly is: 'equal' | 'includes'; readonly value: Value }
  | { readonly is: 'oneOf' | 'noneOf'; readonly values: readonly Value[] }
  | { readonly is: 'number' | 'length' | 'items'; readonly range: Range }
  | { readonly is: 'prefix' | 'suffix' | 'contains'; readonly text: string }
  | { readonly is: 'judged'; readonly judge: Judge; readonly operand: string }
  | { readonly is: 'each'; readonly demand: Demand };

/** Of what something is demanded: an argument by its name, or `undefined`, the call's resource. */
export type Subject = string | undefined;

export type Form =
  | { readonly is: 'demanded'; readonly of: Subject; readonly optional: boolean; readonly demand: Demand }
  | { readonly is: 'absent'; readonly of: Subject }
  | { readonly is: 'only'; readonly names: readonly string[] }
  | { readonly is: 'any'; readonly all: readonly { readonly of: Subject; readonly demand: Demand }[] };

export const THE_RESOURCE = 'the resource';
const NO_OTHERS = 'no other arguments';

const malformed = (message: string): never => refuse('malformed_constraint', message);
const tooMany = (what: string, limit: number): never => malformed(`a constraint has at most ${limit} ${what}`);
const noValue = (text: string, wanted: string): never =>
  malformed(
    `\`${text}\` is no ${wanted}; write text in double quotes, numbers as whole numbers (1.5 arrives as text: count in ` +
      'cents or grams)',
  );
const noForm = (text: string): never =>
  malformed(
    `\`${text}\` is no constraint: write an argument and what is demanded of it, one constraint for each part, such as ` +
      '`amount between 1 and 100`, `currency in [EUR, USD]`, `mode == "read only"`, `path within /srv/data`, ' +
      '`target url https://*.example.com`, `ip network 10.0.0.0/8`, `file like "report-*.pdf"`, `title length <= 80`, ' +
      '`each tag in [a, b]`, `note? length <= 500`, `query required`, `force absent`, `only path, mode`, ' +
      '`no other arguments`, `a <= 5 or b == true`, `the resource within file:///srv/data`',
  );

const sorted = (names: readonly string[]): string[] => [...new Set(names)].sort(compareTexts);

/** What all lines of one hop demand. `no other arguments` speaks of those of which the others speak. */
export function parseConstraints(lines: readonly string[]): Form[] {
  const isClosing = (line: string): boolean => trim(line) === NO_OTHERS;
  for (const line of lines) if (typeof line !== 'string') malformed('a constraint is one line of text');
  const forms = lines.filter((line) => !isClosing(line)).map(parseConstraint);
  return lines.some(isClosing) ? [...forms, { is: 'only', names: sorted(forms.flatMap(argumentsOf)) }] : forms;
}

function argumentsOf(form: Form): string[] {
  const subjects = form.is === 'any' ? form.all.map(({ of }) => of) : form.is === 'demanded' ? [form.of] : [];
  return form.is === 'only' ? [...form.names] : subjects.filter((of) => of !== undefined);
}

/** Reads one line. */
export function parseConstraint(text: string): Form {
  if (byteLength(text) > MAX_CONSTRAINT_BYTES) return tooMany('bytes', MAX_CONSTRAINT_BYTES);
  text = trim(text);
  if (/\p{Cc}/u.test(text) || !isWellFormed(text)) {
    return malformed('a constraint is one line; write each as one of its own, and control characters as JSON escapes ' +
      'within double quotes');
  }
  const alternatives = split(text, ' or ');
  if (alternatives.length === 1) return one(text);
  if (alternatives.length > MAX_QUERIES) return tooMany('alternatives', MAX_QUERIES);
  const all = alternatives.map((alternative) => {
    const form = one(alternative);
    if (form.is === 'demanded' && !form.optional) return { of: form.of, demand: form.demand };
    return malformed('`or` stands between demands of arguments that must be there; write `name?`, `absent` and `only` as ' +
      'constraints of their own');
  });
  return { is: 'any', all };
}

function one(text: string): Form {
  if (text === 'no arguments') return { is: 'only', names: [] };
  const listed = keyword(text, 'only');
  if (listed !== undefined) {
    const names = sorted(list(listed).map((part) => wholeName(part) ?? noForm(text)));
    if (names.length > MAX_COLLECTION) tooMany('names', MAX_COLLECTION);
    return names.length === 0 ? noForm(text) : { is: 'only', names };
  }
  const resource = /^the resource(?=$|[ ?=!])(.*)$/s.exec(text)?.[1];
  if (resource !== undefined) return ofResource(resource) ?? noForm(text);
  const item = keyword(text, 'each') ?? keyword(text, 'every item of');
  // An argument may be called `each`.
  const behind = item === undefined ? undefined : nameOf(item)?.[1];
  let each = behind !== undefined && trim(behind) !== '';
  const [name, marked] = nameOf(each ? item! : text) ?? noForm(text);
  const optional = marked.startsWith('?');
  let rest = (optional ? marked.slice(1) : marked).replace(/^\p{White_Space}+/u, '');
  const later = keyword(rest, 'each');
  if (later !== undefined) [each, rest] = [true, later];
  if (rest === 'absent' && !each && !optional) return { is: 'absent', of: name };
  const demand = demandOf(rest) ?? noForm(text);
  if (each && ['present', 'items', 'includes'].includes(demand.is)) return noForm(text);
  return demanded(name, optional, each ? { is: 'each', demand } : demand);
}

function demanded(of: Subject, optional: boolean, demand: Demand): Form {
  if (optional && demand.is === 'present') {
    malformed('`?` says that it may be absent, and `required` that it may not');
  }
  return { is: 'demanded', of, optional, demand };
}

const WHERE = '`the resource within file:///srv/data` or `the resource url https://api.example.com/v1`';

function ofResource(text: string): Form | undefined {
  const optional = text.startsWith('?');
  const rest = (optional ? text.slice(1) : text).replace(/^\p{White_Space}+/u, '');
  if (rest === 'absent' && !optional) return { is: 'absent', of: undefined };
  if (['like', 'starts with', 'ends with', 'contains'].some((words) => keyword(rest, words) !== undefined)) {
    return malformed(`of the resource say where it is, for a pattern or a part of a text says nothing of that: write ${WHERE}`);
  }
  const demand = demandOf(rest);
  if (demand === undefined) return undefined;
  if (demand.is === 'noneOf') {
    return malformed(`of the resource say what is allowed, not what is not, since one place has many URIs: write ${WHERE}`);
  }
  const values = demand.is === 'equal' ? [demand.value] : demand.is === 'oneOf' ? demand.values : [];
  const fits =
    demand.is === 'judged'
      ? demand.judge === 'url' || (demand.judge === 'within' && demand.operand.startsWith('file:'))
      : demand.is === 'present' || (values.length > 0 && values.every((value) => typeof value === 'string'));
  if (!fits) {
    return malformed('the resource is a URI: write `the resource within file:///srv/data`, `the resource url ' +
      'https://api.example.com/v1`, `==`, `in`, `required` or `absent`');
  }
  for (const value of values) {
    const flaw = resourceFlaw(String(value));
    if (flaw !== undefined) malformed(`\`the resource\` never equals \`${String(value)}\`: ${flaw}`);
  }
  return demanded(undefined, optional, demand);
}

const TEXTS = [['starts with', 'prefix'], ['ends with', 'suffix'], ['contains', 'contains']] as const;

/** What stands behind the argument's name; `undefined` if it is no demand. */
function demandOf(text: string): Demand | undefined {
  if (text === 'required' || text === 'present') return { is: 'present' };
  for (const [words, is] of TEXTS) {
    const rest = keyword(text, words);
    if (rest === undefined) continue;
    const wanted = operand(rest, 'text that says something');
    if (wanted.includes('://') || (is === 'prefix' && wanted.startsWith('/'))) {
      return malformed('a text says nothing of where a path or URL leads (`..`, user@host): use `path within /srv/data` or ' +
        '`target url https://api.example.com`');
    }
    return { is, text: wanted };
  }
  for (const words of ['within', 'url', 'network', 'in network', 'like'] as const) {
    const rest = keyword(text, words);
    if (rest !== undefined) return judged(words === 'in network' ? 'network' : words, rest);
  }
  for (const is of ['length', 'items'] as const) {
    const rest = keyword(text, is);
    if (rest === undefined) continue;
    const range = rangeOf(rest);
    // Nothing is shorter than nothing.
    if ((range?.most ?? 0) < 0) return noValue(rest, 'length');
    return range && { is, range };
  }
  const others = keyword(text, 'not in') ?? keyword(text, 'none of');
  if (others !== undefined) return { is: 'noneOf', values: valuesOf(others) };
  const these = keyword(text, 'in') ?? keyword(text, 'one of');
  if (these !== undefined) return { is: 'oneOf', values: valuesOf(these) };
  const item = keyword(text, 'includes');
  if (item !== undefined) return { is: 'includes', value: valueOf(item) };
  const other = operator(text, '!=');
  if (other !== undefined) return { is: 'noneOf', values: [valueOf(other)] };
  const same = operator(text, '==') ?? operator(text, '=');
  if (same !== undefined) return { is: 'equal', value: valueOf(same) };
  const range = rangeOf(text);
  return range && { is: 'number', range };
}

function judged(judge: Judge, rest: string): Demand {
  const wanted = 'folder, site, network or pattern: one of them, in double quotes if it has blanks';
  let text = quotedOr(rest, wanted, /^[!-~]*$/, /["'`{}(),;|<>=!#&]/);
  if (judge === 'within' && text.length > 1 && text.endsWith('/') && !text.endsWith('//')) text = text.slice(0, -1);
  const flaw = operandFlaw(judge, text);
  if (flaw !== undefined) refuse(flaw.code, `nothing can be compared with that: ${flaw.message}`);
  return { is: 'judged', judge, operand: text };
}

/** `<= 5`, `< 5`, `>= 5`, `> 5`, `between 1 and 5`, or for lengths `== 5`. */
function rangeOf(text: string): Range | undefined {
  text = trim(text);
  const bounds = keyword(text, 'between');
  if (bounds !== undefined) {
    const at = bounds.indexOf(' and ');
    if (at < 0) return undefined;
    const [least, most] = [numberOf(bounds.slice(0, at)), numberOf(bounds.slice(at + 5))];
    return least > most ? noValue(bounds, 'range, whose first number is the smaller') : { least, most };
  }
  const sides: [string, (number: number) => Range][] = [
    ['<=', (most) => ({ most })],
    ['>=', (least) => ({ least })],
    ['<', (number) => ({ most: number - 1 })],
    ['>', (number) => ({ least: number + 1 })],
    ['==', (number) => ({ least: number, most: number })],
  ];
  for (const [sign, range] of sides) {
    const rest = operator(text, sign);
    if (rest !== undefined) return range(numberOf(rest));
  }
  return undefined;
}

function numberOf(text: string): number {
  text = trim(text);
  const number = Number(text);
  const isPlain = /^(0|-?[1-9][0-9]*)$/.test(text) && Number.isSafeInteger(number);
  return isPlain ? number : noValue(text, 'whole number between -(2^53-1) and 2^53-1');
}

/** Words that mean something where people write them bare, and not the text that they are. */
const RESERVED = 'null None nil True False TRUE FALSE and or not AND OR in network'.split(' ');

function valueOf(text: string): Value {
  text = trim(text);
  if (text === 'true' || text === 'false') return text === 'true';
  if (/^[0-9+.-]/.test(text)) return numberOf(text);
  const wanted = 'value: text goes in double quotes unless it is one plain word, numbers are whole';
  if (!text.startsWith('"') && (text.includes('/') || RESERVED.includes(text))) return noValue(text, wanted);
  return operand(text, wanted);
}

/** Sorts values of one type as Rust does. */
export const compareValues = (one: Value, other: Value): number =>
  typeof one === 'string' ? compareTexts(one, other as string) : Number(one) - Number(other);

function valuesOf(text: string): Value[] {
  const values = [...new Set(list(text).map(valueOf))];
  if (values.length === 0) return noValue(text, 'list of values');
  if (values.length > MAX_COLLECTION) return tooMany('values', MAX_COLLECTION);
  if (values.some((value) => typeof value !== typeof values[0])) {
    return malformed('the values of a list are of one type: all text, all numbers, or all true and false');
  }
  return values.sort(compareValues);
}

/** The parts of a list, which may stand in brackets. None is empty. */
function list(text: string): string[] {
  text = trim(text);
  const [begins, ends] = [text.startsWith('['), text.endsWith(']')];
  if (begins !== ends || text === '[') return noValue(text, 'list of values');
  const parts = split(begins ? text.slice(1, -1) : text, ',').map(trim);
  if (parts.length === 1 && parts[0] === '') return [];
  return parts.includes('') ? noValue(text, 'list of values') : parts;
}

/** Text in double quotes as JSON has it, or one plain word. */
const operand = (text: string, wanted: string): string => quotedOr(text, wanted, /^[A-Za-z0-9_.@/+-]*$/, /(?!)/);

function quotedOr(text: string, wanted: string, isPlain: RegExp, isOdd: RegExp): string {
  text = trim(text);
  const read = text.startsWith('"') ? fromJson(text) : isPlain.test(text) && !isOdd.test(text) ? text : undefined;
  if (!read) return noValue(text, wanted);
  return byteLength(read) > MAX_TEXT_BYTES ? tooMany('bytes in a text', MAX_TEXT_BYTES) : read;
}

function fromJson(text: string): string | undefined {
  try {
    const read: unknown = JSON.parse(text);
    return typeof read === 'string' && isWellFormed(read) ? read : undefined;
  } catch {
    return undefined;
  }
}

/** The argument's name at the front, and what follows it. */
function nameOf(text: string): [name: string, rest: string] | undefined {
  text = text.replace(/^\p{White_Space}+/u, '');
  const quoted = /^"[^"\\]*(?:\\.[^"\\]*)*"/.exec(text)?.[0];
  const end = quoted?.length ?? /^[A-Za-z0-9_-]*/.exec(text)![0].length;
  const name = quoted === undefined ? bare(text.slice(0, end)) : fromJson(quoted);
  return name === undefined ? undefined : [name, text.slice(end)];
}

const bare = (name: string): string | undefined => (isBareName(name) ? name : undefined);

/** Whether an argument's name can stand without quotes. */
export const isBareName = (name: string): boolean =>
  /^[A-Za-z_][A-Za-z0-9_-]*$/.test(name) && !['only', 'each', 'no', 'every', 'or'].includes(name);

function wholeName(text: string): string | undefined {
  const found = nameOf(text);
  return found && trim(found[1]) === '' ? found[0] : undefined;
}

/** What follows a word (or several) at the front. */
function keyword(text: string, words: string): string | undefined {
  for (const word of words.split(' ')) {
    text = text.replace(/^\p{White_Space}+/u, '');
    if (!text.startsWith(word)) return undefined;
    text = text.slice(word.length);
    if (text !== '' && !/^[ "[<>=]/.test(text)) return undefined;
  }
  return text.replace(/^\p{White_Space}+/u, '');
}

/** What follows an operator, unless that is the beginning of another (`=<`, `!==`). */
function operator(text: string, sign: string): string | undefined {
  if (!text.startsWith(sign)) return undefined;
  const rest = text.slice(sign.length);
  return /^\p{White_Space}*[=<>!~:]/u.test(rest) ? undefined : rest;
}

/** The parts between separators that do not stand in double quotes. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let [start, quoted, escaped] = [0, false, false];
  for (let at = 0; at < text.length; at++) {
    if (escaped) escaped = false;
    else if (text[at] === '\\' && quoted) escaped = true;
    else if (text[at] === '"') quoted = !quoted;
    else if (!quoted && at >= start && text.startsWith(separator, at)) {
      parts.push(text.slice(start, at));
      start = at + separator.length;
    }
  }
  return [...parts, text.slice(start)];
}

export const isFunction = (name: string): Judge | undefined =>
  (Object.keys(FUNCTIONS) as Judge[]).find((judge) => FUNCTIONS[judge] === name);
