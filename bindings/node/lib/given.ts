/** Given: what do arguments of JavaScript's mean: texts, moments, lives, lists, options? */

import { refuse } from './errors.js';

/** Seconds since 1970, or a Date. */
export type Moment = number | Date;

/** One text, or several. */
export type Texts = string | readonly string[];

/** Whether something else is to be taken for the moment of a decision. */
export interface At {
  /** The moment, in seconds since 1970 or as a Date; now, if it is left out. */
  readonly now?: Moment | undefined;
}

/** A text. Half of a surrogate pair would reach the library as another character. */
export function text(given: unknown, what: string): string {
  if (typeof given !== 'string') throw new TypeError(`${what} is a text`);
  if (!given.isWellFormed()) throw new TypeError(`${what} has half of a surrogate pair`);
  return given;
}

export function texts(given: unknown, what: string): string[] {
  if (typeof given === 'string') return [text(given, what)];
  if (!Array.isArray(given)) throw new TypeError(`${what} is a text, or an array of texts`);
  return Array.from(given as unknown[], (one) => text(one, what));
}

/** A moment, in seconds since 1970; `undefined` is now. */
export function moment(at: At | undefined): number | undefined {
  if (at === undefined) return undefined;
  const { now } = optionsOf(at, 'the options', ['now']);
  return momentOf(now);
}

export function momentOf(now: unknown): number | undefined {
  if (now === undefined) return undefined;
  const seconds = now instanceof Date ? now.getTime() / 1000 : now;
  if (typeof seconds !== 'number') throw new TypeError('a moment is a number of seconds since 1970, or a Date');
  // Date.now() is in milliseconds, some 50,000 years ahead.
  if (!(seconds >= 0 && seconds < 100_000_000_000)) refuse('malformed_time', 'a moment lies after 1970, in seconds and not in milliseconds');
  return seconds;
}

/** A life, in seconds. */
export function life(given: unknown, what: string): number {
  if (typeof given !== 'number') throw new TypeError(`${what} is a number of seconds`);
  return Number.isSafeInteger(given) && given > 0 ? given : refuse('malformed_life', `${what} is at least one second, in whole seconds`);
}

export function flag(given: unknown, what: string): boolean {
  if (given === undefined) return false;
  if (typeof given !== 'boolean') throw new TypeError(`${what} is true or false`);
  return given;
}

/** A whole number that fits into 32 bits. */
export function whole(given: unknown, what: string, most = 2 ** 32 - 1): number {
  if (!Number.isSafeInteger(given) || (given as number) < 0 || (given as number) > most) {
    throw new TypeError(`${what} is a whole number from 0 to ${most}`);
  }
  return given as number;
}

/** Bytes, as they are now: another thread could change what a SharedArrayBuffer holds. */
export function bytes(given: unknown, what: string): Uint8Array {
  if (!(given instanceof Uint8Array)) throw new TypeError(`${what} are a Uint8Array`);
  return Uint8Array.from(given);
}

/** What every object has, and nobody gave. */
const EVERYBODYS = new Set<unknown>([Object.prototype, null]);

/**
 * Reads each known member of `given` by its name, once. Lists are copied. An unknown name is refused, since what it asks for would be
 * missing, and so is `null`, which is not the same as nothing.
 */
export function optionsOf<T extends object>(given: T, what: string, known: readonly (keyof T & string)[]): T {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new TypeError(`${what} are an object with ${known.join(', ')}`);
  }
  for (let of: object | null = given; !EVERYBODYS.has(of); of = Object.getPrototypeOf(of) as object | null) {
    for (const [name, { enumerable, get }] of Object.entries(Object.getOwnPropertyDescriptors(of!))) {
      if ((enumerable || get !== undefined) && !(known as readonly string[]).includes(name)) {
        throw new TypeError(`${what} have no ${JSON.stringify(name)}; they have ${known.join(', ')}`);
      }
    }
  }
  // Without a prototype: who takes it apart shall find in it what was given alone.
  const read = Object.create(null) as Partial<T>;
  for (const name of known) {
    // Of Object.prototype nothing is taken, which others may have changed.
    const value: unknown = Object.hasOwn(Object.prototype, name) && !Object.hasOwn(given, name) ? undefined : given[name];
    if (value === null) throw new TypeError(`${what} have null as ${name}; leave it out instead`);
    if (value !== undefined) read[name] = (Array.isArray(value) ? [...(value as unknown[])] : value) as T[typeof name];
  }
  return read as T;
}
