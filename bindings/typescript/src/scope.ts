/** Scope: which operations may be done, and does one scope lie within another? One matcher answers both. */

import { utf8 } from './bytes.js';
import { refuse } from './error.js';
import { isPlain } from './spelling.js';
import { oddCharacter, shown } from './text.js';

const MAX_SEGMENTS = 8;
const MAX_SEGMENT_BYTES = 128;

/** The first segment that a bare `*` does not cover. */
export const RESERVED_SEGMENT = 'hardtack';

const SEGMENT = /^[A-Za-z0-9_.-]{1,128}$/;

/** What all operations begin with that get a prompt, and a segment behind it: what may stand as it is is not escaped. */
const PROMPTS = 'prompts:get:';
const OF_PROMPT = /^(?:[A-Za-z0-9_.-]|%(?!2[DE]|3[0-9]|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9A])[0-9A-F]{2}){1,128}$/;

const FORM =
  'a scope or operation is segments of 1 to 128 letters, digits, `_`, `.` or `-`, joined by `:`, with `*` only as the ' +
  'whole last segment (such as tools:call:*); behind prompts:get: others stand as escapes (prompts:get:code%20review)';

/** Whether a text is a scope; an operation is one without `*`. */
export function isScope(text: string): boolean {
  const segments = text.split(':');
  if (segments.length > MAX_SEGMENTS) return false;
  if (segments.at(-1) === '*') segments.pop();
  const isPrompt = text.startsWith(PROMPTS);
  if (!segments.every((segment, at) => (isPrompt && at >= 2 ? OF_PROMPT : SEGMENT).test(segment))) return false;
  return segments.length < 3 || !isPrompt || isOwn(segments.slice(2).join(':'));
}

/** Whether what stands behind PROMPTS is what is written for the name that it stands for. */
function isOwn(written: string): boolean {
  try {
    return operationOfPrompt(decodeURIComponent(written)) === PROMPTS + written;
  } catch {
    return false;
  }
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

/** The operation that gets the prompt of a name: what a segment has no room for is escaped, and a colon alone separates. */
export function operationOfPrompt(name: string): string {
  if (typeof name !== 'string' || !isPlain(name) || name.normalize('NFC') !== name || /^ | $/.test(name)) {
    refuse('inexact_call', 'the name of a prompt is a text that prints, in normal form (NFC) and without spaces around it');
  }
  const escape = (c: string, at: number): string => {
    const isColon = (other: string | undefined): boolean => other === undefined || other === ':';
    if (c === ':' && !isColon(name[at - 1]) && !isColon(name[at + 1])) return c;
    return [...utf8(c)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  };
  return PROMPTS + name.replace(/[^A-Za-z0-9_.-]/gu, escape);
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
