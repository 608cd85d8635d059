/** Scope: which operations may be done, and does one scope lie within another? One matcher answers both. */

import { refuse } from './error.js';
import { oddCharacter, shown } from './text.js';

const MAX_SEGMENTS = 8;
const MAX_SEGMENT_BYTES = 128;

/** The first segment that a bare `*` does not cover. */
export const RESERVED_SEGMENT = 'hardtack';

const SEGMENT = /^[A-Za-z0-9_.-]{1,128}$/;

const FORM =
  'a scope or operation is segments of 1 to 128 letters, digits, `_`, `.` or `-`, joined by `:`, with `*` only as the ' +
  'whole last segment (such as tools:call:*)';

/** Whether a text is a scope; an operation is one without `*`. */
export function isScope(text: string): boolean {
  const segments = text.split(':');
  if (segments.length > MAX_SEGMENTS) return false;
  if (segments.at(-1) === '*') segments.pop();
  return segments.every((segment) => SEGMENT.test(segment));
}

/** The first thing that keeps a text from being a scope, in words. */
function flaw(text: string): string {
  if (text === '') return 'it is empty';
  let place = 1;
  for (const segment of text.split(':')) {
    if (segment === '') return `${shown(text)} has an empty segment at place ${place}`;
    const star = [...segment].findIndex((c) => !/[A-Za-z0-9_.-]/.test(c));
    if ([...segment][star] === '*') {
      return `${shown(text)} has a * at place ${place + star}, where it is not the whole last segment`;
    }
    if (star >= 0) break;
    if (segment.length > MAX_SEGMENT_BYTES) {
      return `${shown(text)} has a segment of ${segment.length} bytes at place ${place}`;
    }
    place += segment.length + 1;
  }
  return oddCharacter(text, (c) => /[A-Za-z0-9_.:-]/.test(c)) ?? shown(text);
}

export function checkScope(text: string): string {
  if (typeof text !== 'string') refuse('malformed_scope', `a scope is a text; ${FORM}`);
  if (isScope(text)) return text;
  if (text.split(':').length > MAX_SEGMENTS) refuse('malformed_scope', 'a scope has at most 8 segments');
  return refuse('malformed_scope', `${flaw(text)}; ${FORM}`);
}

/** Refuses what is no operation, under the cause of calls. */
export function checkOperation(text: string): string {
  if (isScope(text) && !text.includes('*')) return text;
  if (text.split(':').length > MAX_SEGMENTS) refuse('inexact_call', 'a scope has at most 8 segments');
  if (text.includes('*')) refuse('inexact_call', 'an operation is one thing, without `*`');
  return refuse('inexact_call', `${flaw(text)}; ${FORM}`);
}

/** What stands before the final `*`; `undefined` for a scope that is a single operation. */
export const wildcardPrefix = (scope: string): string | undefined =>
  scope.endsWith('*') ? scope.slice(0, -1) : undefined;

/** Whether a scope covers an operation, or a whole other scope. */
export function covers(scope: string, other: string): boolean {
  const prefix = wildcardPrefix(scope);
  if (prefix === undefined) return scope === other;
  return prefix === '' ? other.split(':')[0] !== RESERVED_SEGMENT : other.startsWith(prefix);
}
