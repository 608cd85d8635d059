/** Terms: may a block's facts and checks contain this, and does every number in them mean a word? */

import { byteLength, type Bytes } from './bytes.js';
import { VERSION } from './datalog.js';
import { refuse } from './error.js';
import { MAX_MOMENT } from './life.js';
import { isFunction } from './constraint.js';
import { encode, type Read } from './proto.js';
import { BINARY, BLOCK, CHECK, UNARY } from './schema.js';

const MAX_QUERIES = 4;
const MAX_PREDICATES = 2;
const MAX_OPERATIONS = 32;
const MAX_ADDITIONS = 4;
const MAX_LAZY_DEPTH = 4;
const MAX_COLLECTION = 64;
const MAX_TERM_DEPTH = 8;
const MAX_STRING_BYTES = 1024;

/** The most bytes that a token's words come to where each is written out as often as it is used. */
const MAX_WRITTEN_BYTES = 4 * 16 * 1024;

const FOREIGN = "an external function that is not the profile's";

export function within(block: number, count: number, limit: number, what: string): void {
  if (count > limit) refuse('over_limit', `block ${block} has more than ${limit} ${what}`, block);
}

/** The closures around an operation. */
interface Nesting {
  readonly parameterised: boolean;
  readonly lazy: number;
}

type Place = 'fact' | 'query';

const KINDS: ReadonlySet<number> = new Set(Array.from({ length: 30 }, (_, kind) => kind));

/** One text for a term: as it is encoded. */
const keyOf = (term: Read): string =>
  String(encode({ symbols: [], facts: [{ predicate: { name: 0n, terms: [term] } }], rules: [], checks: [], scope: [], publicKeys: [] }, BLOCK));

/** Reads one block's facts and checks by its table. */
export class Terms {
  #operations = 0;
  #additions = 0;

  constructor(
    readonly block: number,
    readonly words: (number: bigint) => string,
    /** How many public keys the block's numbers can mean. */
    readonly keys: number,
    /** How many bytes of words were written out so far, in all blocks. */
    public written: number,
  ) {}

  #content(what: string): never {
    return refuse('content', `block ${this.block} contains ${what}, which a token may not`, this.block);
  }

  #encoding(): never {
    return refuse('encoding', `block ${this.block} is not encoded in the one way that its content is`, this.block);
  }

  #within(count: number, limit: number, what: string): void {
    within(this.block, count, limit, what);
  }

  #word(number: bigint | number): string {
    const word = this.words(BigInt(number));
    this.written += byteLength(word);
    this.#within(this.written, MAX_WRITTEN_BYTES, 'bytes of words where they stand');
    return word;
  }

  predicate(predicate: Read, place: Place): void {
    const terms = predicate.terms as Read[];
    this.#word(predicate.name as bigint);
    this.#within(terms.length, MAX_COLLECTION, 'terms in a predicate');
    for (const term of terms) this.#term(term, place, 0);
  }

  check({ queries, kind = CHECK.one }: Read): void {
    this.#within((queries as Read[]).length, MAX_QUERIES, 'alternatives in a check');
    if ((queries as Read[]).length === 0) this.#content('a check that asks nothing');
    for (const query of queries as Read[]) this.#query(query);
    if (kind > CHECK.reject) this.#encoding();
  }

  #query(query: Read): void {
    const [body, expressions, scope] = [query.body, query.expressions, query.scope] as [Read[], Read[], Read[]];
    this.#within(body.length, MAX_PREDICATES, 'predicates in a query');
    this.predicate(query.head as Read, 'query');
    for (const predicate of body) this.predicate(predicate, 'query');
    [this.#operations, this.#additions] = [0, 0];
    for (const { ops } of expressions) this.#ops(ops as Read[], { parameterised: false, lazy: 0 });
    this.#within(this.#operations, MAX_OPERATIONS, 'operations in a query');
    this.#within(this.#additions, MAX_ADDITIONS, 'additions in a query');
    this.#within(scope.length, 1, 'trusted origins in a query');
    for (const { publicKey, scopeType } of scope) {
      if (publicKey !== undefined && (publicKey < 0n || publicKey >= BigInt(this.keys))) {
        refuse('symbols', `block ${this.block} uses a word or key that it does not define, or defines one twice`, this.block);
      }
      if (publicKey === undefined && scopeType !== 0 && scopeType !== 1) this.#encoding();
    }
  }

  #ops(ops: Read[], nesting: Nesting): void {
    for (const op of ops) {
      this.#operations += 1;
      if (op.value) this.#term(op.value as Read, 'query', 0);
      else if (op.unary) this.#unary(op.unary as Read);
      else if (op.binary) this.#binary(op.binary as Read, nesting);
      else if (op.closure) this.#closure(op.closure as Read, nesting);
      else this.#encoding();
    }
  }

  #unary({ kind, ffiName }: Read): void {
    if (kind === UNARY.ffi) this.#content(FOREIGN);
    if (kind > UNARY.ffi || ffiName !== undefined) this.#encoding();
  }

  #binary({ kind, ffiName }: Read, nesting: Nesting): void {
    if (!KINDS.has(kind as number)) this.#encoding();
    if (kind === BINARY.regex) this.#content('a regular expression');
    if (kind === BINARY.tryOr) this.#content('try_or');
    if (kind === BINARY.add) {
      this.#additions += 1;
      if (nesting.parameterised) this.#content('an addition inside .all or .any');
    }
    if ((kind === BINARY.ffi) !== (ffiName !== undefined)) this.#encoding();
    if (ffiName !== undefined && !isFunction(this.#word(ffiName as bigint))) this.#content(FOREIGN);
  }

  #closure({ params, ops }: Read, nesting: Nesting): void {
    const parameterised = (params as number[]).length > 0;
    if (parameterised && nesting.parameterised) this.#content('a closure within a closure');
    this.#within((params as number[]).length, 1, 'parameters of a closure');
    for (const name of params as number[]) this.#word(name);
    const lazy = nesting.lazy + (parameterised ? 0 : 1);
    this.#within(lazy, MAX_LAZY_DEPTH, 'levels of && and ||');
    this.#ops(ops as Read[], { parameterised: parameterised || nesting.parameterised, lazy });
  }

  #term(term: Read, place: Place, depth: number): void {
    this.#within(depth, MAX_TERM_DEPTH, 'levels of nested terms');
    const [kind] = Object.keys(term);
    switch (kind) {
      case undefined:
        return this.#encoding();
      case 'variable':
        if (place === 'fact' || depth > 0) this.#content('a variable where a value belongs');
        return void this.#word(term.variable as number);
      case 'string':
        return void this.#word(term.string as bigint);
      case 'date':
        return (term.date as bigint) > BigInt(MAX_MOMENT) ? this.#content('a date after the year 9999') : undefined;
      case 'bytes':
        return this.#within((term.bytes as Bytes).length, MAX_STRING_BYTES, 'bytes in a byte array');
      case 'set':
        return this.#items((term.set as { items: Read[] }).items, place, depth, true);
      case 'array':
        return this.#items((term.array as { items: Read[] }).items, place, depth, false);
      case 'map':
        return this.#map((term.map as { entries: Read[] }).entries, place, depth);
      default:
        return undefined;
    }
  }

  #items(items: Read[], place: Place, depth: number, isSet: boolean): void {
    this.#within(items.length, MAX_COLLECTION, 'terms in a collection');
    const seen = new Set<string>();
    for (const item of items) {
      const key = isSet ? keyOf(item) : '';
      if (isSet && seen.has(key)) this.#encoding();
      seen.add(key);
      this.#term(item, place, depth + 1);
      // A set has values of one kind, and no sets.
      if (isSet && (item.set || Object.keys(item)[0] !== Object.keys(items[0]!)[0])) this.#encoding();
    }
  }

  #map(entries: Read[], place: Place, depth: number): void {
    this.#within(entries.length, MAX_COLLECTION, 'entries in a map');
    const seen = new Set<string>();
    for (const { key, value } of entries) {
      const { string, integer } = key as { string?: bigint; integer?: bigint };
      const place_ = `${string}/${integer}`;
      if (seen.has(place_) || (string === undefined && integer === undefined)) this.#encoding();
      seen.add(place_);
      if (string !== undefined) this.#word(string);
      this.#term(value as Read, place, depth + 1);
    }
  }

  /** The Datalog version without which checks could not be said. A block may state a later one. */
  needs(checks: Read[]): number {
    const anyOp = (test: (op: Read) => boolean): boolean =>
      checks.some(({ queries }) => (queries as Read[]).some(({ expressions }) =>
        (expressions as Read[]).some(({ ops }) => (ops as Read[]).some(test))));
    const kinds = checks.map(({ kind }) => kind as number | undefined);
    if (kinds.includes(CHECK.reject)) return VERSION.most;
    const isNew = ({ value, closure, unary, binary }: Read): boolean =>
      closure !== undefined || (value && this.#hasNull(value as Read)) || unary?.kind >= UNARY.typeOf ||
      OF_3_3.has(binary?.kind as number);
    const asked = checks.flatMap(({ queries }) => (queries as Read[]).flatMap(({ body }) => body as Read[]));
    if (anyOp(isNew) || asked.some(({ terms }) => (terms as Read[]).some((term) => this.#hasNull(term)))) {
      return VERSION.most;
    }
    const scoped = checks.some(({ queries }) => (queries as Read[]).some(({ scope }) => (scope as Read[]).length > 0));
    const of31 = anyOp(({ binary }) => OF_3_1.has(binary?.kind as number));
    return scoped || of31 || kinds.some((kind) => kind !== undefined) ? VERSION.scopes : VERSION.least;
  }

  #hasNull({ null: nothing, set }: Read): boolean {
    return nothing !== undefined || (set !== undefined && (set as { items: Read[] }).items.some((item) => item.null));
  }
}

const OF_3_1: ReadonlySet<number> = new Set([BINARY.bitwiseAnd, BINARY.bitwiseOr, BINARY.bitwiseXor, BINARY.notEqual]);
const OF_3_3: ReadonlySet<number> = new Set(
  [BINARY.same, BINARY.different, BINARY.lazyAnd, BINARY.lazyOr, BINARY.all, BINARY.any, BINARY.ffi],
);
