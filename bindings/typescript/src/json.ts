/** JSON: read so strictly that no two readers could read it differently, and written in its one form (RFC 8785). */

import { byteLength, isWellFormed } from './bytes.js';
import { fold, isAscii, isPlain, MAX_FOLDED_BYTES } from './spelling.js';

/**
 * Objects are maps, so that no name (`__proto__`, `constructor`) means anything. A `bigint` is an integer beyond ±(2^53−1), where such
 * are read.
 */
export type Json = null | boolean | number | bigint | string | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

/** What is wrong with JSON that readers could read differently. */
export type Problem = 'json' | 'object' | 'repeated' | 'alike' | 'name' | 'integer' | 'large';

/** Thrown by what reads JSON here; whoever asks says it in words. */
export class Ambiguous extends Error {
  constructor(readonly problem: Problem) {
    super(problem);
  }
}

export function ambiguous(problem: Problem): never {
  throw new Ambiguous(problem);
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const TEXT = /"[^"\\\0-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\0-\x1f]*)*"/y;
const SPACE = /[ \t\n\r]*/y;
const WORDS: readonly [string, Json][] = [['null', null], ['true', true], ['false', false]];

class Parser {
  #at = 0;
  #values: number;
  #foldable = MAX_FOLDED_BYTES;

  constructor(readonly text: string, values: number, readonly large: boolean) {
    this.#values = values;
  }

  whole(levels: number): Json {
    const value = this.#value(levels);
    this.#match(SPACE);
    return this.#at === this.text.length ? value : ambiguous('json');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    this.#at += found?.length ?? 0;
    return found;
  }

  /** Passes spaces and this sign, if it comes next. */
  #sign(sign: string): boolean {
    this.#match(SPACE);
    if (this.text[this.#at] !== sign) return false;
    this.#at += 1;
    return true;
  }

  #value(levels: number): Json {
    if (this.#values-- === 0) ambiguous('large');
    if (this.#sign('[')) return this.#array(levels === 0 ? ambiguous('large') : levels - 1);
    if (this.#sign('{')) return this.#object(levels === 0 ? ambiguous('large') : levels - 1);
    if (this.text[this.#at] === '"') return this.#string();
    const number = this.#match(NUMBER);
    if (number !== undefined) return read(number, this.large);
    for (const [word, value] of WORDS) {
      if (this.text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    return ambiguous('json');
  }

  #string(): string {
    const text = JSON.parse(this.#match(TEXT) ?? ambiguous('json')) as string;
    return isWellFormed(text) ? text : ambiguous('json');
  }

  #array(levels: number): Json[] {
    const items: Json[] = [];
    if (this.#sign(']')) return items;
    do items.push(this.#value(levels));
    while (this.#sign(','));
    return this.#sign(']') ? items : ambiguous('json');
  }

  #object(levels: number): JsonObject {
    const members: JsonObject = new Map();
    if (this.#sign('}')) return members;
    do {
      this.#match(SPACE);
      const name = this.#string();
      if (!isPlain(name)) ambiguous('name');
      if (!isAscii(name) && (this.#foldable -= byteLength(name)) < 0) ambiguous('large');
      if (!this.#sign(':')) ambiguous('json');
      const value = this.#value(levels);
      if (members.has(name)) ambiguous('repeated');
      members.set(name, value);
    } while (this.#sign(','));
    if (!this.#sign('}')) ambiguous('json');
    return new Set([...members.keys()].map(fold)).size === members.size ? members : ambiguous('alike');
  }
}

/**
 * A number as it counts from here on. Beyond ±(2^53−1) each is an integer, which readers round differently. Where such are read, one of
 * 64 bits is that, if it is written in digits alone.
 */
function read(text: string, large: boolean): number | bigint {
  const number = Number(text);
  if (!Number.isFinite(number)) ambiguous('json');
  if (Math.abs(number) <= Number.MAX_SAFE_INTEGER) return number === 0 ? 0 : number;
  const integer = large && /^-?[0-9]+$/.test(text) ? BigInt(text) : undefined;
  return integer !== undefined && BigInt.asIntN(64, integer) === integer ? integer : ambiguous('integer');
}

/** Reads any JSON of at most so many levels and values; with `large`, integers of 64 bits, too. */
export function parseStrictly(text: string, levels: number, values: number, large = false): Json {
  return isWellFormed(text) ? new Parser(text, values, large).whole(levels) : ambiguous('json');
}

/** The RFC 8785 form, with integers beyond ±(2^53−1) as their digits. */
export function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'bigint') return String(value);
  if (!(value instanceof Map)) return JSON.stringify(value);
  // By UTF-16 code units, as JavaScript sorts.
  const names = [...value.keys()].sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value.get(name)!)}`).join(',')}}`;
}

/** A member of an object, or `undefined`; of what is no object, too. */
export const member = (value: Json | undefined, name: string): Json | undefined =>
  value instanceof Map ? value.get(name) : undefined;

/**
 * Writes a value of JavaScript's as JSON of at most so many levels, characters and values, for which each part of it is read once.
 * Refuses what JSON has not and what `JSON.stringify` would change or leave out: getters, `undefined`, symbols, functions,
 * objects of a class, holes; and a `bigint`, but with `large`.
 */
export function stringifyStrictly(value: unknown, levels: number, characters: number, values: number, large = false): string {
  let left = characters;
  const spend = (text: string): string => ((left -= text.length + 1) < 0 ? ambiguous('large') : text);
  const leaf = (value: unknown): string => {
    if (value === null || typeof value === 'boolean' || (large && typeof value === 'bigint')) return String(value);
    // It may have been rounded by now.
    if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) ambiguous('integer');
    const isFit = typeof value === 'number' ? Number.isFinite(value) : typeof value === 'string' && isWellFormed(value);
    return isFit ? JSON.stringify(value) : ambiguous('json');
  };
  const write = (value: unknown, levels: number): string => {
    if (values-- === 0) ambiguous('large');
    if (typeof value !== 'object' || value === null) return spend(leaf(value));
    if (levels === 0) ambiguous('large');
    const isArray = Array.isArray(value);
    // Each item has a character and a comma at least.
    if (isArray && (value.length * 2 > left || value.length > values)) ambiguous('large');
    const prototype: unknown = Object.getPrototypeOf(value);
    if (!isArray && prototype !== null && Object.getPrototypeOf(prototype) !== null) return ambiguous('json');
    spend('');
    const inner: string[] = [];
    for (const name of Reflect.ownKeys(value)) {
      if (isArray && name === 'length') continue;
      const found = Object.getOwnPropertyDescriptor(value, name);
      if (typeof name !== 'string' || !found?.enumerable || !('value' in found)) return ambiguous('json');
      if (isArray && name !== String(inner.length)) ambiguous('json');
      const text = isArray ? '' : `${spend(leaf(name))}:`;
      inner.push(text + write(found.value, levels - 1));
    }
    if (!isArray) return `{${inner.join(',')}}`;
    return inner.length === value.length ? `[${inner.join(',')}]` : ambiguous('json');
  };
  return write(value, levels);
}
