/** Call: one operation, on one resource, with its arguments, exactly, and the digest by which it is known. */

import { byteLength, sha256, utf8, type Bytes } from './bytes.js';
import { HardtackError, refuse } from './error.js';
import { Ambiguous, ambiguous, canonical, parseStrictly, stringifyStrictly, type Json, type JsonObject, type Problem } from './json.js';
import { MAX_RESOURCE_BYTES, resourceFlaw } from './resource.js';
import { checkOperation, operationOfPrompt } from './scope.js';
import { fold, isAscii, isPlain, MAX_FOLDED_BYTES } from './spelling.js';

const MAX_ARGUMENT_BYTES = 4 * 1024 * 1024;
const MAX_ARGUMENTS = 1000;
const MAX_NAME_BYTES = 4096;
const MAX_NAMES_BYTES = 64 * 1024;
export const MAX_ARGUMENT_VALUES = 200_000;
export const MAX_ARGUMENT_DEPTH = 100;

/** What may be given as arguments: the text of a JSON object, or an object. */
export type Arguments = string | { readonly [name: string]: unknown };

const SAID: Readonly<Record<Problem, string>> = {
  json: 'are no JSON, or hold what JSON has not: undefined, a getter, half a surrogate pair, a number that is not finite',
  object: 'are no JSON object',
  repeated: 'have a member twice, which readers read differently',
  alike:
    'have two members whose names differ in capitals, in a normal form or in spaces around them only, which some readers ' +
    'take for one',
  name:
    'have a member whose name has a character that does not print, at which some readers end the name and which others ' +
    'leave out',
  integer: 'have an integer beyond ±9007199254740991, which readers round differently; send it as a string',
  large: 
    'are larger than 4194304 bytes, 1000 arguments with 65536 bytes in their names, 200000 values or 100 levels, or have ' +
    'more than 8192 bytes in names that are not ASCII',
};

/** Says in words what is wrong with JSON, as a call's. */
export function exactly<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Ambiguous)) throw error;
    const code = error.problem === 'large' ? 'call_too_large' : 'inexact_call';
    throw new HardtackError(code, `the arguments ${SAID[error.problem]}`);
  }
}

/** Reads the object that arguments are. Values are counted by whoever takes them. */
function readObject(given: Arguments, large = false): JsonObject {
  const [levels, values] = [MAX_ARGUMENT_DEPTH + 2, MAX_ARGUMENT_VALUES + 8];
  const text = typeof given === 'string' ? given : stringifyStrictly(given, levels, MAX_ARGUMENT_BYTES * 2, values, large);
  if (text.length > MAX_ARGUMENT_BYTES * 2 || byteLength(text) > MAX_ARGUMENT_BYTES * 2) ambiguous('large');
  const value = parseStrictly(text, levels, values, large);
  return value instanceof Map ? value : ambiguous('object');
}

function hasLargeInteger(value: Json): boolean {
  if (Array.isArray(value)) return value.some(hasLargeInteger);
  return value instanceof Map ? [...value.values()].some(hasLargeInteger) : typeof value === 'bigint';
}

function count(value: Json, depth: number): number {
  if (depth > MAX_ARGUMENT_DEPTH) ambiguous('large');
  const inner = Array.isArray(value) ? value : value instanceof Map ? [...value.values()] : [];
  return inner.reduce<number>((sum, value) => sum + count(value, depth + 1), 1);
}

/** Few enough to be judged, each with a name of its own for every reader. */
function checked(members: JsonObject): JsonObject {
  if (members.size > MAX_ARGUMENTS) ambiguous('large');
  const names = [...members.keys()];
  if (!names.every(isPlain)) ambiguous('name');
  const foldable = names.filter((name) => !isAscii(name)).reduce((sum, name) => sum + byteLength(name), 0);
  const values = [...members.values()].reduce<number>((sum, value) => sum + count(value, 1), 0);
  const bytes = members.size === 0 ? 0 : byteLength(canonical(members));
  const named = names.map(byteLength);
  const tooLong = named.some((length) => length > MAX_NAME_BYTES) || named.reduce((sum, length) => sum + length, 0) > MAX_NAMES_BYTES;
  if (tooLong || values > MAX_ARGUMENT_VALUES) ambiguous('large');
  if (bytes > MAX_ARGUMENT_BYTES || foldable > MAX_FOLDED_BYTES) ambiguous('large');
  return new Set(names.map(fold)).size === names.length ? members : ambiguous('alike');
}

function checkedResource(uri: string): string {
  if (typeof uri !== 'string') refuse('inexact_call', 'a resource is a URI, as text');
  const flaw = resourceFlaw(uri);
  if (flaw === undefined) return uri;
  return refuse(byteLength(uri) > MAX_RESOURCE_BYTES ? 'call_too_large' : 'inexact_call', flaw);
}

/** The parts of a call. */
interface Parts {
  operation: string;
  resource?: string | undefined;
  arguments: JsonObject;
  params: JsonObject;
}

/**
 * A call: what an agent wants to do, exactly. It never changes; each method that adds something returns another call.
 * Arguments are read once, strictly, and what was read is what is hashed.
 */
export class Call {
  readonly #parts: Parts;
  readonly #large: boolean;
  #digest: Promise<Bytes> | undefined;

  private constructor(parts: Parts, large = false) {
    this.#parts = parts;
    this.#large = large;
  }

  /** Begins a call of `operation`, such as `resources:read`, without resource and arguments. */
  static of(operation: string): Call {
    return new Call({ operation: checkOperation(operation), arguments: new Map(), params: new Map() });
  }

  /** A call of the tool `name`: the operation `tools:call:<name>`. */
  static tool(name: string, args?: Arguments): Call {
    return named(`tools:call:${name}`, args);
  }

  /** A call for the prompt `name`: the operation `prompts:get:<name>`, with escapes for what an operation cannot have. */
  static prompt(name: string, args?: Arguments): Call {
    return named(operationOfPrompt(name), args);
  }

  /** A call that reads a resource: the operation `resources:read`. */
  static read(uri: string): Call {
    return Call.of('resources:read').resource(uri);
  }

  /**
   * Reads a call from `{"operation": …, "resource": …, "arguments": …, "params": …}`; the last three are optional. With `largeIntegers`,
   * as of a call of which {@link Call.largeIntegers} was said.
   */
  static parse(json: string, options?: { readonly largeIntegers?: boolean }): Call {
    const large = options?.largeIntegers === true;
    return exactly(() => {
      const members = readObject(json, large);
      const [operation, resource] = [members.get('operation'), members.get('resource')];
      const [args, params] = [members.get('arguments') ?? new Map(), members.get('params') ?? new Map()];
      const known = ['operation', 'resource', 'arguments', 'params'];
      const isForm =
        typeof operation === 'string' &&
        (typeof resource === 'string' || !members.has('resource')) &&
        args instanceof Map && params instanceof Map &&
        members.get('arguments') !== null && members.get('params') !== null &&
        [...members.keys()].every((name) => known.includes(name));
      if (!isForm) {
        const form = '{"operation": "tools:call:search", "resource": "https://…", "arguments": {…}, "params": {…}}';
        return refuse('inexact_call', `a call is ${form}, the last three optional`);
      }
      const uri = resource === undefined ? undefined : checkedResource(resource as string);
      if (hasLargeInteger(params)) ambiguous('integer');
      return new Call({ operation: checkOperation(operation), resource: uri, arguments: checked(args), params }, large);
    });
  }

  /**
   * Sets the resource that the call is about: a URI in the normal form of the WHATWG URL Standard, and of other schemes than
   * https, http and file the only spelling of its resource.
   */
  resource(uri: string): Call {
    return new Call({ ...this.#parts, resource: checkedResource(uri) }, this.#large);
  }

  /** Sets the arguments, in place of those that it has. */
  arguments(args: Arguments): Call {
    return exactly(() => new Call({ ...this.#parts, arguments: checked(readObject(args, this.#large)) }, this.#large));
  }

  /**
   * Takes integers beyond ±(2^53−1) in arguments that are set from now on: from −2^63 to 2^63−1, as a `bigint`, or written in digits alone
   * in JSON. For servers of which it is known that they take them; others refuse the call.
   */
  largeIntegers(): Call {
    return new Call(this.#parts, true);
  }

  /** Sets what else the request says that a server may act on. No check sees it; the digest covers it. */
  params(params: Arguments): Call {
    return exactly(() => new Call({ ...this.#parts, params: readObject(params) }, this.#large));
  }

  /** @internal The same with what was read strictly. */
  static made(operation: string, resource: string | undefined, args: JsonObject, params: JsonObject): Call {
    const uri = resource === undefined ? undefined : checkedResource(resource);
    const parts = { operation: checkOperation(operation), resource: uri, params };
    return exactly(() => new Call({ ...parts, arguments: checked(args) }));
  }

  /** Returns the operation, such as `tools:call:search`. */
  get operation(): string {
    return this.#parts.operation;
  }

  /** Returns the URI of the resource, if the call is about one. */
  get resourceUri(): string | undefined {
    return this.#parts.resource;
  }

  /** Returns the arguments as JSON, as they were read. Send these, and not what came in. */
  get argumentsJson(): string {
    return canonical(this.#parts.arguments);
  }

  /** Returns the canonical call: the RFC 8785 form of which the digest is. */
  canonical(): string {
    const { operation, resource, arguments: args, params } = this.#parts;
    const members: JsonObject = new Map<string, Json>([['operation', operation]]);
    if (resource !== undefined) members.set('resource', resource);
    if (args.size > 0) members.set('arguments', args);
    if (params.size > 0) members.set('params', params);
    return canonical(members);
  }

  /** Returns the SHA-256 digest of the canonical call. */
  async digest(): Promise<Uint8Array> {
    this.#digest ??= sha256(utf8(this.canonical()));
    return (await this.#digest).slice();
  }
}

function named(operation: string, args: Arguments | undefined): Call {
  const call = Call.of(operation);
  return args === undefined ? call : call.arguments(args);
}
