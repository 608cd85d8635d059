/** Datalog: facts and checks as they are said, and the bytes of the block that says them. */

import { compareTexts, hex, type Bytes } from './bytes.js';
import { encode, type Read } from './proto.js';
import { BINARY, BLOCK, CHECK, DEFAULT_SYMBOLS, FIRST_SYMBOL, UNARY } from './schema.js';

export type Term =
  | readonly ['var' | 'str', string]
  | readonly ['int' | 'date', bigint]
  | readonly ['bytes', Bytes]
  | readonly ['bool', boolean]
  | readonly ['set' | 'array', readonly Term[]];

export type Op =
  | readonly ['value', Term]
  | readonly ['unary', number]
  | readonly ['binary', number, string?]
  | readonly ['closure', readonly string[], readonly Op[]];

export interface Predicate {
  readonly name: string;
  readonly terms: readonly Term[];
}

export interface Query {
  readonly body: Predicate;
  readonly expressions: readonly (readonly Op[])[];
  /** The key that is trusted, if one is. */
  readonly trusting?: Bytes | undefined;
}

export interface Check {
  readonly kind: number;
  readonly queries: readonly Query[];
}

export type Fact = readonly [name: string, value: Term];

export const variable = (name: string): Op => ['value', ['var', name]];
export const value = (term: Term): Op => ['value', term];
export const text = (text: string): Term => ['str', text];
export const integer = (number: bigint | number): Term => ['int', BigInt(number)];
export const date = (seconds: number): Term => ['date', BigInt(seconds)];
export const bytes = (bytes: Bytes): Term => ['bytes', bytes];
export const unary = (kind: keyof typeof UNARY): Op => ['unary', UNARY[kind]];
export const binary = (kind: keyof typeof BINARY): Op => ['binary', BINARY[kind]];
export const external = (name: string): Op => ['binary', BINARY.ffi, name];

/** A set of texts, in the order in which Rust has them. */
export const setOf = (texts: readonly string[]): Term =>
  ['set', [...new Set(texts)].sort(compareTexts).map((text): Term => ['str', text])];

/** `check all name($name), …`: a query of one predicate, whose variable is called what the predicate is. */
export function about(kind: keyof typeof CHECK, name: string, ops: readonly Op[], trusting?: Bytes): Check {
  const body = { name, terms: [['var', name]] as const };
  return { kind: CHECK[kind], queries: [{ body, expressions: [ops], trusting }] };
}

/** `a || b || …`, or with `&&`: each later one is a closure, looked at only if it is needed. */
export function joined(all: readonly (readonly Op[])[], by: 'lazyAnd' | 'lazyOr'): readonly Op[] {
  return all.flatMap((ops, at): readonly Op[] => (at === 0 ? ops : [['closure', [], ops], binary(by)]));
}

/** How many operations there are, those inside closures counted. */
export const countOps = (ops: readonly Op[]): number =>
  ops.reduce((sum, op) => sum + 1 + (op[0] === 'closure' ? countOps(op[2]) : 0), 0);

/** One text for checks that ask the same in the same words. */
export const keyOf = (check: Check): string =>
  JSON.stringify(check, (_, value: unknown) =>
    value instanceof Uint8Array ? hex(value) : typeof value === 'bigint' ? `${value}n` : value);

/** What the blocks before have defined, and a first-party block may use without defining it. */
export interface Defined {
  readonly symbols: readonly string[];
  readonly keys: readonly string[];
}

/** The words and keys of a block by their numbers. */
class Table {
  readonly symbols: string[];
  readonly keys: string[];
  readonly newKeys: Bytes[] = [];

  constructor(readonly defined: Defined) {
    this.symbols = [...defined.symbols];
    this.keys = [...defined.keys];
  }

  word(text: string): bigint {
    const known = DEFAULT_SYMBOLS.indexOf(text);
    if (known >= 0) return BigInt(known);
    let at = this.symbols.indexOf(text);
    if (at < 0) at = this.symbols.push(text) - 1;
    return BigInt(FIRST_SYMBOL + at);
  }

  key(key: Bytes): bigint {
    let at = this.keys.indexOf(hex(key));
    if (at < 0) {
      at = this.keys.push(hex(key)) - 1;
      this.newKeys.push(key);
    }
    return BigInt(at);
  }

  term([kind, value]: Term): Read {
    switch (kind) {
      case 'var':
        return { variable: Number(this.word(value)) };
      case 'str':
        return { string: this.word(value) };
      case 'int':
        return { integer: value };
      case 'set':
        return { set: { items: value.map((item) => this.term(item)).sort(byNumber) } };
      case 'array':
        return { array: { items: value.map((item) => this.term(item)) } };
      default:
        return { [kind]: value };
    }
  }

  op(op: Op): Read {
    switch (op[0]) {
      case 'value':
        return { value: this.term(op[1]) };
      case 'unary':
        return { unary: { kind: op[1] } };
      case 'binary':
        return { binary: op[2] === undefined ? { kind: op[1] } : { kind: op[1], ffiName: this.word(op[2]) } };
      default:
        return { closure: { params: op[1].map((name) => Number(this.word(name))), ops: op[2].map((op) => this.op(op)) } };
    }
  }

  predicate({ name, terms }: Predicate): Read {
    return { name: this.word(name), terms: terms.map((term) => this.term(term)) };
  }

  query({ body, expressions, trusting }: Query): Read {
    return {
      head: { name: this.word('query'), terms: [] },
      body: [this.predicate(body)],
      expressions: expressions.map((ops) => ({ ops: ops.map((op) => this.op(op)) })),
      scope: trusting === undefined ? [] : [{ publicKey: this.key(trusting) }],
    };
  }
}

/** Members of a set are all of one kind: words by their numbers, numbers by their size, bytes one by one. */
function byNumber(one: Read, other: Read): number {
  if (one.bytes !== undefined) return hex(one.bytes as Bytes) < hex(other.bytes as Bytes) ? -1 : 1;
  const number = (term: Read): bigint => (term.string ?? term.integer ?? BigInt(term.bool as boolean)) as bigint;
  return number(one) < number(other) ? -1 : 1;
}

/** The Datalog versions of Biscuit 3.0, 3.1, 3.2 (third-party blocks) and 3.3. */
export const VERSION = { least: 3, scopes: 4, thirdParty: 5, most: 6 } as const;

const OF_3_3: ReadonlySet<number> = new Set(
  [BINARY.same, BINARY.different, BINARY.lazyAnd, BINARY.lazyOr, BINARY.all, BINARY.any, BINARY.ffi],
);

/** The version that the checks need. Those that this package writes have no null. */
function versionOf(checks: readonly Check[]): number {
  const isNew = (op: Op): boolean =>
    op[0] === 'closure' ||
    (op[0] === 'unary' && op[1] === UNARY.typeOf) || (op[0] === 'binary' && OF_3_3.has(op[1]));
  const needs = checks.map(({ kind, queries }) => {
    if (kind === CHECK.reject || queries.some((query) => query.expressions.some((ops) => ops.some(isNew)))) {
      return VERSION.most;
    }
    return kind === CHECK.all || queries.some((query) => query.trusting) ? VERSION.scopes : VERSION.least;
  });
  return Math.max(VERSION.least, ...needs);
}

const NOTHING: Defined = { symbols: [], keys: [] };

/** The content of a block: of a third-party one, which defines all that it uses, if nothing is defined. */
export function writeBlock(facts: readonly Fact[], checks: readonly Check[], defined?: Defined): Bytes {
  const table = new Table(defined ?? NOTHING);
  const writtenFacts = facts.map(([name, value]) => ({ predicate: table.predicate({ name, terms: [value] }) }));
  const writtenChecks = checks.map(({ kind, queries }) => {
    const written = { queries: queries.map((query) => table.query(query)) };
    return kind === CHECK.one ? written : { ...written, kind };
  });
  const content = {
    symbols: table.symbols.slice(table.defined.symbols.length),
    version: Math.max(versionOf(checks), defined ? 0 : VERSION.thirdParty),
    facts: writtenFacts,
    rules: [],
    checks: writtenChecks,
    scope: [],
    publicKeys: table.newKeys.map((key) => ({ algorithm: 0, key })),
  };
  return encode(content, BLOCK);
}
