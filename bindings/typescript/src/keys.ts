/** Keys: whose signature counts. Ed25519 by WebCrypto, in Biscuit's text form or PEM. */

import { concat, fromBase64, fromHex, hex, same, type Bytes } from './bytes.js';
import { refuse } from './error.js';
import { isUsable, isWeak, trust } from './points.js';

const ALGORITHM = 'Ed25519';

/** What stands before the seed in PKCS #8, and before the point in SPKI (RFC 8410). */
const PKCS8 = fromHex('302e020100300506032b657004220420', 16)!;
const SPKI = fromHex('302a300506032b6570032100', 12)!;

const PRIVATE = 'ed25519-private/';
const PUBLIC = 'ed25519/';

/** The bytes of a PEM of this label, if it is one and nothing else. */
function fromPem(text: string, label: string): Bytes | undefined {
  const found = new RegExp(`^-----BEGIN ${label}-----\\r?\\n([A-Za-z0-9+/=\\r\\n]+)-----END ${label}-----$`).exec(text);
  const base64 = found?.[1]?.replace(/[\r\n]/g, '').replaceAll('+', '-').replaceAll('/', '_');
  return base64 === undefined ? undefined : fromBase64(base64);
}

function malformedPem(): never {
  return refuse('malformed_key', 'this is no PEM of an ed25519 key (PKCS #8 for a private key, SPKI for a public one)');
}

/** What stands behind `start`, which is for keys of 32 bytes. */
function keyBytes(text: string, start: string, what: string): Bytes {
  if (text.startsWith(start.replace('ed25519', 'secp256r1'))) {
    refuse('malformed_key', 'only ed25519 keys are accepted: with secp256r1 a holder can make a second valid signature');
  }
  const bytes = text.startsWith(start) ? fromHex(text.slice(start.length), 32) : undefined;
  return bytes ?? refuse('malformed_key', `a ${what} key is written ${start}<64 hexadecimal digits>, or as PEM`);
}

/** An Ed25519 public key: a root's or a holder's. */
export class PublicKey {
  readonly #bytes: Bytes;
  #key: Promise<CryptoKey> | undefined;

  private constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  /** Reads a public key from its 32 bytes. Refuses what is no point of the curve, or one for which anybody can sign. */
  static fromBytes(bytes: Uint8Array): PublicKey {
    const copy = Uint8Array.from(bytes);
    return isUsable(copy)
      ? new PublicKey(copy)
      : refuse('malformed_key', 'these bytes are no usable ed25519 public key');
  }

  /** Reads a public key in Biscuit's text form, `ed25519/` and 64 hexadecimal digits, or in PEM (RFC 8410). */
  static parse(text: string): PublicKey {
    text = text.trim();
    if (text.startsWith(PRIVATE) || /^-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(text)) {
      refuse('key_kind', 'this is a private key where a public key belongs; treat it as exposed and make a new one');
    }
    if (!text.startsWith('-----BEGIN')) return PublicKey.fromBytes(keyBytes(text, PUBLIC, 'public'));
    const der = fromPem(text, 'PUBLIC KEY');
    if (der?.length !== 44 || !same(der.subarray(0, 12), SPKI)) return malformedPem();
    return PublicKey.fromBytes(der.subarray(12));
  }

  /** Returns the key's 32 bytes. */
  toBytes(): Uint8Array {
    return this.#bytes.slice();
  }

  /** Writes the key as `ed25519/` and 64 hexadecimal digits. */
  toString(): string {
    return PUBLIC + hex(this.#bytes);
  }

  toJSON(): string {
    return this.toString();
  }

  /** Returns true if it is the same key. */
  equals(other: PublicKey): boolean {
    return same(this.#bytes, other.#bytes);
  }

  /** @internal */
  async verify(message: Bytes, signature: Bytes): Promise<boolean> {
    this.#key ??= importPublic(this.#bytes);
    return isSigned(await this.#key, message, signature);
  }
}

function importPublic(bytes: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, ALGORITHM, false, ['verify']);
}

/** Strictly: no signature whose point is one of small order. */
async function isSigned(key: CryptoKey, message: Bytes, signature: Bytes): Promise<boolean> {
  return !isWeak(signature.subarray(0, 32)) && crypto.subtle.verify(ALGORITHM, key, signature, message);
}

/** Whether a throw-away key, which may be no point at all, signed this. */
export async function verifyBy(bytes: Bytes, message: Bytes, signature: Bytes): Promise<boolean> {
  if (isWeak(bytes)) return false;
  try {
    return await isSigned(await importPublic(bytes), message, signature);
  } catch {
    return false;
  }
}

/** The public half of a key that WebCrypto has: it is a point, since it was made of a seed there. */
async function publicOf(key: CryptoKey): Promise<PublicKey> {
  const { x } = await crypto.subtle.exportKey('jwk', key);
  const bytes = fromBase64(x ?? '') ?? new Uint8Array();
  if (bytes.length === 32 && key.type === 'private') trust(bytes);
  return PublicKey.fromBytes(bytes);
}

/** The same of a new pair, whose private half may not leave. */
async function newPublic(key: CryptoKey): Promise<PublicKey> {
  const bytes = new Uint8Array(await crypto.subtle.exportKey('raw', key));
  trust(bytes);
  return PublicKey.fromBytes(bytes);
}

/**
 * An Ed25519 private key of a holder. It is a `CryptoKey`: one that is not extractable never leaves WebCrypto. Printing it
 * shows its public half alone.
 */
export class PrivateKey {
  readonly #key: CryptoKey;
  /** The public half of the key. */
  readonly public: PublicKey;

  private constructor(key: CryptoKey, half: PublicKey) {
    this.#key = key;
    this.public = half;
  }

  /** Makes a new key. It cannot leave WebCrypto unless it is made `extractable`, to be handed to a worker as text. */
  static async generate(options: { extractable?: boolean } = {}): Promise<PrivateKey> {
    const pair = await crypto.subtle.generateKey(ALGORITHM, options.extractable === true, ['sign', 'verify']);
    const { privateKey, publicKey } = pair as CryptoKeyPair;
    return new PrivateKey(privateKey, await newPublic(publicKey));
  }

  /**
   * Reads a private key from its text: `ed25519-private/` and 64 hexadecimal digits, or PEM (RFC 8410). The key that is
   * made of it is not extractable unless that is asked for.
   */
  static async load(text: string, options: { extractable?: boolean } = {}): Promise<PrivateKey> {
    text = text.trim();
    if (text.startsWith(PUBLIC) || text.startsWith('-----BEGIN PUBLIC KEY-----')) {
      refuse('key_kind', 'this is a public key where a private key belongs');
    }
    if (text.startsWith('-----BEGIN ENCRYPTED') || text.includes('Proc-Type: 4,ENCRYPTED')) {
      refuse('key_encrypted', 'this PEM is encrypted, and no passphrase is asked for here; decrypt it first');
    }
    if (!text.startsWith('-----BEGIN')) {
      return PrivateKey.fromBytes(keyBytes(text, PRIVATE, 'private'), options);
    }
    const der = fromPem(text, 'PRIVATE KEY');
    if (der?.length !== 48 || !same(der.subarray(0, 16), PKCS8)) return malformedPem();
    return PrivateKey.fromBytes(der.subarray(16), options);
  }

  /** Makes the key whose secret seed (RFC 8032, section 5.1.5) are these 32 bytes. */
  static async fromBytes(seed: Uint8Array, options: { extractable?: boolean } = {}): Promise<PrivateKey> {
    if (seed.length !== 32) refuse('malformed_key', 'a seed of an ed25519 key has 32 bytes');
    const pkcs8 = concat(PKCS8, seed);
    const key = await crypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, true, ['sign']);
    const half = await publicOf(key);
    if (options.extractable === true) return new PrivateKey(key, half);
    return new PrivateKey(await crypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']), half);
  }

  /**
   * Takes a key that WebCrypto holds, such as one out of IndexedDB. It need not be extractable. `publicKey` is its public
   * half; that both belong together is tried by a signature.
   */
  static async fromCryptoKey(key: CryptoKey, publicKey: CryptoKey | PublicKey): Promise<PrivateKey> {
    if (key.algorithm.name !== ALGORITHM) refuse('malformed_key', 'only ed25519 keys are accepted');
    if (key.type !== 'private' || !key.usages.includes('sign')) {
      refuse('key_kind', 'this is no private key that may sign; make it with the usage "sign"');
    }
    const half = publicKey instanceof PublicKey ? publicKey : await publicOf(publicKey);
    const made = new PrivateKey(key, half);
    // A text that no block's signature is ever made of.
    const tried = concat(new Uint8Array([0xff]), crypto.getRandomValues(new Uint8Array(32)));
    if (!(await half.verify(tried, await made.sign(tried)))) {
      refuse('malformed_key', 'the public key is not the other half of the private key');
    }
    return made;
  }

  /** Writes the key as `ed25519-private/` and 64 hexadecimal digits, a secret. Only of a key that is extractable. */
  async toText(): Promise<string> {
    return PRIVATE + hex(await this.seed());
  }

  toString(): string {
    return `PrivateKey(of ${this.public.toString()})`;
  }

  toJSON(): string {
    return this.toString();
  }

  /** @internal */
  async sign(message: Bytes): Promise<Bytes> {
    return new Uint8Array(await crypto.subtle.sign(ALGORITHM, this.#key, message));
  }

  /** @internal The secret seed, of the throw-away keys that a token carries. */
  async seed(): Promise<Bytes> {
    if (!this.#key.extractable) {
      refuse('unsupported', 'this key is not extractable; make one with { extractable: true } to hand it to somebody');
    }
    const der = new Uint8Array(await crypto.subtle.exportKey('pkcs8', this.#key));
    // A second version has the public key behind the seed.
    return der.slice(16, 48);
  }

  /** @internal A throw-away key, whose secret a token carries. */
  static throwAway(): Promise<PrivateKey> {
    return PrivateKey.generate({ extractable: true });
  }
}
