/** Cost: an upper bound of the work that a decision about a token can take, in the verifier's units of some 40 ns. */

import { byteLength, type Bytes } from './bytes.js';
import { isFunction } from './constraint.js';
import { refuse } from './error.js';
import type { Read } from './proto.js';
import { BINARY, UNARY } from './schema.js';
import type { Block } from './shape.js';

/** The most that a token may cost. */
const MAX_COST = 50_000;

// What things cost there (`src/profile/cost.rs` says why).
const BYTES_PER_UNIT = 64;
const UNITS_PER_MATCH = 8;
const UNITS_PER_CLOSURE = 8;
const WORDS_PER_UNIT = 4;
const CLONES_PER_MATCH = 5;
const UNITS_PER_CALL = 20;
const JUDGED_PER_UNIT = 2;
const UNITS_PER_PATTERN_BYTE = 4;
const STEPS_PER_UNIT = 8;
const UNITS_PER_ENTRY = 2;
const UNITS_PER_TREE = 4;
const FACTS_PER_UNIT = 2;
const UNITS_PER_BLOCK = 1000;
const UNITS_PER_VALUE = 20;
const MAX_SYMBOLS = 256;
const MAX_JUDGED_BYTES = 4096;
const MAX_OPERAND_BYTES = 512;

/** How large a value can be: what it holds at all depths, and the bytes of its longest string. */
interface Extent {
  readonly values: number;
  readonly bytes: number;
}

const NOTHING: Extent = { values: 0, bytes: 0 };
const single = (bytes: number): Extent => ({ values: 1, bytes });
const TREE: Extent = { values: 1 + UNITS_PER_TREE, bytes: 0 };
const both = (a: Extent, b: Extent): Extent => ({ values: a.values + b.values, bytes: a.bytes + b.bytes });
const larger = (a: Extent, b: Extent): Extent =>
  ({ values: Math.max(a.values, b.values), bytes: Math.max(a.bytes, b.bytes) });
const units = ({ values, bytes }: Extent): number => values + Math.floor(bytes / BYTES_PER_UNIT);

type Words = (number: bigint) => string;
type Bindings = ReadonlyMap<number, Extent>;

/** `entryBytes`: whether the names in maps count, as they do in facts and not in queries. */
function extentOf(term: Read, words: Words, bindings: Bindings, entryBytes: boolean): Extent {
  const inner = (of: Extent, terms: Read[]): Extent =>
    terms.reduce<Extent>((sum, term) => both(sum, extentOf(term, words, bindings, entryBytes)), of);
  if (term.variable !== undefined) return bindings.get(term.variable as number) ?? NOTHING;
  if (term.string !== undefined) return single(byteLength(words(term.string as bigint)));
  if (term.bytes) return single((term.bytes as Bytes).length);
  if (term.set) return inner(TREE, (term.set as { items: Read[] }).items);
  if (term.array) return inner(single(0), (term.array as { items: Read[] }).items);
  if (!term.map) return single(0);
  let sum = TREE;
  for (const { key, value } of (term.map as { entries: Read[] }).entries) {
    const name = entryBytes ? (key as { string?: bigint }).string : undefined;
    const entry = { values: UNITS_PER_ENTRY, bytes: name === undefined ? 0 : byteLength(words(name)) };
    sum = both(sum, both(entry, extentOf(value as Read, words, bindings, entryBytes)));
  }
  return sum;
}

/** The facts that queries can meet: the token's own, and what a verifier asserts for every request. */
class Facts {
  count = 0;
  values = 0;
  words = 0;
  readonly named = new Map<string, { count: number; largest: Extent }>();

  add(name: string, count: number, largest: Extent): void {
    this.count += count;
    this.words += count * (largest.values + 1);
    const known = this.named.get(name) ?? { count: 0, largest: NOTHING };
    this.named.set(name, { count: known.count + count, largest: larger(known.largest, largest) });
  }
}

const ASSERTED = 'time operation granted tool resource call verifier issuer presented depth agent agent_key'.split(' ');
const ASSERTED_OF_HOPS = ['delegated', 'delegated_key', 'unbound'];

class Query {
  constructor(readonly words: Words, readonly facts: Facts) {}

  bound(query: Read): number {
    const body = query.body as Read[];
    const scan = 1 + (body.length > 1 ? this.facts.count : Math.floor(this.facts.count / FACTS_PER_UNIT));
    let [matches, work] = [1, 0];
    const bindings = new Map<number, Extent>();
    for (const predicate of body) {
      const { count, largest } = this.facts.named.get(this.words(predicate.name as bigint)) ?? { count: 0, largest: NOTHING };
      let compared = 0;
      for (const term of predicate.terms as Read[]) {
        if (term.variable !== undefined) bindings.set(term.variable as number, largest);
        else compared += Math.max(Math.min(this.#term(term, bindings).values, largest.values) - 1, 0);
      }
      work += matches * (scan + count * compared);
      matches *= count;
      work += matches * total(bindings) * CLONES_PER_MATCH;
    }
    const start = UNITS_PER_MATCH + total(bindings);
    const each = (query.expressions as Read[]).map(({ ops }) => this.#operations(ops as Read[], bindings)[0]);
    return work + matches * each.reduce((sum, cost) => sum + cost, start);
  }

  #term(term: Read, bindings: Bindings): Extent {
    return extentOf(term, this.words, bindings, false);
  }

  #operations(ops: Read[], bindings: Bindings): [work: number, result: Extent] {
    const stack: (Extent | { closure: Read } | undefined)[] = [];
    let work = ops.length;
    for (const op of ops) {
      if (op.value) {
        const extent = this.#term(op.value as Read, bindings);
        work += units(extent);
        stack.push(extent);
      } else if (op.closure) {
        work += this.#copy((op.closure as { ops: Read[] }).ops);
        stack.push({ closure: op.closure as Read });
      } else if (op.binary) {
        const { kind, ffiName } = op.binary as { kind: number; ffiName?: bigint };
        const [right, left] = [stack.pop(), stack.pop()];
        if (left && right && 'values' in left && 'values' in right && ffiName !== undefined) {
          work += this.#call(this.words(ffiName), left, right);
        }
        const [more, result] = this.#binary(kind, left, right, bindings);
        work += more;
        stack.push(result);
      } else {
        const last = stack.at(-1);
        if (last && 'values' in last) work += units(last);
        if ((op.unary as Read).kind === UNARY.typeOf) work += this.#lookup();
      }
    }
    const last = stack.pop();
    return [work, last && 'values' in last ? last : NOTHING];
  }

  #copy(ops: Read[]): number {
    return ops.reduce((sum, { value, closure }) => {
      if (closure) return sum + this.#copy((closure as { ops: Read[] }).ops);
      return sum + (value ? units(this.#term(value as Read, new Map())) : 0);
    }, ops.length);
  }

  #lookup(): number {
    return 1 + Math.floor((this.facts.words + MAX_SYMBOLS) / WORDS_PER_UNIT);
  }

  #call(name: string, left: Extent, right: Extent): number {
    const text = Math.min(left.bytes, MAX_JUDGED_BYTES);
    const operand = Math.min(right.bytes, MAX_OPERAND_BYTES);
    const judge = isFunction(name);
    const bytes = text + operand;
    if (judge === 'url') return UNITS_PER_CALL + bytes;
    if (judge !== 'like') return UNITS_PER_CALL + Math.floor(bytes / JUDGED_PER_UNIT);
    return UNITS_PER_CALL + bytes * UNITS_PER_PATTERN_BYTE + Math.floor((text * operand) / STEPS_PER_UNIT);
  }

  #binary(
    kind: number,
    left: Extent | { closure: Read } | undefined,
    right: Extent | { closure: Read } | undefined,
    bindings: Bindings,
  ): [work: number, result: Extent] {
    if (!left || !right) return [0, NOTHING];
    if ('values' in left && 'values' in right) {
      const all = both(left, right);
      return [units(all) + (kind === BINARY.add ? this.#lookup() : 0), all];
    }
    if ('values' in left && 'closure' in right) return this.#closure(right.closure, left, bindings);
    if ('closure' in left && 'values' in right) return this.#closure(left.closure, right, bindings);
    return [0, NOTHING];
  }

  #closure(closure: Read, over: Extent, bindings: Bindings): [work: number, result: Extent] {
    const { params, ops } = closure as unknown as { params: number[]; ops: Read[] };
    const start = UNITS_PER_CLOSURE + total(bindings);
    const copy = this.#copy(ops);
    if (params.length === 0) {
      const [body, result] = this.#operations(ops, bindings);
      return [start + copy + body, larger(result, over)];
    }
    const inner = new Map(bindings);
    for (const name of params) inner.set(name, { values: 1, bytes: over.bytes });
    const [body] = this.#operations(ops, inner);
    const turns = over.values * (body + UNITS_PER_CLOSURE + copy);
    return [start + turns + over.values * ops.length, single(0)];
  }
}

const total = (bindings: Bindings): number => [...bindings.values()].reduce((sum, { values }) => sum + values, 0);

/** Refuses blocks that could cost more than a decision may. */
export function checkCost(blocks: readonly Block[], hops: number): void {
  const facts = new Facts();
  for (const { facts: said, word } of blocks) {
    for (const { name, terms } of said) {
      const largest = (terms as Read[]).map((term) => extentOf(term, word, new Map(), true)).reduce(larger, NOTHING);
      facts.values += 1;
      facts.add(word(name as bigint), 1, largest);
    }
  }
  for (const name of ASSERTED) facts.add(name, 1, single(0));
  for (const name of ASSERTED_OF_HOPS) facts.add(name, hops, single(0));
  facts.add('arg', 0, single(0));
  const queries = blocks.flatMap(({ raw, word }) =>
    (raw.checks as Read[]).flatMap(({ queries }) => (queries as Read[]).map((query) => new Query(word, facts).bound(query))));
  const cost = queries.reduce((sum, cost) => sum + cost, UNITS_PER_BLOCK * blocks.length + UNITS_PER_VALUE * facts.values);
  if (cost > MAX_COST) {
    refuse('too_costly', `evaluating the token's checks could cost ${cost} units, more than ${MAX_COST}`);
  }
}
