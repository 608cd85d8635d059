/** Points: do 32 bytes encode a point of the curve for which only its holder can sign (RFC 8032, section 5.1.3)? */

const P = (1n << 255n) - 19n;
const D = 37095705934669439343138083508754565189542113879843219016388785533085940283555n;

/** The y coordinates of the points of small order, for which anybody can make signatures. */
const Y8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022n;
const SMALL: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y8, P - Y8]);

/** How many keys are remembered: those of some ten chains. */
const MAX_REMEMBERED = 256;
const remembered = new Map<string, boolean>();

const modulo = (value: bigint): bigint => ((value % P) + P) % P;

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * base) % P;
    base = (base * base) % P;
  }
  return result;
}

function coordinate(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte, at) => (value << 8n) | BigInt(at === 31 ? byte & 0x7f : byte), 0n);
}

/** Whether the bytes say a point of small order, in whichever encoding. */
export const isWeak = (bytes: Uint8Array): boolean => SMALL.has(coordinate(bytes) % P);

function read(bytes: Uint8Array): boolean {
  const y = coordinate(bytes);
  if (y >= P || SMALL.has(y)) return false;
  // x² = (y² − 1) / (d y² + 1) must be a square.
  const above = modulo(y * y - 1n);
  const below = modulo(D * y * y + 1n);
  return power((above * below) % P, (P - 1n) / 2n) === 1n;
}

/** Whether the bytes are a key that is used here: a point in its one encoding, and not one of small order. */
export function isUsable(bytes: Uint8Array): boolean {
  const place = String(bytes);
  const known = remembered.get(place);
  if (known !== undefined) return known;
  const usable = bytes.length === 32 && read(bytes);
  remember(place, usable);
  return usable;
}

/** Notes a key that WebCrypto made, which is one without asking. */
export const trust = (bytes: Uint8Array): void => remember(String(bytes), true);

function remember(place: string, usable: boolean): void {
  if (remembered.size >= MAX_REMEMBERED) remembered.delete(remembered.keys().next().value!);
  remembered.set(place, usable);
}
