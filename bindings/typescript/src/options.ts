/** Options: what is given by name, read once, and refused if it is unknown or has no value that can be one. */

import { refuse } from './error.js';

/** What every object has, and nobody gave. */
const EVERYBODYS = new Set<unknown>([Object.prototype, null]);

/** The names that an object or what it inherits from shows: enumerable ones, and the getters of a class. */
function namesOf(given: object): string[] {
  const names: string[] = [];
  for (let of: object | null = given; !EVERYBODYS.has(of); of = Object.getPrototypeOf(of) as object | null) {
    for (const [name, { enumerable, get }] of Object.entries(Object.getOwnPropertyDescriptors(of!))) {
      if (enumerable || get !== undefined) names.push(name);
    }
  }
  return names;
}

/**
 * Reads each known member of `given` by its name, once: also what it inherits, and what a getter returns. Lists are copied. An unknown
 * name is refused, since what it asks for would be missing, and so is `null`, which is not the same as nothing.
 */
export function optionsOf<T extends object>(given: T, what: string, known: readonly (keyof T & string)[]): T {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    refuse('unsupported', `${what} is an object with ${known.join(', ')}`);
  }
  const odd = namesOf(given).find((name) => !(known as readonly string[]).includes(name));
  if (odd !== undefined) {
    const why = odd.startsWith('check')
      ? 'this package writes no Datalog checks of your own; use `allow`, or delegate with the hardtack command (--check)'
      : `${what} has no ${JSON.stringify(odd)}; it has ${known.join(', ')}`;
    refuse('unsupported', why);
  }
  const read: Partial<T> = {};
  for (const name of known) {
    const value: unknown = given[name];
    if (value === null) refuse('unsupported', `${what} has null as ${name}; leave it out instead`);
    if (value !== undefined) read[name] = (Array.isArray(value) ? [...(value as unknown[])] : value) as T[typeof name];
  }
  return read as T;
}
