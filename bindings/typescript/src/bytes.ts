/** Bytes: as text and back, strictly, and compared. */

/** Bytes that are never of shared memory, as WebCrypto wants them. */
export type Bytes = Uint8Array<ArrayBuffer>;

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const VALUES = new Map([...ALPHABET].map((character, value) => [character, value]));

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export const utf8 = (text: string): Bytes => encoder.encode(text) as Bytes;

/** How many bytes a text has in UTF-8. */
export const byteLength = (text: string): number => utf8(text).length;

/** Reads UTF-8; `undefined` if it is none. */
export function fromUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** Whether no half of a surrogate pair stands alone. */
export const isWellFormed = (text: string): boolean => !/[\ud800-\udfff]/u.test(text);

export const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

/** Reads just so many bytes from hexadecimal digits; `undefined` for another text. */
export function fromHex(digits: string, length: number): Bytes | undefined {
  if (digits.length !== 2 * length || !/^[0-9a-fA-F]*$/.test(digits)) return undefined;
  return Uint8Array.from({ length }, (_, at) => parseInt(digits.slice(2 * at, 2 * at + 2), 16));
}

/** How many bytes become characters at once: arguments of a function are not without bound. */
const CHUNK = 8192;

/** URL-safe base64 (RFC 4648, section 5), with padding as Biscuit writes it. */
export function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_');
}

/** Reads it with all of its padding or none, and no bits left over; `undefined` for another text. */
export function fromBase64(text: string): Bytes | undefined {
  if (text.endsWith('=') && text.length % 4 !== 0) return undefined;
  const bare = text.replace(/={1,2}$/, '');
  if (bare.length % 4 === 1) return undefined;
  const bytes = new Uint8Array(Math.floor((bare.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const character of bare) {
    const value = VALUES.get(character);
    if (value === undefined) return undefined;
    bits = ((bits << 6) | value) & 0xffff;
    held += 6;
    if (held >= 8) bytes[at++] = (bits >> (held -= 8)) & 0xff;
  }
  return bits & ((1 << held) - 1) ? undefined : bytes;
}

export function concat(...parts: readonly Uint8Array[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export const same = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && one.every((byte, at) => byte === other[at]);

/** Compares texts as Rust does: by the bytes of UTF-8, which is by code points. */
export function compareTexts(one: string, other: string): number {
  const [a, b] = [[...one], [...other]];
  for (let at = 0; at < a.length && at < b.length; at++) {
    const difference = a[at]!.codePointAt(0)! - b[at]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
