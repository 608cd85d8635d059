/** Call: one operation with its arguments, exactly; and Message, what a message of MCP asks for. */

import { addon, type NativeCall, type NativeMessage } from './addon.js';
import { HardtackError, native } from './errors.js';
import { bytes, flag, optionsOf, text } from './given.js';
import { jsonText, parseExactly } from './json.js';

/** What may be given as arguments: the text of a JSON object, or an object that JSON has as it is. */
export type Arguments = string | { readonly [name: string]: unknown };

export interface LargeIntegers {
  /** Takes integers from −2^63 to 2^63−1, as a `bigint` or in a text, for a server of which it is known that it takes them. */
  readonly largeIntegers?: boolean | undefined;
}

export interface ToolParts extends LargeIntegers {
  /** The URI of the resource that the call is about. */
  readonly resource?: string | undefined;
  /** What else the request says that a server may act on. No check sees it; a presentation for one call covers it. */
  readonly params?: Arguments | undefined;
}

export interface CallParts extends ToolParts {
  readonly arguments?: Arguments | undefined;
}

let made: (call: NativeCall) => Call;
let inside: (call: Call) => NativeCall;

function textOf(given: unknown, what: string): string | undefined {
  return given === undefined ? undefined : jsonText(given, what);
}

/** One operation, its resource and its arguments, exactly. It never changes. */
export class Call {
  readonly #call: NativeCall;

  private constructor(call: NativeCall) {
    if (!(call instanceof (addon.Call as unknown as Function))) throw new TypeError('calls are made by Call.of, tool, prompt, read and parse');
    // In the text of JSON a name stands as it is, and in a text of it the quote before is escaped.
    if (call.argumentsJson.includes('"__proto__":')) {
      throw new HardtackError('inexact_call', 'the arguments have a member __proto__, which changes an object that it is copied to', { status: 400 });
    }
    this.#call = call;
  }

  static {
    made = (call) => new Call(call);
    inside = (call) => {
      if (typeof call !== 'object' || call === null || !(#call in call)) {
        throw new TypeError('a call is made by Call.of, tool, prompt, read or parse of this package');
      }
      return call.#call;
    };
  }

  /** A call of `operation`, such as `tools:call:search` or `resources:read`. */
  static of(operation: string, parts: CallParts = {}): Call {
    const { resource, arguments: args, params, largeIntegers } = optionsOf(parts, 'the parts of a call', ['resource', 'arguments', 'params', 'largeIntegers']);
    const uri = resource === undefined ? undefined : text(resource, 'a resource');
    const [name, large] = [text(operation, 'an operation'), flag(largeIntegers, 'largeIntegers')];
    const [judged, further] = [textOf(args, 'the arguments'), textOf(params, 'the parameters')];
    return native(() => new Call(addon.Call.of(name, uri, judged, further, large)));
  }

  /** A call of the tool `name`: the operation `tools:call:<name>`. */
  static tool(name: string, args?: Arguments, parts: ToolParts = {}): Call {
    const { resource, params, largeIntegers } = optionsOf(parts, 'the parts of a call', ['resource', 'params', 'largeIntegers']);
    return Call.of(`tools:call:${text(name, 'the name of a tool')}`, { resource, params, largeIntegers, arguments: args });
  }

  /** Gets the prompt `name`: the operation `prompts:get:<name>`, with escapes for what an operation cannot have. */
  static prompt(name: string, args?: Arguments): Call {
    const [prompt, judged] = [text(name, 'the name of a prompt'), textOf(args, 'the arguments')];
    return native(() => new Call(addon.Call.prompt(prompt, judged)));
  }

  /** Reads the resource `uri`: the operation `resources:read`. */
  static read(uri: string): Call {
    return Call.of('resources:read', { resource: uri });
  }

  /** Reads a call from the text of a JSON object, `{"operation": …, "resource": …, "arguments": …, "params": …}`. */
  static parse(json: string, options: LargeIntegers = {}): Call {
    const large = flag(optionsOf(options, 'the options', ['largeIntegers']).largeIntegers, 'largeIntegers');
    const said = text(json, 'a call');
    return native(() => new Call(addon.Call.parse(said, large)));
  }

  /** The operation, such as `tools:call:search`. */
  get operation(): string {
    return this.#call.operation;
  }

  /** The URI of the resource, if the call is about one. */
  get resource(): string | undefined {
    return this.#call.resource ?? undefined;
  }

  /** The arguments as they were read, each time anew. Pass on these, and not what came in. Integers beyond ±(2^53−1) are a `bigint`. */
  get arguments(): Record<string, unknown> {
    return parseExactly(this.#call.argumentsJson) as Record<string, unknown>;
  }

  /** The same as the text of JSON. */
  get argumentsJson(): string {
    return this.#call.argumentsJson;
  }

  /** The SHA-256 digest of the canonical call. */
  digest(): Uint8Array {
    return this.#call.digest();
  }

  /** Whether it is the same call. */
  equals(other: Call): boolean {
    return this.#call.equals(inside(other));
  }

  /** Arguments can hold what no log should. */
  toJSON(): Record<string, unknown> {
    return { operation: this.operation };
  }
}

/** @internal */
export const nativeCall = (call: Call): NativeCall => inside(call);

export interface ReadingOptions extends LargeIntegers {
  /** The bearer of the request: a message that carries it is refused. */
  readonly bearer?: string | undefined;
}

/** A message of MCP from a client, read once and strictly. */
export class Message {
  readonly #message: NativeMessage;

  private constructor(message: NativeMessage) {
    if (!(message instanceof (addon.Message as unknown as Function))) throw new TypeError('messages are made by Message.read');
    this.#message = message;
  }

  /** Reads one message from the bytes or the text of its JSON. A batch is refused. */
  static read(body: Uint8Array | string, options: ReadingOptions = {}): Message {
    const { bearer, largeIntegers } = optionsOf(options, 'the options', ['bearer', 'largeIntegers']);
    const raw = typeof body === 'string' ? new TextEncoder().encode(text(body, 'a message')) : bytes(body, 'the bytes of a message');
    const carried = bearer === undefined ? undefined : text(bearer, 'a bearer');
    const large = flag(largeIntegers, 'largeIntegers');
    return native(() => new Message(addon.Message.read(raw, carried, large)));
  }

  /** The method; `undefined` for an answer. */
  get method(): string | undefined {
    return this.#message.method ?? undefined;
  }

  /** The calls that the message means. There are none for what any valid token may ask for, such as a list. */
  calls(): Call[] {
    return native(() => this.#message.calls().map((call) => made(call)));
  }

  /** The tasks that the message names. A server whose callers may not see each other's looks whether they are the caller's own. */
  taskIds(): string[] {
    return native(() => this.#message.taskIds());
  }
}
