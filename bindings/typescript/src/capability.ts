/** Capability: a token in its holder's hands, delegated and presented offline. Proves nothing yet. */

import { fromBase64, toBase64, type Bytes } from './bytes.js';
import { checkAudiences, checkCall, checkCalls, checkExpiry, checkHolder, checkScopes, MAX_COLLECTION } from './block.js';
import { Call } from './call.js';
import { audiencesOf, bearerOf, begin, expiresOf, goOn, lastOf, type Chain } from './chain.js';
import { toCheck } from './constraint-check.js';
import { parseConstraints } from './constraint.js';
import { checkCost } from './cost.js';
import { bytes, date, integer, text, writeBlock, type Check, type Fact } from './datalog.js';
import { HardtackError, refuse } from './error.js';
import { PrivateKey, PublicKey } from './keys.js';
import { DEFAULT, expiry, LONGEST, longestOf, seconds } from './life.js';
import { mistakeOf } from './mistake.js';
import { checkAgent, checkAudience, checkReason } from './names.js';
import { optionsOf } from './options.js';
import { checkScope, covers } from './scope.js';
import { definedBy, following, gate, type Proof, type Shaped, type Signed } from './shape.js';
import { firstDamaged, isGrantOf, nextSecret, parentDigest, readPart, signBlock, signEnd } from './signing.js';

/** The most characters of a token's text: a third more than bytes, and padding. */
const MAX_TEXT = Math.ceil((16 * 1024) / 3) * 4;

/** The length, in characters, beyond which proxies may cut a bearer off. */
const LONG_BEARER = 8000;

/** A delegation to be signed: what is passed on, to whom, for how long and why. */
export interface Delegation {
  /** What the delegator calls the agent, such as `agent.researcher`. */
  readonly to: string;
  /** What is passed on: each must lie within one of the parent's scopes. */
  readonly scopes: readonly string[];
  /** Why, in one printable line. Records and refusals show it. */
  readonly reason: string;
  /** The agent's key. Only who has its private half can use the new token. */
  readonly holder?: PublicKey | undefined;
  /** Binds it to nobody instead, so that whoever has the token may use it. Verifiers refuse that unless told otherwise. */
  readonly unbound?: boolean | undefined;
  /** At which servers it may be used. Without any, the parent's are kept. */
  readonly audiences?: readonly string[] | undefined;
  /** What is demanded of arguments, such as `amount <= 100` (docs/constraints.md). */
  readonly allow?: readonly string[] | undefined;
  /** How long it lives, in whole seconds: at most `longestLife`. By default 900, or as long as the parent if that is less. */
  readonly ttl?: number | undefined;
  /** The longest life that may be asked for, in seconds: 3,600 by default. Verifiers have a bound of their own. */
  readonly longestLife?: number | undefined;
  /** The moment, if it is not now: a `Date`, or seconds since 1970. */
  readonly now?: Date | number | undefined;
}

/** What a presentation is for, besides its server. */
export interface Presenting {
  /** Binds it to this one call, with exactly these arguments. A server with a store allows it once. */
  readonly call?: Call | undefined;
  /** Limits it to these calls, 64 at most. With none, it opens sessions and asks for lists, and is good for no call. */
  readonly only?: readonly Call[] | undefined;
  /** Makes it even for a call that the capability does not cover, for the server to refuse and record. */
  readonly evenUncovered?: boolean | undefined;
  /** How long it lives, in whole seconds: 600 at most (300 by default), or 120 if it is bound to one call (60). */
  readonly ttl?: number | undefined;
  /** The moment, if it is not now: a `Date`, or seconds since 1970. */
  readonly now?: Date | number | undefined;
}

/** What {@link Capability.inspect} shows: the chain, and what holds at its end. */
export interface Inspected extends Chain {
  /** The last delegate, or the subject. */
  readonly bearer: string;
  readonly scopes: readonly string[];
  readonly audiences: readonly string[];
  /** The first moment at which some block is no longer valid, in seconds since 1970. */
  readonly expires: number;
  readonly holder: PublicKey | undefined;
  readonly rootKeyId: number | undefined;
}

/** Either half of what is expected of a token that is handed over. */
interface Expected {
  readonly delegator?: PublicKey;
  readonly root?: PublicKey;
  readonly subject?: string;
}

interface Held {
  readonly token: Shaped;
  readonly chain: Chain;
  /** What a signer of the next block has read. */
  readonly parts: readonly Bytes[];
  /** The secret at its end, once it was read, and the first damaged block, once it was looked for: the bytes never change. */
  secret?: Promise<PrivateKey | undefined>;
  damaged?: Promise<number | undefined>;
}

/** @internal For the test vectors: the throw-away key and the nonce that the next block gets. */
export interface Fixed {
  readonly next?: PrivateKey;
  readonly nonce?: Bytes;
}

/**
 * A token in its holder's hands, which can be delegated or presented. It never changes. Nothing that it says is verified;
 * before it is signed further, every signature but the grant's is. Printing it leaves out its text, which is a secret.
 */
export class Capability {
  readonly #held: Held;

  private constructor(held: Held) {
    this.#held = held;
    freeze(held.chain);
  }

  /** Reads a token's text, with or without padding. Checks the shape and the cost. Verifies no signature. */
  static async parse(token: string): Promise<Capability> {
    const noToken = (): never => refuse('not_a_token', `this is no token: ${mistakeOf(token)}`);
    if (typeof token !== 'string') noToken();
    if (token.length > MAX_TEXT) refuse('too_large', 'the token has more than 16384 bytes');
    const read = fromBase64(token) ?? noToken();
    return read.length === 0 ? noToken() : Capability.fromBytes(read);
  }

  /** Reads a token's bytes, as {@link Capability.parse} reads its text. */
  static async fromBytes(token: Uint8Array): Promise<Capability> {
    const shaped = gate(Uint8Array.from(token));
    const [first, ...rest] = shaped.blocks;
    let chain = begin(first!);
    const parts = [readPart(first!)];
    for (const [at, block] of rest.entries()) {
      chain = goOn(chain, block, at + 1, await parentDigest(parts));
      parts.push(readPart(block));
    }
    checkCost(shaped.blocks, chain.hops.length);
    return new Capability({ token: shaped, chain, parts });
  }

  /**
   * Reads a token that somebody hands over, and checks that it comes from where it should: a grant for the expected subject
   * by the expected root, or a last hop by the expected delegator. Verifies signatures only; expiry, revocation and widths
   * are left to the verifier.
   */
  static async accept(
    token: string,
    expected: { root: PublicKey; subject: string } | { delegator: PublicKey },
  ): Promise<Capability> {
    // Read before anything is waited for: what is expected is what was asked.
    const { delegator, root, subject: wanted } = optionsOf<Expected>(expected, 'what is expected', ['delegator', 'root', 'subject']);
    const capability = await Capability.parse(token);
    const { chain, token: shaped } = capability.#held;
    const isWhole = (await capability.firstDamagedBlock()) === undefined;
    if (root === undefined) {
      const signer = chain.hops.at(-1)?.signer;
      if (delegator !== undefined && signer?.equals(delegator) && isWhole) return capability;
      return refuse('unexpected_delegator', "the token's last hop is not signed by the expected delegator");
    }
    if (delegator !== undefined) refuse('unsupported', 'either a root and a subject are expected, or a delegator');
    if (!isWhole || !(await isGrantOf(shaped, root))) {
      refuse('unexpected_root', 'the token is not signed by the expected root key');
    }
    const { subject } = chain.grant;
    return subject === wanted
      ? capability
      : refuse('unexpected_subject', `the token is a grant for ${subject}, not for ${wanted}`);
  }

  /** Returns the token's text, a secret: its holder can use it, and whoever has an unbound one can. */
  toBase64(): string {
    return toBase64(this.#held.token.bytes);
  }

  /** Returns what the token says. Nothing of it is verified. */
  inspect(): Inspected {
    const { chain, token } = this.#held;
    const { scopes, holder } = lastOf(chain);
    const [audiences, expires] = [audiencesOf(chain), expiresOf(chain)];
    return { ...chain, bearer: bearerOf(chain), scopes, audiences, expires, holder, rootKeyId: token.rootKeyId };
  }

  /** Returns the number of the first block after the grant whose signature is not valid; `undefined` if all are. */
  firstDamagedBlock(): Promise<number | undefined> {
    const held = this.#held;
    held.damaged ??= this.#secret().then((secret) => firstDamaged(held.token, secret));
    return held.damaged;
  }

  #secret(): Promise<PrivateKey | undefined> {
    this.#held.secret ??= nextSecret(this.#held.token);
    return this.#held.secret;
  }

  /**
   * Passes on a part of this capability and returns the new one. The hop is signed with `key`, to which this one is bound;
   * `undefined` for one that is bound to nobody. No network is needed.
   */
  delegate(key: PrivateKey | undefined, delegation: Delegation): Promise<Capability>;
  /** @internal */
  delegate(key: PrivateKey | undefined, delegation: Delegation, fixed: Fixed): Promise<Capability>;
  async delegate(key: PrivateKey | undefined, delegation: Delegation, fixed: Fixed = {}): Promise<Capability> {
    const { chain, token, parts } = this.#held;
    const given = optionsOf(delegation, 'a delegation', DELEGATION);
    await this.checkHolder(key);
    const scopes = listOf(given.scopes, 'scopes').map(checkScope);
    const audiences = listOf(given.audiences, 'audiences');
    const { to, reason, holder } = given;
    if (reason === undefined) refuse('incomplete', 'a delegation needs a reason, which records and refusals show');
    checkAgent(to);
    checkReason(reason);
    audiences.forEach(checkAudience);
    if (holder !== undefined && !(holder instanceof PublicKey)) refuse('incomplete', 'the holder is a PublicKey');
    if (holder === undefined && given.unbound !== true) {
      refuse('incomplete', "a delegation is bound to the delegate's key; name it, or say by name that it is unbound");
    }
    refuseWider(chain, scopes, audiences);
    const checks = parseConstraints(listOf(given.allow, 'allow')).map(toCheck);
    const longest = longestOf(given.longestLife);
    const expires = expiry(seconds(given.now), expiresOf(chain), given.ttl, DEFAULT.hop, longest);
    const block = token.blocks.length;
    const bound = holder && (holder.toBytes() as Bytes);
    const facts: Fact[] = [
      ['hop', integer(block)],
      ['delegate', text(to)],
      ...distinct(scopes).map((scope): Fact => ['scope', text(scope)]),
      ...distinct(audiences).map((audience): Fact => ['audience', text(audience)]),
      ['expires', date(expires)],
      ['reason', text(reason)],
      ['parent', bytes(await parentDigest(parts))],
    ];
    if (bound) facts.push(['holder', bytes(bound)]);
    const all = [checkExpiry(expires), checkScopes(scopes)];
    if (audiences.length > 0) all.push(checkAudiences(audiences));
    all.push(...checks);
    if (bound) all.push(checkHolder(block, bound));
    const next = fixed.next ?? (await PrivateKey.throwAway());
    return this.#append(facts, all, key, next, async () => ({ nextSecret: await next.seed() }));
  }

  /**
   * Makes the bearer token for one audience and seals it, so that no block can be appended. It is signed with `key`, to
   * which this capability is bound; `undefined` for one that is bound to nobody.
   */
  present(key: PrivateKey | undefined, audience: string, presenting?: Presenting): Promise<Presentation>;
  /** @internal */
  present(key: PrivateKey | undefined, audience: string, presenting: Presenting, fixed: Fixed): Promise<Presentation>;
  async present(
    key: PrivateKey | undefined,
    audience: string,
    presenting: Presenting = {},
    fixed: Fixed = {},
  ): Promise<Presentation> {
    const { chain, token, parts } = this.#held;
    if ((presenting as unknown) instanceof Call) {
      refuse('unsupported', 'a call stands in the place of the options; write { call }, or it would be presented for every call');
    }
    const { call, only, evenUncovered, ttl, now } = optionsOf(presenting, 'a presentation', PRESENTING);
    const isCall = (given: Call | null | undefined): boolean =>
      typeof given?.operation === 'string' && typeof given.digest === 'function';
    if ((call !== undefined && !isCall(call)) || (only !== undefined && !(Array.isArray(only) && only.every(isCall)))) {
      refuse('unsupported', 'a presentation is for a Call of this package (call), or for a list of them (only)');
    }
    await this.checkHolder(key);
    checkAudience(audience);
    const allowed = lastOf(chain);
    if (allowed.audiences.length > 0 && !allowed.audiences.includes(audience)) {
      const named = allowed.audiences.join(', ');
      refuse('beyond_audience', `the audience ${audience} is not among the capability's: ${named}`);
    }
    if ((only?.length ?? 0) > MAX_COLLECTION) {
      refuse('too_many', `a presentation is for ${MAX_COLLECTION} named calls at most`);
    }
    for (const { operation } of [...(call ? [call] : []), ...(only ?? [])]) {
      if (evenUncovered || allowed.scopes.some((scope) => covers(scope, operation))) continue;
      refuse('not_granted', `the capability does not cover ${operation}; it covers ${allowed.scopes.join(', ')}`);
    }
    const kind = call ? 'call' : 'session';
    const expires = expiry(seconds(now), expiresOf(chain), ttl, DEFAULT[kind], LONGEST[kind]);
    const facts: Fact[] = [
      ['hop', integer(token.blocks.length)],
      ['presentation', text(kind)],
      ['audience', text(audience)],
      ['expires', date(expires)],
      ['parent', bytes(await parentDigest(parts))],
    ];
    const checks = [checkExpiry(expires), checkAudiences([audience])];
    if (call) {
      const digest = (await call.digest()) as Bytes;
      facts.push(['digest', bytes(digest)]);
      facts.push(['nonce', bytes(fixed.nonce ?? crypto.getRandomValues(new Uint8Array(16)))]);
      checks.push(checkCall(digest));
    }
    if (only) {
      const digests = (await Promise.all(only.map((call) => call.digest()))) as Bytes[];
      // No text is known that has this digest.
      checks.push(checkCalls(digests.length > 0 ? digests : [new Uint8Array(32)]));
    }
    const next = fixed.next ?? (await PrivateKey.throwAway());
    const ended = await this.#append(facts, checks, key, next, (signed) => signEnd(signed, next));
    return new Presentation(ended.toBase64(), this.toBase64(), expires, ended.#held.chain.presentation!.revocationId);
  }

  /** @internal Whether `key` is the one with which this token is signed further, and the token is what its signers signed. */
  async checkHolder(key: PrivateKey | undefined): Promise<void> {
    const { chain } = this.#held;
    if (chain.presentation) {
      refuse('already_presented', 'this is a presentation, which cannot be passed on; use the capability it was made from');
    }
    const block = await this.firstDamagedBlock();
    if (block !== undefined) {
      const help = 'the token is damaged or was tampered with; ask whoever delegated it for a new one';
      refuse('signature', `the signature of block ${block} is not valid: ${help}`, block);
    }
    const { holder } = lastOf(chain);
    if (key !== undefined && !(key instanceof PrivateKey)) refuse('key_needed', 'the key is a PrivateKey of this package');
    if (!holder && key) refuse('key_not_needed', 'this token names no holder, so a key has no use here; leave it out');
    if (holder && !key) refuse('key_needed', `this token is bound to its holder ${holder}; give that holder's key`);
    if (holder && key && !holder.equals(key.public)) {
      const given = `and the key given is ${key.public}`;
      refuse('wrong_key', `this token can be signed further only by its holder ${holder}, ${given}`);
    }
  }

  /** Appends a block. What a verifier would refuse for its shape or cost is never handed out. */
  async #append(
    facts: readonly Fact[],
    checks: readonly Check[],
    key: PrivateKey | undefined,
    next: PrivateKey,
    endsWith: (signed: Signed) => Promise<Proof>,
  ): Promise<Capability> {
    const { chain, token, parts } = this.#held;
    const secret = await this.#secret();
    if (!secret) return refuse('sealed', 'the token is sealed: nothing can be appended to it; use the one it was made from');
    const content = writeBlock(facts, checks, key ? undefined : definedBy(token.blocks));
    const signed = await signBlock(content, token.blocks.at(-1)!.signed.signature, key, secret, next.public);
    const parent = await parentDigest(parts);
    const proof = await endsWith(signed);
    try {
      const shaped = following(token, signed, proof);
      const block = shaped.blocks.at(-1)!;
      const goes = goOn(chain, block, token.blocks.length, parent);
      checkCost(shaped.blocks, goes.hops.length);
      // It was made over signatures that hold, with the secret that belongs there.
      const known = { damaged: Promise.resolve(undefined), secret: Promise.resolve('nextSecret' in proof ? next : undefined) };
      return new Capability({ token: shaped, chain: goes, parts: [...parts, readPart(block)], ...known });
    } catch (error) {
      if (!(error instanceof HardtackError)) throw error;
      throw new HardtackError('result_refused', `every verifier would refuse the result: ${error.message}`, error.block);
    }
  }

  toString(): string {
    return `Capability(of ${bearerOf(this.#held.chain)})`;
  }

  toJSON(): string {
    return this.toString();
  }
}

/** A bearer token for one audience. Printing it leaves out the token. */
export class Presentation {
  readonly #bearer: string;
  readonly #capability: string;

  /** @internal */
  constructor(
    bearer: string,
    capability: string,
    /** The first moment at which it is no longer valid, in seconds since 1970. */
    readonly expires: number,
    /** The revocation id of the presentation, by which it is revoked and recorded. */
    readonly revocationId: string,
  ) {
    this.#bearer = bearer;
    this.#capability = capability;
  }

  /** @internal What only this presentation has: it begins where it parts from the capability. */
  get own(): string {
    let at = 0;
    while (at < this.#bearer.length && this.#bearer[at] === this.#capability[at]) at += 1;
    return this.#bearer.slice(at);
  }

  /** The bearer token, for the header `Authorization: Bearer …`. It is a secret while it lives. */
  get bearer(): string {
    return this.#bearer;
  }

  /** True if the bearer has more than 8,000 characters, so that proxies may cut it off. */
  get isLong(): boolean {
    return this.#bearer.length > LONG_BEARER;
  }

  toString(): string {
    return 'Presentation';
  }
}

/** What was read never changes, whoever was shown it. */
function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || value instanceof PublicKey || Object.isFrozen(value)) return;
  Object.freeze(value);
  Object.values(value).forEach(freeze);
}

const distinct = (texts: readonly string[]): string[] => [...new Set(texts)];

function listOf(given: readonly string[] | undefined, name: string): readonly string[] {
  if (given === undefined) return [];
  return Array.isArray(given) ? [...(given as readonly string[])] : refuse('incomplete', `${name} is a list of texts`);
}

const DELEGATION = ['to', 'scopes', 'reason', 'holder', 'unbound', 'audiences', 'allow', 'ttl', 'longestLife', 'now'] as const;
const PRESENTING = ['call', 'only', 'evenUncovered', 'ttl', 'now'] as const;

/** The same questions that the verifier's walk asks. */
function refuseWider(chain: Chain, scopes: readonly string[], audiences: readonly string[]): void {
  const parent = lastOf(chain);
  if (scopes.length === 0) refuse('incomplete', 'a delegation needs at least one scope, such as tools:call:search');
  const wider = scopes.find((scope) => !parent.scopes.some((wider) => covers(wider, scope)));
  if (wider !== undefined) {
    const covering = parent.scopes.join(', ');
    refuse('beyond_scope', `the scope ${wider} is not covered by any scope of its parent: ${covering}`);
  }
  const other = audiences.find((audience) => parent.audiences.length > 0 && !parent.audiences.includes(audience));
  if (other !== undefined) {
    refuse('beyond_audience', `the audience ${other} is not among its parent's: ${parent.audiences.join(', ')}`);
  }
  if (chain.hops.length >= chain.grant.maxDepth) {
    refuse('beyond_depth', `the grant allows ${chain.grant.maxDepth} hops, and they are used up`);
  }
}
