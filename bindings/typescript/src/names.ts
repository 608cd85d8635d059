/** Names: which texts may stand for a subject, an agent, an audience or a reason? Compared byte for byte. */

import { byteLength, isWellFormed } from './bytes.js';
import { refuse } from './error.js';
import { isPrintable, oddCharacter, shown, trim } from './text.js';

/** The most bytes of a subject's or agent's name. */
const MAX_NAME_BYTES = 128;

/** The most bytes of an audience, which has room for a URL, and of a reason, which is a sentence and no prompt. */
const MAX_TEXT_BYTES = 256;

const isIn = (pattern: RegExp) => (character: string): boolean => pattern.test(character);

/** The first thing that is wrong with a text, in words. */
function flaw(text: string, most: number, allowed: (character: string) => boolean): string | undefined {
  if (typeof text !== 'string') return 'it is no text';
  if (!isWellFormed(text)) return 'it has half a surrogate pair';
  if (trim(text) === '') return 'it is empty';
  const bytes = byteLength(text);
  return bytes > most ? `${shown(text)} has ${bytes} bytes` : oddCharacter(text, allowed);
}

export function subjectFlaw(name: string): string | undefined {
  const found = flaw(name, MAX_NAME_BYTES, isIn(/^[A-Za-z0-9_.:@/-]$/));
  return found ?? (name.includes(':') ? undefined : `${shown(name)} has no \`:\``);
}

export const agentFlaw = (name: string): string | undefined =>
  flaw(name, MAX_NAME_BYTES, isIn(/^[A-Za-z0-9_.@/-]$/));

export const audienceFlaw = (name: string): string | undefined => flaw(name, MAX_TEXT_BYTES, isIn(/^[!-~]$/));

export const reasonFlaw = (text: string): string | undefined => flaw(text, MAX_TEXT_BYTES, isPrintable);

export function checkAgent(name: string): void {
  const found = agentFlaw(name);
  const form = "an agent's name is 1 to 128 letters, digits or `_.@/-`, without `:`, such as agent.researcher";
  if (found !== undefined) refuse('malformed_name', `${found}; ${form}`);
}

export function checkAudience(name: string): void {
  const found = audienceFlaw(name);
  const form = 'an audience is 1 to 256 printable ASCII characters without spaces, such as notion.mcp';
  if (found !== undefined) refuse('malformed_name', `${found}; ${form}`);
}

export function checkReason(text: string): void {
  const found = reasonFlaw(text);
  const form = 'a reason is 1 to 256 bytes of printable text on one line, and says why';
  if (found !== undefined) refuse('malformed_name', `${found}; ${form}`);
}
