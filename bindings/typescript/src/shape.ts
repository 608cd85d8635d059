/** Shape: bytes that anybody may have made, read to blocks that have exactly one reading. Says nothing about signatures. */

import { byteLength, compareTexts, hex, type Bytes } from './bytes.js';
import { VERSION, type Check, type Defined, type Op, type Predicate, type Query, type Term } from './datalog.js';
import { refuse } from './error.js';
import { isUsable } from './points.js';
import { decode, encode, type Read } from './proto.js';
import { BISCUIT, BLOCK, CHECK, DEFAULT_SYMBOLS, FIRST_SYMBOL } from './schema.js';
import { Terms, within } from './terms.js';

const MAX_TOKEN_BYTES = 16 * 1024;
const MAX_BLOCKS = 16;
const MAX_CHECKS = 64;
const MAX_FACTS = 256;
const MAX_SYMBOLS = 256;
const MAX_TEXT_BYTES = 1024;

/** A signed block as the token has it. */
export interface Signed {
  readonly content: Bytes;
  readonly nextKey: Bytes;
  readonly signature: Bytes;
  readonly external: { readonly key: Bytes; readonly signature: Bytes } | undefined;
}

/** A block of the accepted shape, with the words that its numbers stand for. */
export interface Block {
  readonly signed: Signed;
  readonly raw: Read;
  readonly word: (number: bigint) => string;
  readonly facts: readonly Read[];
  /** Checks as they are said, where this package can say them. */
  readonly checks: readonly (Check | undefined)[];
  /** Bytes of words in this block and those before it, each as often as it is used. */
  readonly written: number;
}

export type Proof = { readonly nextSecret: Bytes } | { readonly finalSignature: Bytes };

export interface Shaped {
  readonly rootKeyId: number | undefined;
  readonly blocks: readonly Block[];
  readonly proof: Proof;
  readonly bytes: Bytes;
}

const isLength = (bytes: Bytes | undefined, length: number): boolean => bytes?.length === length;

function noBiscuit(): never {
  return refuse('not_a_token', 'this is no Biscuit token, or not the one encoding of it');
}

function keyBytes(index: number, key: Read, usable: boolean): Bytes {
  const bytes = key.key as Bytes;
  return key.algorithm === 0 && bytes.length === 32 && (!usable || isUsable(bytes))
    ? bytes
    : refuse('algorithm', `block ${index} has a key that is not a usable ed25519 key`, index);
}

function badVersion(index: number): never {
  return refuse('signature_version', `block ${index} is not signed as Biscuit 3.3 signs (version 1, 64 bytes)`, index);
}

function signedOf(index: number, read: Read): Signed {
  const nextKey = keyBytes(index, read.nextKey as Read, false);
  if (read.version !== 1 || !isLength(read.signature as Bytes, 64)) badVersion(index);
  const external = read.external as Read | undefined;
  if (external && index === 0) refuse('content', 'block 0 contains an external signature on the grant, which a token may not', 0);
  const key = external && keyBytes(index, external.publicKey as Read, true);
  if (external && !isLength(external.signature as Bytes, 64)) badVersion(index);
  return {
    content: read.block as Bytes,
    nextKey,
    signature: read.signature as Bytes,
    external: key && { key, signature: external!.signature as Bytes },
  };
}

/** What first-party blocks have defined, which share one table. */
export function definedBy(blocks: readonly Block[]): Defined {
  const shared = blocks.filter(({ signed }) => signed.external === undefined);
  return {
    symbols: shared.flatMap(({ raw }) => raw.symbols as string[]),
    keys: shared.flatMap(({ raw }) => (raw.publicKeys as Read[]).map(({ key }) => hex(key as Bytes))),
  };
}

const sum = (blocks: readonly Block[], count: (raw: Read) => number): number =>
  blocks.reduce((all, { raw }) => all + count(raw), 0);

/** Reads one more block behind those that were read. */
export function readBlock(before: readonly Block[], signed: Signed): Block {
  const index = before.length;
  const encoding = (): never =>
    refuse('encoding', `block ${index} is not encoded in the one way that its content is`, index);
  const symbols = (): never =>
    refuse('symbols', `block ${index} uses a word or key that it does not define, or defines one twice`, index);
  const raw = decode(signed.content, BLOCK) ?? encoding();
  const refused = (raw.rules as Read[]).length > 0 ? 'a rule' : (raw.scope as Read[]).length > 0 ? 'a block-wide trusting'
    : raw.context === undefined ? undefined : 'a context';
  if (refused) refuse('content', `block ${index} contains ${refused}, which a token may not`, index);
  const own = raw.symbols as string[];
  const brought = raw.publicKeys as Read[];
  within(index, sum(before, (raw) => (raw.symbols as string[]).length) + own.length, MAX_SYMBOLS, 'words');
  within(index, brought.length, 1, 'public keys');
  for (const word of own) within(index, byteLength(word), MAX_TEXT_BYTES, 'bytes in a string');
  const newKeys = brought.map((key) => hex(keyBytes(index, key, true)));
  const defined = signed.external ? { symbols: [], keys: [] } : definedBy(before);
  const words = [...defined.symbols, ...own];
  const keys = [...defined.keys, ...newKeys];
  if (new Set(words).size < words.length || own.some((word) => DEFAULT_SYMBOLS.includes(word))) symbols();
  if (new Set(keys).size < keys.length) symbols();
  const facts = raw.facts as Read[];
  const checks = raw.checks as Read[];
  within(index, sum(before, (raw) => (raw.facts as Read[]).length) + facts.length, MAX_FACTS, 'facts');
  within(index, sum(before, (raw) => (raw.checks as Read[]).length) + checks.length, MAX_CHECKS, 'checks');
  const word = (number: bigint): string =>
    (number < BigInt(FIRST_SYMBOL) ? DEFAULT_SYMBOLS[Number(number)] : words[Number(number) - FIRST_SYMBOL]) ?? symbols();
  const terms = new Terms(index, word, keys.length, before.at(-1)?.written ?? 0);
  facts.forEach((fact) => terms.predicate(fact.predicate as Read, 'fact'));
  checks.forEach((check) => terms.check(check));
  const version = (raw.version as number | undefined) ?? 0;
  if (version < VERSION.least || version > VERSION.most) encoding();
  if (signed.external && version < VERSION.thirdParty) encoding();
  if (terms.needs(checks) > version) encoding();
  const said = checks.map((check) => sayCheck(check, word, keys));
  return { signed, raw, word, facts: facts.map(({ predicate }) => predicate as Read), checks: said, written: terms.written };
}

/** Reads a token's bytes. */
export function gate(bytes: Bytes): Shaped {
  if (bytes.length > MAX_TOKEN_BYTES) tooLarge();
  const read = decode(bytes, BISCUIT) ?? noBiscuit();
  const rest = read.blocks as Read[];
  if (rest.length >= MAX_BLOCKS) refuse('over_limit', `block 0 has more than ${MAX_BLOCKS} blocks`, 0);
  const { nextSecret, finalSignature } = read.proof as { nextSecret?: Bytes; finalSignature?: Bytes };
  if (!nextSecret && !finalSignature) noBiscuit();
  if (!isLength(nextSecret, 32) && !isLength(finalSignature, 64)) badVersion(rest.length);
  const blocks: Block[] = [];
  for (const [index, block] of [read.authority as Read, ...rest].entries()) {
    blocks.push(readBlock(blocks, signedOf(index, block)));
  }
  const proof = nextSecret ? { nextSecret } : { finalSignature: finalSignature! };
  return { rootKeyId: read.rootKeyId as number | undefined, blocks, proof, bytes };
}

function tooLarge(): never {
  return refuse('too_large', `the token has more than ${MAX_TOKEN_BYTES} bytes`);
}

/** The token that goes on with one more block, which passes the gate as it would at a verifier, and ends with this proof. */
export function following(token: Shaped, signed: Signed, proof: Proof): Shaped {
  if (token.blocks.length >= MAX_BLOCKS) refuse('over_limit', `block 0 has more than ${MAX_BLOCKS} blocks`, 0);
  const blocks = [...token.blocks, readBlock(token.blocks, signed)];
  const written = blocks.map(({ signed: { content, nextKey, signature, external } }) => ({
    block: content,
    nextKey: { algorithm: 0, key: nextKey },
    signature,
    external: external && { signature: external.signature, publicKey: { algorithm: 0, key: external.key } },
    version: 1,
  }));
  const [authority, ...rest] = written;
  const bytes = encode({ rootKeyId: token.rootKeyId, authority, blocks: rest, proof }, BISCUIT);
  return bytes.length > MAX_TOKEN_BYTES ? tooLarge() : { rootKeyId: token.rootKeyId, blocks, proof, bytes };
}

/** A check as it is said; `undefined` for one that this package could not say: with null, a map, two predicates. */
function sayCheck(check: Read, word: (number: bigint) => string, keys: readonly string[]): Check | undefined {
  class Strange extends Error {}
  const strange = (): never => {
    throw new Strange();
  };
  const term = (read: Read): Term => {
    const kind = Object.keys(read)[0];
    switch (kind) {
      case 'variable':
        return ['var', word(BigInt(read.variable as number))];
      case 'string':
        return ['str', word(read.string as bigint)];
      case 'integer':
        return ['int', read.integer as bigint];
      case 'date':
      case 'bytes':
      case 'bool':
        return [kind, read[kind]] as unknown as Term;
      case 'set':
      case 'array': {
        const items = (read[kind] as { items: Read[] }).items.map(term);
        return [kind, kind === 'set' ? items.sort(byText) : items];
      }
      default:
        return strange();
    }
  };
  const predicate = (read: Read): Predicate => ({ name: word(read.name as bigint), terms: (read.terms as Read[]).map(term) });
  const op = (read: Read): Op => {
    if (read.value) return ['value', term(read.value as Read)];
    if (read.closure) {
      const { params, ops } = read.closure as { params: number[]; ops: Read[] };
      return ['closure', params.map((name) => word(BigInt(name))), ops.map(op)];
    }
    const called = (read.binary ?? read.unary) as Read;
    if (!read.binary) return ['unary', called.kind as number];
    const name = called.ffiName as bigint | undefined;
    return name === undefined ? ['binary', called.kind as number] : ['binary', called.kind as number, word(name)];
  };
  const query = (read: Read): Query => {
    const [body, ...more] = read.body as Read[];
    const [scope] = read.scope as Read[];
    if (!body || more.length > 0 || scope?.scopeType !== undefined) return strange();
    const key = scope && keys[Number(scope.publicKey)];
    const trusting = key === undefined ? undefined : Uint8Array.from(key.match(/../g)!, (byte) => parseInt(byte, 16));
    const expressions = (read.expressions as Read[]).map(({ ops }) => (ops as Read[]).map(op));
    return { body: predicate(body), expressions, trusting };
  };
  try {
    return { kind: (check.kind as number | undefined) ?? CHECK.one, queries: (check.queries as Read[]).map(query) };
  } catch (error) {
    if (error instanceof Strange) return undefined;
    throw error;
  }
}

/** As a set is said: by its values, not by their numbers. */
function byText(one: Term, other: Term): number {
  const [a, b] = [one, other].map((term) => (term[0] === 'bytes' ? hex(term[1]) : (term[1] as string | bigint)));
  if (typeof a === 'string') return compareTexts(a, b as string);
  return a! < (b as bigint) ? -1 : 1;
}
