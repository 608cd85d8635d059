/** Revocation: what is revoked, who asks for it, and copies of what another server revoked. */

import { addon, type NativeRevocation, type NativeRevocations, type NativeRevoking } from './addon.js';
import { native } from './errors.js';
import { moment, text, type At } from './given.js';
import { jsonText } from './json.js';
import { keyText, type SomeKey } from './keys.js';

let inside: (revocation: Revocation) => NativeRevocation;
let made: (revocation: NativeRevocation) => Revocation;
let decided: (revoking: Revoking) => NativeRevoking | undefined;
let revokes: (revoking: NativeRevoking) => Revoking;
let copied: (revocations: Revocations) => NativeRevocations;

/** What is revoked: a block, a subject, a holder's key or an agent's name. */
export class Revocation {
  readonly #revocation: NativeRevocation;

  private constructor(revocation: NativeRevocation) {
    if (!(revocation instanceof (addon.Revocation as unknown as Function))) throw new TypeError('revocations are made by Revocation.id, subject, holder, agent and agentUntilNow');
    this.#revocation = revocation;
  }

  static {
    made = (revocation) => new Revocation(revocation);
    inside = (revocation) => {
      if (typeof revocation !== 'object' || revocation === null || !(#revocation in revocation)) {
        throw new TypeError('what is revoked is a Revocation, or what Guard.checkRevocation returned');
      }
      return revocation.#revocation;
    };
  }

  /** One block, and all that stands on it. */
  static id(id: string): Revocation {
    const said = text(id, 'an id');
    return native(() => new Revocation(addon.Revocation.id(said)));
  }

  /** Every grant for a subject that was issued up to now, and a minute more; of one root's, if one is given. */
  static subject(subject: string, root?: SomeKey): Revocation {
    const [said, key] = [text(subject, 'a subject'), root === undefined ? undefined : keyText(root)];
    return native(() => new Revocation(addon.Revocation.subject(said, key)));
  }

  /** A holder's key, for good. */
  static holder(key: SomeKey): Revocation {
    return native(() => new Revocation(addon.Revocation.holder(keyText(key))));
  }

  /** An agent's name, for good. */
  static agent(agent: string): Revocation {
    const said = text(agent, 'an agent');
    return native(() => new Revocation(addon.Revocation.agent(said)));
  }

  /** All that an agent of this name holds by now. */
  static agentUntilNow(agent: string): Revocation {
    const said = text(agent, 'an agent');
    return native(() => new Revocation(addon.Revocation.agentUntilNow(said)));
  }

  equals(other: Revocation): boolean {
    return this.#revocation.equals(inside(other));
  }

  toString(): string {
    return this.#revocation.toString();
  }
}

/** A revocation that a bearer may ask for, as a guard decided. Hand it to `Store.revoke`. */
export class Revoking {
  readonly #revoking: NativeRevoking;

  private constructor(revoking: NativeRevoking) {
    if (!(revoking instanceof (addon.Revoking as unknown as Function))) throw new TypeError('only a guard decides who may revoke');
    this.#revoking = revoking;
  }

  static {
    revokes = (revoking) => new Revoking(revoking);
    decided = (revoking) => (typeof revoking === 'object' && revoking !== null && #revoking in revoking ? revoking.#revoking : undefined);
  }

  get revocation(): Revocation {
    return made(this.#revoking.revocation);
  }

  get by(): string {
    return this.#revoking.by;
  }

  get reason(): string {
    return this.#revoking.reason;
  }
}

/** What a list of revocations is: an object, or its JSON. */
export type RevocationList = string | { readonly [name: string]: unknown };

/** A copy of another server's revocations. It is renewed from a list; while it is older than half a minute, nothing is allowed by it. */
export class Revocations {
  readonly #revocations: NativeRevocations;

  private constructor(revocations: NativeRevocations) {
    if (!(revocations instanceof (addon.Revocations as unknown as Function))) throw new TypeError('copies are made by Revocations.copied');
    this.#revocations = revocations;
  }

  static {
    copied = (revocations) => {
      if (typeof revocations !== 'object' || revocations === null || !(#revocations in revocations)) throw new TypeError('revocations are a Revocations of this package');
      return revocations.#revocations;
    };
  }

  /** Makes a copy from a list: `as_of`, `forgotten_until`, `revocations`. */
  static copied(list: RevocationList): Revocations {
    const said = jsonText(list, 'revocations');
    return native(() => new Revocations(addon.Revocations.copied(said)));
  }

  /** Adds what a newer list knows, and forgets what may be forgotten. */
  renew(list: RevocationList, at?: At): void {
    const [said, now] = [jsonText(list, 'revocations'), moment(at)];
    native(() => this.#revocations.renew(said, now));
  }
}

/** @internal */
export const nativeRevocation = (revocation: Revocation): NativeRevocation => inside(revocation);
/** @internal */
export const nativeRevoking = (revoking: Revocation | Revoking): NativeRevoking | undefined => decided(revoking as Revoking);
/** @internal */
export const revokingOf = (revoking: NativeRevoking): Revoking => revokes(revoking);
/** @internal */
export const nativeRevocations = (revocations: Revocations): NativeRevocations => copied(revocations);
