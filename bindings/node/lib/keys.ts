/** Keys: PrivateKey and PublicKey. */

import { addon, type NativePrivateKey, type NativePublicKey } from './addon.js';
import { later, native } from './errors.js';
import { bytes, text } from './given.js';

let inside: (key: PrivateKey) => NativePrivateKey;

/** An Ed25519 public key: a root's or a holder's. Written `ed25519/` and 64 hexadecimal digits; PEM is read, too. */
export class PublicKey {
  readonly #key: NativePublicKey;

  private constructor(key: NativePublicKey) {
    if (!(key instanceof (addon.PublicKey as unknown as Function))) throw new TypeError('keys are made by PublicKey.parse and fromBytes');
    this.#key = key;
  }

  static parse(given: string): PublicKey {
    const said = text(given, 'a public key');
    return native(() => new PublicKey(addon.PublicKey.parse(said)));
  }

  static fromBytes(raw: Uint8Array): PublicKey {
    const copied = bytes(raw, 'the bytes of a key');
    return native(() => new PublicKey(addon.PublicKey.fromBytes(copied)));
  }

  toBytes(): Uint8Array {
    return Uint8Array.from(this.#key.toBytes());
  }

  toString(): string {
    return this.#key.toString();
  }

  toJSON(): string {
    return this.toString();
  }

  equals(other: SomeKey): boolean {
    return this.toString() === keyText(other);
  }
}

/** A public key of this package or of `@hardtack/agent`, or its text. */
export type SomeKey = string | PublicKey | { toString(): string; toBytes(): Uint8Array };

/** The text of a public key. */
export function keyText(given: SomeKey): string {
  if (typeof given === 'string') return PublicKey.parse(given).toString();
  if (typeof given !== 'object' || given === null || !('toBytes' in given)) {
    throw new TypeError('a public key is a PublicKey, or its text');
  }
  return PublicKey.parse(String(given)).toString();
}

/** An Ed25519 private key: an issuer's root key or a holder's. It is never shown. */
export class PrivateKey {
  readonly #key: NativePrivateKey;

  private constructor(key: NativePrivateKey) {
    if (!(key instanceof (addon.PrivateKey as unknown as Function))) throw new TypeError('keys are made by PrivateKey.generate, load, parse and fromBytes');
    this.#key = key;
  }

  static {
    inside = (key) => {
      if (typeof key !== 'object' || key === null || !(#key in key)) throw new TypeError('a private key is a PrivateKey of this package');
      return key.#key;
    };
  }

  static generate(): PrivateKey {
    return new PrivateKey(addon.PrivateKey.generate());
  }

  /** Reads a key file. One that others than its owner can read is refused. */
  static async load(path: string): Promise<PrivateKey> {
    const file = text(path, 'a path');
    return new PrivateKey(await later(() => addon.PrivateKey.load(file)));
  }

  /** Reads the text of a key, `ed25519-private/` and 64 hexadecimal digits, or PEM. */
  static parse(given: string): PrivateKey {
    const said = text(given, 'a private key');
    return native(() => new PrivateKey(addon.PrivateKey.parse(said)));
  }

  static fromBytes(seed: Uint8Array): PrivateKey {
    const copied = bytes(seed, 'the bytes of a key');
    return native(() => new PrivateKey(addon.PrivateKey.fromBytes(copied)));
  }

  /** Writes a key file that only its owner can read. A file that exists is left as it is. */
  async save(path: string): Promise<void> {
    const file = text(path, 'a path');
    await later(() => this.#key.save(file));
  }

  /** The key as text: a secret. */
  toText(): string {
    return this.#key.toText();
  }

  get public(): PublicKey {
    return PublicKey.parse(this.#key.public.toString());
  }
}

/** @internal */
export const nativeKey = (key: PrivateKey): NativePrivateKey => inside(key);
