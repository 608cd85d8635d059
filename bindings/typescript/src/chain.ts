/** Chain: what a token's blocks say. Nothing of it is verified. */

import { hex, same, type Bytes } from './bytes.js';
import { keyOf, type Check } from './datalog.js';
import { checkAudiences, checkDepth, checkExpiry, checkHolder, checkScopes } from './block.js';
import { lineOf } from './constraint-check.js';
import { HardtackError, refuse, type Code } from './error.js';
import { PublicKey } from './keys.js';
import { MAX_MOMENT } from './life.js';
import { agentFlaw, audienceFlaw, reasonFlaw, subjectFlaw } from './names.js';
import { isUsable } from './points.js';
import type { Read } from './proto.js';
import { isScope } from './scope.js';
import type { Block } from './shape.js';

const PROFILE_VERSION = 1n;
const MAX_DEPTH = 13n;
const MAX_NAME_BYTES = 128;

/** What blocks say, and what verifiers assert: no fact about a subject has such a name. */
const SAID = 'hardtack subject scope audience issued expires max_depth holder delegate reason parent hop presentation digest nonce';
const RESERVED: ReadonlySet<string> = new Set(
  `${SAID} time weekday minute_of_day grant_age operation granted tool resource arg call verifier issuer presented depth agent agent_key delegated delegated_key unbound`
    .split(' '),
);

/** What every block says that narrows. */
interface Narrowing {
  /** The number of its block. */
  readonly block: number;
  readonly scopes: readonly string[];
  /** At which servers. Empty for any, until a hop or the presentation names one. */
  readonly audiences: readonly string[];
  /** The first moment at which it is no longer valid, in seconds since 1970. */
  readonly expires: number;
  /** Who may delegate further or present; absent for whoever has the token. */
  readonly holder: PublicKey | undefined;
  /** What it demands of arguments, each as the line that was written. */
  readonly constraints: readonly string[];
  /** How many checks it has besides, in Datalog, which this package does not show. */
  readonly otherChecks: number;
  /** The revocation id of the block, in hexadecimal digits. */
  readonly revocationId: string;
}

/** The grant, block 0. */
export interface GrantBlock extends Narrowing {
  readonly subject: string;
  /** When it was made, in seconds since 1970. */
  readonly issued: number;
  /** How many hops may follow. */
  readonly maxDepth: number;
}

/** A hop: one delegation. */
export interface Hop extends Narrowing {
  readonly delegator: string;
  readonly delegate: string;
  readonly reason: string;
  /** The key that signed the hop; absent for a block that anybody can append. */
  readonly signer: PublicKey | undefined;
}

/** A block that only adds checks, which no holder signed. */
export interface Caveat {
  readonly block: number;
  readonly constraints: readonly string[];
  readonly otherChecks: number;
  readonly revocationId: string;
}

/** The presentation, the last block of what goes over the wire. */
export interface PresentationBlock {
  readonly block: number;
  readonly kind: 'session' | 'call';
  readonly audience: string;
  readonly expires: number;
  readonly signer: PublicKey | undefined;
  readonly revocationId: string;
}

/** A token's blocks, decoded. Nothing of it is verified. */
export interface Chain {
  readonly grant: GrantBlock;
  readonly hops: readonly Hop[];
  readonly caveats: readonly Caveat[];
  readonly presentation: PresentationBlock | undefined;
}

/** The grant or hop that holds now. */
export const lastOf = (chain: Chain): GrantBlock | Hop => chain.hops.at(-1) ?? chain.grant;

/** At which servers it may be used; empty for any. */
export const audiencesOf = (chain: Chain): readonly string[] =>
  chain.presentation ? [chain.presentation.audience] : lastOf(chain).audiences;

/** The first moment at which some block of the chain is no longer valid. */
export const expiresOf = (chain: Chain): number =>
  Math.min(chain.grant.expires, ...chain.hops.map((hop) => hop.expires), chain.presentation?.expires ?? MAX_MOMENT);

/** Whose it is now: the last delegate, or the subject. */
export const bearerOf = (chain: Chain): string => chain.hops.at(-1)?.delegate ?? chain.grant.subject;

const MISSING: Readonly<Record<string, Code>> =
  { reason: 'no_reason', scope: 'no_scope', expires: 'no_expiry', subject: 'no_subject' };

/** The facts of one block. */
class Facts {
  readonly index: number;

  constructor(readonly block: Block, index: number) {
    this.index = index;
  }

  wrong(name: string, problem: string, code: Code = 'fact'): never {
    return refuse(code, `block ${this.index}: ${name} ${problem}`, this.index);
  }

  malformed(name: string): never {
    return this.wrong(name, 'has another arity, type or range than the profile gives it');
  }

  names(): string[] {
    return this.block.facts.map(({ name }) => this.block.word(name as bigint));
  }

  all<T>(name: string, read: (term: Read) => T | undefined): T[] {
    const said = this.block.facts.filter((fact) => this.block.word(fact.name as bigint) === name);
    return said.map(({ terms }) => {
      const [term, ...more] = terms as Read[];
      return (term && more.length === 0 ? read(term) : undefined) ?? this.malformed(name);
    });
  }

  optional<T>(name: string, read: (term: Read) => T | undefined): T | undefined {
    const [value, ...more] = this.all(name, read);
    return more.length > 0 ? this.wrong(name, 'is said more than once') : value;
  }

  one<T>(name: string, read: (term: Read) => T | undefined): T {
    return this.optional(name, read) ?? this.wrong(name, 'is missing', MISSING[name]);
  }

  text = (term: Read): string | undefined =>
    term.string === undefined ? undefined : this.block.word(term.string as bigint);

  named(name: string, flaw: (text: string) => string | undefined): string {
    const text = this.one(name, this.text);
    return flaw(text) === undefined ? text : this.wrong(name, 'is not of its form', 'name');
  }

  distinct(name: string, isOne: (text: string) => boolean): string[] {
    const texts = this.all(name, this.text);
    if (new Set(texts).size < texts.length) this.wrong(name, 'is said more than once');
    return texts.every(isOne) ? texts : this.wrong(name, 'is not of its form', 'name');
  }

  scopes(): string[] {
    const scopes = this.distinct('scope', isScope);
    return scopes.length > 0 ? scopes : this.wrong('scope', 'is missing', 'no_scope');
  }

  audiences(): string[] {
    return this.distinct('audience', (name) => audienceFlaw(name) === undefined);
  }

  holder(): PublicKey | undefined {
    const key = this.optional('holder', bytes(32));
    if (key === undefined) return undefined;
    return isUsable(key)
      ? PublicKey.fromBytes(key)
      : refuse('algorithm', `block ${this.index} has a key that is not a usable ed25519 key`, this.index);
  }

  number(): void {
    if (this.one('hop', integer) !== BigInt(this.index)) this.malformed('hop');
  }

  only(names: string): void {
    const odd = this.names().find((name) => !names.split(' ').includes(name));
    if (odd === undefined) return;
    this.refuseReserved(odd);
    this.#content('a fact that has no place there');
  }

  refuseReserved(name: string): void {
    const isName = name.length <= MAX_NAME_BYTES && /^[A-Za-z][A-Za-z0-9_:]*$/.test(name);
    if (!isName || RESERVED.has(name)) this.#content('a fact that is not its to assert');
  }

  #content(what: string): never {
    return refuse('content', `block ${this.index} contains ${what}, which a token may not`, this.index);
  }

  /** What it demands of arguments, besides what its facts say anyway. */
  demands(standard: readonly Check[]): { constraints: string[]; otherChecks: number } {
    const known = new Set(standard.map(keyOf));
    const rest = this.block.checks.filter((check) => check === undefined || !known.has(keyOf(check)));
    const lines = rest.map((check) => check && lineOf(check));
    const constraints = lines.filter((line) => line !== undefined);
    return { constraints, otherChecks: rest.length - constraints.length };
  }

  get signer(): PublicKey | undefined {
    const { external } = this.block.signed;
    return external && PublicKey.fromBytes(external.key);
  }

  get revocationId(): string {
    return hex(this.block.signed.external?.signature ?? this.block.signed.signature);
  }
}

const integer = (term: Read): bigint | undefined => term.integer as bigint | undefined;
const date = (term: Read): number | undefined => (term.date === undefined ? undefined : Number(term.date));
const bytes = (length: number) => (term: Read): Bytes | undefined =>
  (term.bytes as Bytes | undefined)?.length === length ? (term.bytes as Bytes) : undefined;

function readGrant(block: Block): GrantBlock {
  const facts = new Facts(block, 0);
  const said = 'hardtack subject scope audience issued expires max_depth holder'.split(' ');
  for (const name of facts.names()) if (!said.includes(name)) facts.refuseReserved(name);
  if (facts.one('hardtack', integer) !== PROFILE_VERSION) facts.malformed('hardtack');
  const subject = facts.named('subject', subjectFlaw);
  const depth = facts.one('max_depth', integer);
  const maxDepth = depth >= 0n && depth <= MAX_DEPTH ? Number(depth) : facts.malformed('max_depth');
  const [scopes, audiences] = [facts.scopes(), facts.audiences()];
  const [issued, expires] = [facts.one('issued', date), facts.one('expires', date)];
  const narrowed = narrowing(facts, scopes, audiences, audiences, expires, [checkDepth(maxDepth)]);
  return { ...narrowed, subject, issued, maxDepth };
}

function narrowing(
  facts: Facts,
  scopes: string[],
  own: readonly string[],
  audiences: readonly string[],
  expires: number,
  more: readonly Check[],
): Narrowing {
  const holder = facts.holder();
  const standard = [checkExpiry(expires), ...more];
  if (own.length > 0) standard.push(checkAudiences(own));
  if (holder) standard.push(checkHolder(facts.index, holder.toBytes() as Bytes));
  try {
    standard.push(checkScopes(scopes));
  } catch (error) {
    // More than one check has room for: then none was written.
    if (!(error instanceof HardtackError)) throw error;
  }
  const { index: block, revocationId } = facts;
  return { block, scopes, audiences, expires, holder, ...facts.demands(standard), revocationId };
}

function readHop(facts: Facts, before: Chain): Hop {
  facts.only('hop delegate scope audience expires reason holder parent');
  facts.number();
  const delegate = facts.named('delegate', agentFlaw);
  const reason = facts.named('reason', reasonFlaw);
  const own = facts.audiences();
  const audiences = own.length > 0 ? own : audiencesOf(before);
  const scopes = facts.scopes();
  const narrowed = narrowing(facts, scopes, own, audiences, facts.one('expires', date), []);
  return { ...narrowed, delegator: bearerOf(before), delegate, reason, signer: facts.signer };
}

function readPresentation(facts: Facts): PresentationBlock {
  facts.only('hop presentation audience expires digest nonce parent');
  facts.number();
  const kind = facts.one('presentation', facts.text);
  if (kind !== 'session' && kind !== 'call') return facts.malformed('presentation');
  const audience = facts.named('audience', audienceFlaw);
  for (const [name, length] of [['digest', 32], ['nonce', 16]] as const) {
    const isThere = facts.optional(name, bytes(length)) !== undefined;
    if (kind === 'call' && !isThere) facts.wrong(name, 'is missing');
    if (kind === 'session' && isThere) facts.wrong(name, 'has no place in this block');
  }
  const expires = facts.one('expires', date);
  return { block: facts.index, kind, audience, expires, signer: facts.signer, revocationId: facts.revocationId };
}

/** Reads the grant, with which a chain begins. */
export const begin = (block: Block): Chain =>
  ({ grant: readGrant(block), hops: [], caveats: [], presentation: undefined });

/** Reads one more block, which was to be signed over what has the digest `parent`. */
export function goOn(chain: Chain, block: Block, index: number, parent: Bytes): Chain {
  const facts = new Facts(block, index);
  const said = facts.optional('parent', bytes(16));
  if (said && !same(said, parent)) {
    refuse('other_parent', `block ${index} was signed over another token than this`, index);
  }
  if (chain.presentation) {
    refuse('after_presentation', `block ${index} follows the presentation, which must be the last block`, index);
  }
  const names = facts.names();
  if (names.includes('presentation')) return { ...chain, presentation: readPresentation(facts) };
  if (names.includes('hop')) return { ...chain, hops: [...chain.hops, readHop(facts, chain)] };
  if (names.length > 0 || block.signed.external) {
    refuse('block_kind', `block ${index} is neither a grant, a hop, a caveat nor a presentation`, index);
  }
  const caveat = { block: index, ...facts.demands([]), revocationId: facts.revocationId };
  return { ...chain, caveats: [...chain.caveats, caveat] };
}
