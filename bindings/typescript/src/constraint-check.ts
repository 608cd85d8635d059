/** What becomes of a constraint in a token, and which constraint was a token's check? */

import { binary, external, integer, joined, keyOf, setOf, text, unary, value, variable, type Check, type Op, type Query, type Term } from './datalog.js';
import { compareValues, isBareName, isFunction, THE_RESOURCE, type Demand, type Form, type Range, type Subject, type Value } from './constraint.js';
import { FUNCTIONS, operandFlaw } from './operand.js';
import { BINARY, CHECK, UNARY } from './schema.js';

type Ops = readonly Op[];

/** Where some reader ends a text, a line or a field. */
const ENDS = [...'\0\t\n\v\f\r\x1a\x1c\x1d\x1e\x1f\x85\u2028\u2029'];

/** The blanks of Unicode (Zs), which functions that trim take off the ends of a text. */
const BLANKS = [...' \xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000'];

/** The most bytes of a text of a call that checks see as it is. */
const MAX_SEEN_TEXT_BYTES = 4096;

const ITEM = 'item';
const SIGN = 'sign';

const termOf = (of: Value): Term =>
  typeof of === 'string' ? text(of) : typeof of === 'number' ? integer(of) : ['bool', of];

const kindOf = (of: Value | undefined): string =>
  typeof of === 'number' ? 'integer' : typeof of === 'boolean' ? 'bool' : 'string';

const setOfValues = (values: readonly Value[]): Term =>
  typeof values[0] === 'string'
    ? setOf(values as readonly string[])
    : ['set', [...values].sort(compareValues).map(termOf)];

const NOT = unary('negate');

/** That something holds of none of these signs. */
const noSign = (signs: readonly string[], held: Ops): Ops =>
  [value(['array', signs.map(text)]), ['closure', [SIGN], held], binary('any'), NOT];

/** The expressions that are all true of a value that holds. */
function expressions(demand: Demand, name: string): Ops[] {
  const it = variable(name);
  const is = (kind: string): Ops => [it, unary('typeOf'), value(text(kind)), binary('same')];
  const compared = (by: keyof typeof BINARY, term: Term): Ops => [it, value(term), binary(by)];
  const plain = (): Ops => [it, value(text('**')), external(FUNCTIONS.like)];
  const hasSign = (by: 'contains' | 'prefix' | 'suffix'): Ops => [it, variable(SIGN), binary(by)];
  const within = (values: readonly Value[]): Ops => [value(setOfValues(values)), it, binary('contains')];
  const bounds = (range: Range, of: Ops): Ops[] => [
    ...(range.least === undefined ? [] : [[...of, value(integer(range.least)), binary('greaterOrEqual')]]),
    ...(range.most === undefined ? [] : [[...of, value(integer(range.most)), binary('lessOrEqual')]]),
  ];
  switch (demand.is) {
    case 'present':
      return [];
    case 'equal':
      return [compared('same', termOf(demand.value))];
    case 'oneOf':
      return [is(kindOf(demand.values[0])), within(demand.values)];
    case 'noneOf': {
      const other = [...within(demand.values), NOT];
      if (typeof demand.values[0] !== 'string') return [is(kindOf(demand.values[0])), other];
      if (name === ITEM) {
        const ends = (['prefix', 'suffix'] as const).map((by) => [...compared(by, text(' ')), NOT]);
        return [plain(), ...ends, other];
      }
      const trimmed = [...hasSign('prefix'), ...hasSign('suffix'), binary('or')];
      const all = [...plain(), ...noSign(BLANKS, trimmed), binary('and'), ...other, binary('and')];
      return [is('string'), all];
    }
    case 'number':
      return [is('integer'), ...bounds(demand.range, [it])];
    case 'length': {
      const length = [it, unary('length')];
      const isText = is('string');
      // Of a text that is not seen as it is, the length can be asked for, and the type cannot.
      const isTextOfAnyLength: Ops =
        [...length, value(integer(MAX_SEEN_TEXT_BYTES)), binary('greaterThan'), ['closure', [], isText], binary('lazyOr'), unary('parens')];
      const hasMore = demand.range.most === undefined || demand.range.most > MAX_SEEN_TEXT_BYTES;
      return [hasMore ? isTextOfAnyLength : isText, ...bounds(demand.range, length)];
    }
    case 'items':
      return [is('array'), ...bounds(demand.range, [it, unary('length')])];
    case 'includes':
      return [is('array'), compared('contains', termOf(demand.value))];
    case 'judged':
      return [is('string'), [it, value(text(demand.operand)), external(FUNCTIONS[demand.judge])]];
    case 'each': {
      const every = joined(expressions(demand.demand, ITEM), 'lazyAnd');
      return [is('array'), [it, ['closure', [ITEM], every], binary('all')]];
    }
    default: {
      const line = name === ITEM ? plain() : noSign(ENDS, hasSign('contains'));
      return [is('string'), line, compared(demand.is, text(demand.text))];
    }
  }
}

const variableOf = (of: Subject): string => (of === undefined ? 'resource' : 'arg');

function query(of: Subject, expressions: readonly Ops[]): Query {
  const it: Term = ['var', variableOf(of)];
  return { body: of === undefined ? { name: 'resource', terms: [it] } : { name: 'arg', terms: [text(of), it] }, expressions };
}

const one = (kind: keyof typeof CHECK, query: Query): Check => ({ kind: CHECK[kind], queries: [query] });

/** The check that says the same. */
export function toCheck(form: Form): Check {
  switch (form.is) {
    case 'absent':
      return one('reject', query(form.of, []));
    case 'only': {
      const other = [value(setOf(form.names)), variable('name'), binary('contains'), NOT];
      const body = { name: 'arg', terms: [['var', 'name'], ['var', 'arg']] as const };
      return one('reject', { body, expressions: form.names.length === 0 ? [] : [other] });
    }
    case 'any': {
      const queries = form.all.map(({ of, demand }) => query(of, expressions(demand, variableOf(of))));
      return { kind: CHECK.all, queries };
    }
    default: {
      const all = expressions(form.demand, variableOf(form.of));
      if (form.optional) return one('reject', query(form.of, [[...joined(all, 'lazyAnd'), unary('parens'), NOT]]));
      return one(form.demand.is === 'present' ? 'one' : 'all', query(form.of, all));
    }
  }
}

/** The line of which a check was made, if it was made of one. */
export function lineOf(check: Check): string | undefined {
  const form = read(check);
  // Read leniently, then held against what it would have become.
  return form && keyOf(toCheck(form)) === keyOf(check) ? line(form) : undefined;
}

function subjectOf({ body: { name, terms } }: Query): { of: Subject } | undefined {
  if (name === 'resource' && terms.length === 1) return { of: undefined };
  const [first] = terms;
  return name === 'arg' && terms.length === 2 && first?.[0] === 'str' ? { of: first[1] } : undefined;
}

function read({ kind, queries }: Check): Form | undefined {
  const [first] = queries;
  if (first === undefined) return undefined;
  const found = subjectOf(first);
  if (kind === CHECK.reject) return queries.length === 1 ? readRejection(first, found) : undefined;
  if (kind === CHECK.one) return found && { is: 'demanded', ...found, optional: false, demand: { is: 'present' } };
  const all = queries.map((query) => ({ ...subjectOf(query), demand: readDemand(query.expressions) }));
  if (!queries.every(subjectOf) || all.some(({ demand }) => demand === undefined)) return undefined;
  const [only] = all as { of: Subject; demand: Demand }[];
  return all.length === 1
    ? { is: 'demanded', of: only!.of, optional: false, demand: only!.demand }
    : { is: 'any', all: all as { of: Subject; demand: Demand }[] };
}

function readRejection({ expressions }: Query, found: { of: Subject } | undefined): Form | undefined {
  const [ops] = expressions;
  if (found === undefined) {
    if (ops === undefined) return { is: 'only', names: [] };
    const names = setIn(ops[0]);
    return names?.every((name) => typeof name === 'string') ? { is: 'only', names } : undefined;
  }
  if (ops === undefined) return { is: 'absent', ...found };
  const demand = readDemand(split(ops.slice(0, -2)));
  return demand && { is: 'demanded', ...found, optional: true, demand };
}

/** The parts of `a && b && …`: the closures hold all but the first. */
function split(ops: Ops): Ops[] {
  const isAnd = (op: Op | undefined): boolean => op?.[0] === 'binary' && op[1] === BINARY.lazyAnd;
  const isInner = (op: Op, at: number): boolean => op[0] === 'closure' && op[1].length === 0 && isAnd(ops[at + 1]);
  const first = ops.filter((op, at) => !isInner(op, at) && !isAnd(op));
  return [first, ...ops.filter(isInner).map((op) => op[2] as Ops)];
}

function valueIn(op: Op | undefined): Value | undefined {
  const term = op?.[0] === 'value' ? op[1] : undefined;
  if (term?.[0] === 'int') return Number(term[1]);
  return term?.[0] === 'str' || term?.[0] === 'bool' ? term[1] : undefined;
}

function setIn(op: Op | undefined): Value[] | undefined {
  const term = op?.[0] === 'value' ? op[1] : undefined;
  const values = term?.[0] === 'set' ? term[1].map((item) => valueIn(value(item))) : [];
  return values.length > 0 && values.every((value) => value !== undefined) ? values : undefined;
}

function readRange(all: readonly Ops[]): Range {
  const bound = (by: number): number | undefined => {
    const ops = all.find((ops) => ops.at(-1)?.[1] === by && ops.at(-1)?.[0] === 'binary');
    return valueIn(ops?.at(-2)) as number | undefined;
  };
  return { least: bound(BINARY.greaterOrEqual), most: bound(BINARY.lessOrEqual) };
}

const PARTS = new Map([[BINARY.prefix, 'prefix'], [BINARY.suffix, 'suffix'], [BINARY.contains, 'contains']] as const);

function readDemand(all: readonly Ops[]): Demand | undefined {
  const last = all.at(-1);
  const end = last?.at(-1);
  if (last === undefined || end === undefined) return undefined;
  const isTyped = (ops: Ops): boolean => ops[1]?.[0] === 'unary' && ops[1][1] === UNARY.typeOf;
  const typed = all.find(isTyped);
  const kind = typed && valueIn(typed[2]);
  const isNot = end[0] === 'unary' || (end[0] === 'binary' && end[1] === BINARY.and);
  if (isNot) {
    const set = last.findLast((op) => op[0] === 'value' && op[1][0] === 'set');
    const values = setIn(set);
    return values && { is: 'noneOf', values };
  }
  if (end[0] !== 'binary') return undefined;
  const by = end[1];
  const second = last[1];
  if (by === BINARY.all) {
    const demand = second?.[0] === 'closure' ? readDemand(split(second[2])) : undefined;
    return demand && { is: 'each', demand };
  }
  if (by === BINARY.greaterOrEqual || by === BINARY.lessOrEqual) {
    const isLength = second?.[0] === 'unary';
    return { is: !isLength ? 'number' : kind === 'array' ? 'items' : 'length', range: readRange(all) };
  }
  const values = by === BINARY.contains ? setIn(last[0]) : undefined;
  if (values) return { is: 'oneOf', values };
  const found = valueIn(second);
  if (found === undefined) return undefined;
  if (by === BINARY.same) return { is: 'equal', value: found };
  if (by === BINARY.contains && kind === 'array') return { is: 'includes', value: found };
  if (typeof found !== 'string') return undefined;
  if (by === BINARY.ffi) {
    const judge = isFunction(end[2] ?? '');
    // An operand that this package cannot judge was judged where it was written.
    const flaw = judge && operandFlaw(judge, found);
    return judge && flaw?.code !== 'malformed_operand' ? { is: 'judged', judge, operand: found } : undefined;
  }
  const part = PARTS.get(by as typeof BINARY.prefix);
  return part && { is: part, text: found };
}

function line(form: Form): string {
  switch (form.is) {
    case 'absent':
      return `${subject(form.of)} absent`;
    case 'only':
      return form.names.length === 0 ? 'no arguments' : `only ${form.names.map(nameLine).join(', ')}`;
    case 'any':
      return form.all.map(({ of, demand }) => demandLine(of, '', demand)).join(' or ');
    default:
      return demandLine(form.of, form.optional ? '?' : '', form.demand);
  }
}

const nameLine = (name: string): string => (isBareName(name) ? name : JSON.stringify(name));
const subject = (of: Subject): string => (of === undefined ? THE_RESOURCE : nameLine(of));
const valueLine = (of: Value): string => JSON.stringify(of);
const listLine = (values: readonly Value[]): string => `[${values.map(valueLine).join(', ')}]`;
const operandLine = (text: string): string => (/^[A-Za-z0-9_.@/+:*-]*$/.test(text) ? text : JSON.stringify(text));

const demandLine = (of: Subject, mark: string, demand: Demand): string =>
  demand.is === 'each'
    ? `each ${subject(of)}${mark} ${words(demand.demand)}`
    : `${subject(of)}${mark} ${words(demand)}`;

function rangeLine({ least, most }: Range): string {
  if (least !== undefined && most !== undefined) return `between ${least} and ${most}`;
  return most === undefined ? `>= ${least ?? Number.MIN_SAFE_INTEGER}` : `<= ${most}`;
}

function words(demand: Demand): string {
  switch (demand.is) {
    case 'present':
      return 'required';
    case 'equal':
      return `== ${valueLine(demand.value)}`;
    case 'includes':
      return `includes ${valueLine(demand.value)}`;
    case 'oneOf':
      return `in ${listLine(demand.values)}`;
    case 'noneOf':
      return `not in ${listLine(demand.values)}`;
    case 'number':
      return rangeLine(demand.range);
    case 'length':
    case 'items':
      return `${demand.is} ${rangeLine(demand.range)}`;
    case 'prefix':
      return `starts with ${JSON.stringify(demand.text)}`;
    case 'suffix':
      return `ends with ${JSON.stringify(demand.text)}`;
    case 'contains':
      return `contains ${JSON.stringify(demand.text)}`;
    case 'judged':
      return `${demand.judge} ${demand.judge === 'like' ? JSON.stringify(demand.operand) : operandLine(demand.operand)}`;
    default:
      return words(demand.demand);
  }
}
