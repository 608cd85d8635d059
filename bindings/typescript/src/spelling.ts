/** Spelling: which names of JSON members do readers take for one? */

import { isPrintable } from './text.js';

/** The most bytes of names that are not ASCII, of all objects of one text. */
export const MAX_FOLDED_BYTES = 8 * 1024;

export const isAscii = (text: string): boolean => /^[\0-\x7f]*$/.test(text);

/** Whether every character of a name is to be seen, and no blank but a space. */
export const isPlain = (name: string): boolean =>
  /^[ -~]*$/.test(name) ||
  [...name].every((c) => (isAscii(c) ? /^[ -~]$/.test(c) : isPrintable(c) && !/^\p{White_Space}$/u.test(c)));

const trimSpaces = (text: string): string => text.replace(/^ +| +$/g, '');

function foldOnce(name: string): string {
  const cased = name.normalize('NFKC').toLowerCase().toUpperCase().toLowerCase();
  const folded = cased.replaceAll('i\u0307', 'i').replaceAll('\u03c2', '\u03c3');
  return trimSpaces(folded.normalize('NFKC'));
}

/** One text for all spellings of a name: without capitals, in compatibility form, without spaces around it. */
export function fold(name: string): string {
  name = trimSpaces(name);
  if (isAscii(name)) return name.toLowerCase();
  let [before, folded] = ['', foldOnce(name)];
  while (before !== folded) [before, folded] = [folded, foldOnce(folded)];
  return folded;
}
