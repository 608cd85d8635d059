/** Life: when does what is signed now expire? All in whole seconds. */

import { refuse } from './error.js';
import { duration, moment } from './text.js';

/** The longest lives that verifiers accept, and what is given where none is asked for. */
export const LONGEST = { hop: 3600, session: 600, call: 120 } as const;
export const DEFAULT = { hop: 900, session: 300, call: 60 } as const;

/** The end of the year 9999, the last moment that RFC 3339 can write. */
export const MAX_MOMENT = 253_402_300_799;

/** A clock in whole seconds since 1970. */
export type Clock = () => number;

export const clock: Clock = () => Math.floor(Date.now() / 1000);

/** A moment that somebody gives: a `Date`, or seconds since 1970. */
export function seconds(now: Date | number | undefined): number {
  const given = now instanceof Date ? Math.floor(now.getTime() / 1000) : now ?? clock();
  return Number.isFinite(given) && given >= 0
    ? Math.min(Math.floor(given), MAX_MOMENT)
    : refuse('malformed_life', 'a moment is a Date, or seconds since 1970');
}

/** The longest life of a hop that may be asked for, if somebody says another one. */
export function longestOf(given: number | undefined): number {
  if (given === undefined) return LONGEST.hop;
  return Number.isSafeInteger(given) && given >= 1
    ? given
    : refuse('malformed_life', 'the longest life is at least one second, in whole seconds');
}

/** The expiry of a block signed `now` under a parent. What was asked for is given whole or not at all. */
export function expiry(
  now: number,
  parent: number,
  asked: number | undefined,
  usual: number,
  longest: number,
): number {
  if (parent <= now) {
    refuse('expired', `the token expired at ${moment(parent)}; ask whoever delegated it for a new one`);
  }
  if (asked === undefined) return Math.min(now + Math.min(usual, longest), parent);
  if (!Number.isSafeInteger(asked) || asked < 1) {
    refuse('malformed_life', 'a life is at least one second, in whole seconds');
  }
  if (asked > longest) {
    const bound = `the ${duration(longest)} that verifiers accept`;
    refuse('life_too_long', `a life of ${duration(asked)} is longer than ${bound}; ask for less`);
  }
  const expires = Math.min(now + asked, MAX_MOMENT);
  if (expires > parent) {
    const end = `it would expire at ${moment(expires)}, after its parent, which expires at ${moment(parent)}`;
    refuse('beyond_expiry', `${end}; ask for at most ${duration(parent - now)}`);
  }
  return expires;
}
