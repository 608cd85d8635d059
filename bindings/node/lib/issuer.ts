/** Issuer: who signs grants with a root key. */

import { addon, type NativeIssuer } from './addon.js';
import { native } from './errors.js';
import { flag, life, momentOf, optionsOf, text, texts, whole, type At, type Texts } from './given.js';
import { keyText, nativeKey, PublicKey, type PrivateKey, type SomeKey } from './keys.js';

export interface IssuerOptions {
  /** The id that its tokens carry, by which servers with several roots find the key. */
  readonly keyId?: number | undefined;
  /** The longest life of a grant, in seconds. */
  readonly longestLife?: number | undefined;
}

export interface Granting extends At {
  /** The person or account whose rights are used, such as `user:alice`. */
  readonly subject: string;
  readonly scopes: Texts;
  /** The key of who may use the grant and pass it on. */
  readonly holder?: SomeKey | undefined;
  /** The life, in seconds. */
  readonly ttl?: number | undefined;
  /** Constraints, each in one line. */
  readonly allow?: Texts | undefined;
  readonly audiences?: Texts | undefined;
  /** Facts in Datalog, such as `role("editor")`. */
  readonly facts?: Texts | undefined;
  readonly maxDepth?: number | undefined;
  /** A grant without a holder, which anybody who has it can use. */
  readonly unbound?: boolean | undefined;
}

const GRANTING = ['subject', 'scopes', 'holder', 'ttl', 'allow', 'audiences', 'facts', 'maxDepth', 'unbound', 'now'] as const;

/** The issuer of grants: it holds a root key. */
export class Issuer {
  readonly #issuer: NativeIssuer;

  constructor(key: PrivateKey, options: IssuerOptions = {}) {
    const { keyId, longestLife } = optionsOf(options, 'the options', ['keyId', 'longestLife']);
    const id = keyId === undefined ? undefined : whole(keyId, 'keyId');
    const longest = longestLife === undefined ? undefined : life(longestLife, 'longestLife');
    this.#issuer = native(() => addon.Issuer.of(nativeKey(key), id, longest));
  }

  get public(): PublicKey {
    return PublicKey.parse(this.#issuer.public.toString());
  }

  /** Signs a grant for a subject, and returns the token's text: a secret of its holder's. `Capability.parse` of `@hardtack/agent` reads it. */
  mint(granting: Granting): string {
    const given = optionsOf(granting, 'a grant', GRANTING);
    const several = (name: 'allow' | 'audiences' | 'facts') => (given[name] === undefined ? [] : texts(given[name], name));
    const granted = {
      subject: text(given.subject, 'subject'),
      scopes: texts(given.scopes, 'scopes'),
      holder: given.holder === undefined ? undefined : keyText(given.holder),
      ttl: given.ttl === undefined ? undefined : life(given.ttl, 'ttl'),
      allow: several('allow'),
      audiences: several('audiences'),
      facts: several('facts'),
      maxDepth: given.maxDepth === undefined ? undefined : whole(given.maxDepth, 'maxDepth', 255),
      unbound: flag(given.unbound, 'unbound'),
    };
    const now = momentOf(given.now);
    return native(() => this.#issuer.mint(JSON.stringify(granted), now));
  }
}
