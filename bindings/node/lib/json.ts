/** JSON: is a value of JavaScript's what JSON has, exactly? And back, without rounding. */

import { HardtackError } from './errors.js';

/** The most levels, characters and values that are written; the library takes fewer, and says so. */
const MAX_LEVELS = 104;
const MAX_CHARACTERS = 8 * 1024 * 1024;
const MAX_VALUES = 200_100;

/** The integers that a library with 64 bits reads. */
const [LEAST, MOST] = [-(2n ** 63n), 2n ** 63n - 1n];

function inexact(what: string): never {
  throw new HardtackError('inexact_call', `the arguments ${what}`, { status: 400 });
}

function tooLarge(): never {
  const limits = `${MAX_CHARACTERS} characters, ${MAX_VALUES} values or ${MAX_LEVELS} levels`;
  throw new HardtackError('call_too_large', `the arguments are larger than ${limits}, or contain themselves`, { status: 400 });
}

function numberText(value: number): string {
  if (!Number.isFinite(value)) return inexact('have a number that is not finite');
  if (Object.is(value, -0)) return inexact('have -0, which JSON writes as 0 and other readers keep');
  // It may have been rounded by now.
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    return inexact('have an integer beyond ±9007199254740991, which may have been rounded; give it as a bigint, or as the text of JSON');
  }
  return String(value);
}

function stringText(value: string): string {
  return value.isWellFormed() ? JSON.stringify(value) : inexact('have half of a surrogate pair');
}

function leaf(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return stringText(value);
    case 'number':
      return numberText(value);
    case 'boolean':
      return String(value);
    case 'bigint':
      return value >= LEAST && value <= MOST ? String(value) : inexact('have an integer of more than 64 bits');
    case 'object':
      return 'null';
    default:
      return inexact(`have ${value === undefined ? 'undefined' : `a ${typeof value}`}, which JSON has not`);
  }
}

/** What an object's own member holds. A getter could say something else each time it is asked. */
function held(value: object, name: string | symbol): unknown {
  if (typeof name === 'symbol') inexact('have a symbol as a name, which JSON has not');
  const found = Object.getOwnPropertyDescriptor(value, name);
  if (found === undefined || !('value' in found)) return inexact('have a getter, which can answer differently each time');
  if (!found.enumerable) inexact('have a member that is not enumerable, which JSON leaves out');
  if (name === '__proto__') inexact('have a member __proto__, which changes an object that it is copied to');
  return found.value;
}

/** Only what has no behaviour of its own: a class can have `toJSON`, or members that JSON does not show. */
function checkPlain(value: object, isArray: boolean): void {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (isArray ? prototype === Array.prototype : prototype === Object.prototype || prototype === null) return;
  // Of another realm, such as of node:vm: an object whose prototype is the root there.
  if (!isArray && prototype !== null && Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'hasOwnProperty')) return;
  inexact('have an object of a class, or with a prototype of its own, which JSON has not');
}

/**
 * Writes an object as JSON, for which each part of it is read once. Refuses what JSON has not and what `JSON.stringify` would change,
 * leave out or ask for.
 */
export function stringifyExactly(given: object): string {
  let [left, values] = [MAX_CHARACTERS, MAX_VALUES];
  const spend = (text: string): string => ((left -= text.length + 1) < 0 ? tooLarge() : text);
  const write = (value: unknown, levels: number): string => {
    if (values-- === 0) tooLarge();
    if (typeof value !== 'object' || value === null) return spend(leaf(value));
    if (levels === 0) tooLarge();
    const isArray = Array.isArray(value);
    checkPlain(value, isArray);
    spend('');
    return isArray ? writeArray(value, levels) : writeObject(value, levels);
  };
  const writeArray = (value: readonly unknown[], levels: number): string => {
    // Each item has a character and a comma at least.
    if (value.length * 2 > left || value.length > values) tooLarge();
    const names = Reflect.ownKeys(value);
    if (names.length !== value.length + 1) inexact('have an array with holes, or with members besides its items');
    const inner: string[] = [];
    for (let at = 0; at < value.length; at++) inner.push(write(held(value, String(at)), levels - 1));
    return `[${inner.join(',')}]`;
  };
  const writeObject = (value: object, levels: number): string => {
    const inner = Reflect.ownKeys(value).map((name) => {
      const inside = held(value, name);
      return `${spend(stringText(name as string))}:${write(inside, levels - 1)}`;
    });
    return `{${inner.join(',')}}`;
  };
  return write(given, MAX_LEVELS);
}

/** The text of a JSON object: such a text, or an object that JSON has as it is. */
export function jsonText(given: unknown, what: string): string {
  if (typeof given === 'string') {
    if (!given.isWellFormed()) inexact('have half of a surrogate pair');
    return given;
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new HardtackError('inexact_call', `${what} are an object, or the text of a JSON object`, { status: 400 });
  }
  return stringifyExactly(given);
}

/**
 * Reads canonical JSON of the library's. Integers beyond ±(2^53−1) become a `bigint`.
 * A member `__proto__` would be an object's own here, and change each object that it is copied to; calls have none.
 */
export function parseExactly(text: string): unknown {
  // A text that stands in no other: an integer behind it is one that a number would round.
  let mark = '#';
  while (text.includes(mark)) mark += '#';
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/g, (token) => {
    return /^-?[0-9]{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${mark}${token}"` : token;
  });
  const revive = (_: string, value: unknown): unknown =>
    typeof value === 'string' && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value;
  return marked === text ? JSON.parse(text) : JSON.parse(marked, revive);
}
