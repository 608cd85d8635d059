/** Text: what is written for people, and which characters are to be seen? */

/** What `str::trim` of Rust takes off, which is other than what `String.trim` does. */
export const trim = (text: string): string => text.replace(/^\p{White_Space}+|\p{White_Space}+$/gu, '');

const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u;

/** Nothing that could hide or reorder text in a terminal. */
export const isPrintable = (character: string): boolean => !UNPRINTABLE.test(character);

/** Every character that does not print, written out. */
export const escaped = (text: string): string =>
  Array.from(text, (c) => (isPrintable(c) ? c : `\\u{${c.codePointAt(0)!.toString(16)}}`)).join('');

/** The most characters of a text that are shown: enough to know it by, and fewer than a key has. */
const MAX_SHOWN = 64;

/** A text that is refused, as far as it is shown. */
export function shown(text: string): string {
  const characters = [...text];
  return `"${escaped(characters.slice(0, MAX_SHOWN).join(''))}${characters.length > MAX_SHOWN ? '…' : ''}"`;
}

/** The first character of a text that may not be there, and its place, as words. */
export function oddCharacter(text: string, allowed: (character: string) => boolean): string | undefined {
  const characters = [...text];
  const at = characters.findIndex((character) => !allowed(character));
  const odd = characters[at];
  if (odd === undefined) return undefined;
  const named = odd === ' ' ? 'a blank' : `the character ${isPrintable(odd) ? `\`${odd}\`` : escaped(odd)}`;
  return `${shown(text)} has ${named} at place ${at + 1}`;
}

/** A moment as RFC 3339 in UTC. */
export const moment = (seconds: number): string => new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');

/** A duration as people write it: `1h 30m`, `90s`. */
export function duration(seconds: number): string {
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  return parts.filter(([count]) => count > 0).map(([count, unit]) => `${count}${unit}`).join(' ') || '0s';
}
