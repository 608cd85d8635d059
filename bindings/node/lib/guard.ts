/** Guard: what a tool server asks before each call. */

import { addon, type NativeAdmitted, type NativeCall, type NativeGuard, type NativePermit, type Preview } from './addon.js';
import { nativeCall, type Call } from './call.js';
import { later, native } from './errors.js';
import { flag, life, moment, optionsOf, text, texts, whole, type At, type Texts } from './given.js';
import { jsonText } from './json.js';
import { keyText, PublicKey, type SomeKey } from './keys.js';
import { nativePolicy, type Policy } from './policy.js';
import { nativeRevocations, revokingOf, type Revocations, type Revoking } from './revocation.js';
import { nativeStore, type Store } from './store.js';

export type { Preview };

/** A bearer: its text, or a presentation of `@hardtack/agent`. */
export type Bearer = string | { readonly bearer: string };

/** A root key for every token, or, with an id, for the tokens that carry it. */
export type Root = SomeKey | { readonly id: number; readonly key: SomeKey };

/** The longest lives that are accepted, in seconds. */
export interface Lifetimes {
  readonly grant?: number | undefined;
  readonly hop?: number | undefined;
  readonly session?: number | undefined;
  readonly call?: number | undefined;
}

export interface GuardOptions {
  /** Where decisions are recorded and revocations kept. Without it nothing is recorded, and a presentation for one call is accepted as often as it comes. */
  readonly store?: Store | undefined;
  /** What is allowed: what the chain grants, unless said otherwise. */
  readonly policies?: Policy | undefined;
  /** A copy of another server's revocations. */
  readonly revocations?: Revocations | undefined;
  readonly lifetimes?: Lifetimes | undefined;
  /** The only schemes whose resources are judged; otherwise https, http, file, and what the server's own lists name. */
  readonly resourceSchemes?: Texts | undefined;
  /** Which keys agents of a name have. */
  readonly directory?: { readonly [agent: string]: readonly SomeKey[] } | undefined;
  /** How old a copy of revocations may be, in seconds. */
  readonly maxStaleness?: number | undefined;
  readonly acceptUnboundHops?: boolean | undefined;
}

const OPTIONS = ['store', 'policies', 'revocations', 'lifetimes', 'resourceSchemes', 'directory', 'maxStaleness', 'acceptUnboundHops'] as const;

let permits: (permit: NativePermit) => Permit;
let admits: (admitted: NativeAdmitted) => Admitted;

function bearerText(given: Bearer): string {
  const bearer: unknown = typeof given === 'object' && given !== null ? given.bearer : given;
  if (typeof bearer !== 'string') throw new TypeError('a bearer is its text, or a presentation');
  // Half of a surrogate pair is in no token.
  return bearer.toWellFormed();
}

function rootsOf(given: readonly Root[]): { id?: number; key: string }[] {
  if (!Array.isArray(given)) throw new TypeError('roots are an array of public keys');
  return Array.from(given as Root[], (root) => {
    if (typeof root === 'object' && root !== null && 'key' in root) return { id: whole(root.id, 'the id of a root'), key: keyText(root.key) };
    return { key: keyText(root) };
  });
}

function directoryOf(given: object): [string, string[]][] {
  return Object.entries(given).map(([name, keys]: [string, unknown]) => {
    if (!Array.isArray(keys)) throw new TypeError('the directory has an array of keys for each agent');
    return [text(name, 'an agent'), Array.from(keys as SomeKey[], keyText)];
  });
}

function livesOf(given: Lifetimes): Record<string, number> {
  const read = optionsOf(given, 'the lifetimes', ['grant', 'hop', 'session', 'call']);
  return Object.fromEntries(Object.entries(read).map(([name, longest]) => [name, life(longest, `the life of a ${name}`)]));
}

/** The guard of a tool server. It verifies the bearer, decides by the token's checks and the policies, and records the decision. */
export class Guard {
  readonly #guard: NativeGuard;

  /** `roots` are the root keys that are trusted, `audience` is the name of this server. */
  constructor(roots: readonly Root[], audience: string, options: GuardOptions = {}) {
    const given = optionsOf(options, 'the options', OPTIONS);
    const settings = {
      roots: rootsOf(roots),
      lifetimes: given.lifetimes === undefined ? undefined : livesOf(given.lifetimes),
      resourceSchemes: given.resourceSchemes === undefined ? undefined : texts(given.resourceSchemes, 'resourceSchemes'),
      directory: given.directory === undefined ? undefined : Object.fromEntries(directoryOf(given.directory)),
      maxStaleness: given.maxStaleness === undefined ? undefined : life(given.maxStaleness, 'maxStaleness'),
      acceptUnboundHops: flag(given.acceptUnboundHops, 'acceptUnboundHops'),
    };
    const store = given.store === undefined ? undefined : nativeStore(given.store);
    const policies = given.policies === undefined ? undefined : nativePolicy(given.policies);
    const copy = given.revocations === undefined ? undefined : nativeRevocations(given.revocations);
    const name = text(audience, 'the audience');
    this.#guard = native(() => addon.Guard.of(name, JSON.stringify(settings), store, policies, copy));
  }

  /** The name of this server. */
  get audience(): string {
    return this.#guard.audience;
  }

  /**
   * Judges resources of one more scheme from now on, since the server's own lists name it. Returns whether it is judged: it is not if
   * `resourceSchemes` said which are, if it is no scheme, or if 32 others were named before.
   */
  nameResourceScheme(scheme: string): boolean {
    return this.#guard.nameResourceScheme(text(scheme, 'a scheme'));
  }

  /** Decides whether the bearer may do the call. Resolves to a permit when the decision is recorded, or rejects with `Denied`. */
  async check(bearer: Bearer, call: Call, at?: At): Promise<Permit> {
    const [said, asked, now] = [bearerText(bearer), nativeCall(call), moment(at)];
    return permits(await later(() => this.#guard.check(said, asked, now), this.audience));
  }

  /** Decides as `check` does, on this thread, which waits until the decision is recorded. */
  checkSync(bearer: Bearer, call: Call, at?: At): Permit {
    const [said, asked, now] = [bearerText(bearer), nativeCall(call), moment(at)];
    return permits(native(() => this.#guard.checkSync(said, asked, now), this.audience));
  }

  /** Explains how `check` would decide. Nothing is recorded or used up. It names policies: it is not for the caller. */
  async explain(bearer: Bearer, call: Call, at?: At): Promise<Record<string, unknown>> {
    const [said, asked, now] = [bearerText(bearer), nativeCall(call), moment(at)];
    return JSON.parse(await later(() => this.#guard.explain(said, asked, now), this.audience)) as Record<string, unknown>;
  }

  /** Verifies a bearer for what any valid one may do, such as to ask for a list. No policy is asked. */
  async admit(bearer: Bearer, at?: At): Promise<Admitted> {
    const [said, now] = [bearerText(bearer), moment(at)];
    return admits(await later(() => this.#guard.admit(said, now), this.audience));
  }

  /** Verifies as `admit` does, on this thread. */
  admitSync(bearer: Bearer, at?: At): Admitted {
    const [said, now] = [bearerText(bearer), moment(at)];
    return admits(native(() => this.#guard.admitSync(said, now), this.audience));
  }

  /**
   * What may come of these calls, whatever their arguments. For lists of what the bearer may use; each call is to be checked all the same.
   */
  async preview(bearer: Bearer, calls: readonly Call[], at?: At): Promise<Preview[]> {
    const [said, asked, now] = [bearerText(bearer), callsOf(calls), moment(at)];
    return later(() => this.#guard.preview(said, asked, now), this.audience);
  }

  /** Previews as `preview` does, on this thread. */
  previewSync(bearer: Bearer, calls: readonly Call[], at?: At): Preview[] {
    const [said, asked, now] = [bearerText(bearer), callsOf(calls), moment(at)];
    return native(() => this.#guard.previewSync(said, asked, now), this.audience);
  }

  /** Decides whether the bearer may revoke what a request asks for. Hand what it resolves to to `Store.revoke`. */
  async checkRevocation(bearer: Bearer, request: string | { readonly [name: string]: unknown }, at?: At): Promise<Revoking> {
    const [said, asked, now] = [bearerText(bearer), jsonText(request, 'the parts of a request'), moment(at)];
    return revokingOf(await later(() => this.#guard.checkRevocation(said, asked, now), this.audience));
  }

  /** Puts another set of policies in force. A decision that has begun ends by the set with which it began. */
  replacePolicies(policies: Policy): void {
    this.#guard.replacePolicies(nativePolicy(policies));
  }

  /** Trusts other root keys from now on. */
  replaceRoots(roots: readonly Root[]): void {
    const settings = JSON.stringify({ roots: rootsOf(roots) });
    native(() => this.#guard.replaceRoots(settings));
  }
}

function callsOf(calls: readonly Call[]): NativeCall[] {
  if (!Array.isArray(calls)) throw new TypeError('calls are an array');
  return Array.from(calls as Call[], nativeCall);
}

/** The permission for one call, which a guard allowed and recorded. Only a guard makes one. */
export class Permit {
  readonly #permit: NativePermit;

  private constructor(permit: NativePermit) {
    if (!(permit instanceof (addon.Permit as unknown as Function))) throw new TypeError('only a guard makes a permit');
    this.#permit = permit;
  }

  static {
    permits = (permit) => new Permit(permit);
  }

  /** Whose rights are used. */
  get subject(): string {
    return this.#permit.subject;
  }

  /** The agent that acts; `undefined` if the subject acts itself. */
  get agent(): string | undefined {
    return this.#permit.agent ?? undefined;
  }

  /** How many hops the chain has. */
  get depth(): number {
    return this.#permit.depth;
  }

  /** The policy that allowed the call, as file and line. For operators. */
  get allowedBy(): string {
    return this.#permit.allowedBy;
  }

  /** The number of the decision's record; `undefined` without a store. */
  get sequence(): number | undefined {
    return this.#permit.sequence ?? undefined;
  }

  /** The whole chain, verified. */
  chain(): Record<string, unknown> {
    return JSON.parse(native(() => this.#permit.chain())) as Record<string, unknown>;
  }
}

/** A bearer that is valid here. It is no permission for any call. */
export class Admitted {
  readonly #admitted: NativeAdmitted;

  private constructor(admitted: NativeAdmitted) {
    if (!(admitted instanceof (addon.Admitted as unknown as Function))) throw new TypeError('only a guard admits');
    this.#admitted = admitted;
  }

  static {
    admits = (admitted) => new Admitted(admitted);
  }

  /** Whose rights are used. */
  get subject(): string {
    return this.#admitted.subject;
  }

  /** The agent that acts; `undefined` if the subject acts itself. */
  get agent(): string | undefined {
    return this.#admitted.agent ?? undefined;
  }

  /** The scopes at the chain's end. */
  get scopes(): string[] {
    return this.#admitted.scopes;
  }

  /** The moment when the presentation is no longer valid, in seconds since 1970. */
  get expiresAt(): number {
    return this.#admitted.expiresAt;
  }

  /** The root key that signed the grant. */
  get root(): PublicKey {
    return PublicKey.parse(this.#admitted.root.toString());
  }

  /** The key that presents, as text; the presentation's id, if the token is bound to none. Names of agents are what delegators choose. */
  get client(): string {
    const presentation = this.chain()['presentation'] as { signer?: string | null; revocation_id?: string | null };
    return presentation.signer ?? presentation.revocation_id ?? '';
  }

  /** The whole chain, verified. */
  chain(): Record<string, unknown> {
    return JSON.parse(native(() => this.#admitted.chain())) as Record<string, unknown>;
  }
}
