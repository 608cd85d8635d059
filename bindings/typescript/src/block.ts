/** Block: the checks that hops and presentations write besides their facts. */

import type { Bytes } from './bytes.js';
import { about, binary, bytes, countOps, date, integer, joined, setOf, text, unary, value, variable, type Check, type Op } from './datalog.js';
import { refuse } from './error.js';
import { RESERVED_SEGMENT, wildcardPrefix } from './scope.js';

/** The most terms in a set, operations in a query, and alternatives in a check. */
export const MAX_COLLECTION = 64;
export const MAX_OPERATIONS = 32;
export const MAX_QUERIES = 4;

const compared = (name: string, with_: Parameters<typeof value>[0], by: Parameters<typeof binary>[0]): readonly Op[] =>
  [variable(name), value(with_), binary(by)];

const within = (texts: readonly string[], name: string): readonly Op[] =>
  [value(setOf(texts)), variable(name), binary('contains')];

/** `check all time($time), $time < expires` */
export const checkExpiry = (expires: number): Check => about('all', 'time', compared('time', date(expires), 'lessThan'));

/** `check all verifier($verifier), {…}.contains($verifier)` */
export const checkAudiences = (audiences: readonly string[]): Check =>
  about('all', 'verifier', within(audiences, 'verifier'));

/** `check if hop($hop), $hop > block trusting ed25519/…`: nothing, until that holder signs one more block. */
export const checkHolder = (block: number, holder: Bytes): Check =>
  about('one', 'hop', compared('hop', integer(block), 'greaterThan'), holder);

/** `check all call($call), $call == hex:…` */
export const checkCall = (digest: Bytes): Check => about('all', 'call', compared('call', bytes(digest), 'same'));

/** `check all call($call), {hex:…, …}.contains($call)` */
export function checkCalls(digests: readonly Bytes[]): Check {
  const distinct = new Map(digests.map((digest) => [String(digest), digest]));
  const set = value(['set', [...distinct.values()].map(bytes)]);
  return about('all', 'call', [set, variable('call'), binary('contains')]);
}

/** `reject if depth($depth), $depth > max`, which grants have. */
export const checkDepth = (most: number): Check =>
  about('reject', 'depth', compared('depth', integer(most), 'greaterThan'));

function coveredBy(prefix: string): readonly Op[] {
  if (prefix !== '') return compared('operation', text(prefix), 'prefix');
  const reserved = [
    compared('operation', text(`${RESERVED_SEGMENT}:`), 'prefix'),
    compared('operation', text(RESERVED_SEGMENT), 'same'),
  ];
  return [...joined(reserved, 'lazyOr'), unary('parens'), unary('negate')];
}

/** `check all operation($operation), …`: some scope covers the operation; where one query has no room, `or`. */
export function checkScopes(scopes: readonly string[]): Check {
  const exact = scopes.filter((scope) => wildcardPrefix(scope) === undefined);
  const alternatives: (readonly Op[])[] = [];
  for (let at = 0; at < exact.length; at += MAX_COLLECTION) {
    alternatives.push(within(exact.slice(at, at + MAX_COLLECTION), 'operation'));
  }
  for (const scope of scopes) {
    const prefix = wildcardPrefix(scope);
    if (prefix !== undefined) alternatives.push(coveredBy(prefix));
  }
  const groups: (readonly Op[])[][] = [];
  for (const alternative of alternatives) {
    const last = groups.at(-1);
    if (last && countOps(joined([...last, alternative], 'lazyOr')) <= MAX_OPERATIONS) last.push(alternative);
    else groups.push([alternative]);
  }
  if (groups.length > MAX_QUERIES) {
    refuse('too_many', 'these are more scopes than one check can name (some 24 with `*`, 64 without); pass on a wider one, such as tools:call:*');
  }
  const queries = groups.flatMap((group) => about('all', 'operation', joined(group, 'lazyOr')).queries);
  return { ...about('all', 'operation', []), queries };
}
