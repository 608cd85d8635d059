/** MCP's messages: what is decided of those that a server gets, and what is left out of those that it sends. */

import { Call, Message } from './call.js';
import { Denied, HardtackError, Refused } from './errors.js';
import type { Guard } from './guard.js';
import type { AdapterOptions } from './http.js';
import { stringifyExactly } from './json.js';
import { filtered } from './mcp-lists.js';

/** What stands before the members that a program may read of a refusal. */
const META = 'dev.hardtack/refusal';

/** The most requests of one transport that wait for their answers: each holds a bearer. */
const MAX_PENDING = 4096;

/** JSON-RPC 2.0, section 5.1, and what HTTP calls the others. */
const [METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL, FORBIDDEN, UNDECIDED] = [-32601, -32602, -32603, 403, 503];

/** A message of JSON-RPC. */
export interface Rpc {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
}

interface Extra {
  readonly authInfo?: { readonly token?: unknown } | undefined;
}

type OnMessage = (message: Rpc, extra?: Extra) => void;

/** What is needed of a transport of the SDK's. */
interface Transport {
  onmessage?: unknown;
  onerror?: unknown;
  readonly sessionId?: string | undefined;
  send(message: unknown, ...more: unknown[]): Promise<void>;
}

interface Pending {
  readonly method: string;
  readonly bearer: string;
}

const owners = new WeakMap<object, string>();

/** @internal Whether a session is of somebody else: it belongs to the key that opened it. */
export function isStrangers(transport: object, client: string): boolean {
  const owner = owners.get(transport);
  return owner !== undefined && owner !== client;
}

/** The server, and what of it is connected: `McpServer` has a server within. */
interface Connects {
  connect(transport: never): Promise<void>;
}

const guardedServers = new WeakSet<object>();

/**
 * Decides every message that the server gets, and leaves out of its lists what may not be used. Call it before the server is connected, and
 * let requests in with `handleNode` or `handleFetch`. Returns the server.
 */
export function guardServer<S extends object>(guard: Guard, server: S, options: AdapterOptions = {}): S {
  const inner: unknown = 'server' in server ? server.server : server;
  if (typeof inner !== 'object' || inner === null || typeof (inner as Partial<Connects>).connect !== 'function') {
    throw new TypeError('guardServer takes a Server or McpServer of the SDK');
  }
  if ((inner as { transport?: unknown }).transport !== undefined) throw new TypeError('the server is connected; guard it before');
  if (guardedServers.has(inner)) throw new TypeError('the server has a guard');
  guardedServers.add(inner);
  const connects = inner as { connect: (transport: Transport) => Promise<void> };
  const connect = connects.connect.bind(inner);
  connects.connect = async (transport) => {
    new GuardedTransport(guard, transport, options).install();
    return connect(transport);
  };
  return server;
}

/** One transport, between the server and its client. */
class GuardedTransport {
  readonly #guard: Guard;
  readonly #transport: Transport;
  readonly #options: AdapterOptions;
  readonly #send: (message: unknown, ...more: unknown[]) => Promise<void>;
  /** What was decided, and is passed on now: whoever hands it on once more is not answered twice. */
  readonly #passed = new WeakSet<object>();
  /** The requests that were let through and have no answer yet, by their ids. */
  readonly #pending = new Map<unknown, Pending>();

  constructor(guard: Guard, transport: Transport, options: AdapterOptions) {
    this.#guard = guard;
    this.#transport = transport;
    this.#options = options;
    this.#send = transport.send.bind(transport);
  }

  /** Takes the place of what the server is told by, and of what it answers by. */
  install(): void {
    const transport = this.#transport;
    // Some transports have `onmessage` as a member, others hand it on to one within.
    let of: object | null = transport;
    let found: PropertyDescriptor | undefined;
    while (of !== null && found === undefined) {
      found = Object.getOwnPropertyDescriptor(of, 'onmessage');
      of = Object.getPrototypeOf(of) as object | null;
    }
    let listener: OnMessage | undefined;
    const tell: OnMessage = (message, extra) => {
      if (this.#passed.has(message)) return;
      this.#take(message, extra, (...told) => listener?.(...told)).catch((failed: unknown) => this.#report(failed));
    };
    const handOn = found?.set?.bind(transport);
    Object.defineProperty(transport, 'onmessage', {
      configurable: false,
      enumerable: true,
      // Whoever asks sees what was set; what is called goes through the guard.
      get: () => (listener === undefined ? undefined : tell),
      set: (given: OnMessage | undefined) => {
        listener = given;
        handOn?.(given === undefined ? undefined : tell);
      },
    });
    transport.send = (message, ...more) => this.#answer(message as Rpc, more);
  }

  /** Takes a message that came: it is passed on when it was decided, or answered here. */
  async #take(message: Rpc, extra: Extra | undefined, pass: OnMessage): Promise<void> {
    const { id, method } = message;
    const isRequest = id !== undefined && typeof method === 'string';
    let waits = false;
    try {
      if (isRequest && this.#pending.has(id)) throw new TypeError('a request has the id of another one that is not answered');
      const bearer = extra?.authInfo?.token;
      const known = typeof bearer === 'string' ? bearer : '';
      if (isRequest) this.#wait(id, { method, bearer: known });
      waits = isRequest;
      await this.#decide(message, known);
      // Who cancels gets no answer.
      if (method === 'notifications/cancelled') this.#pending.delete((message.params as { requestId?: unknown } | undefined)?.requestId);
    } catch (error) {
      if (!(error instanceof HardtackError)) {
        this.#report(error);
        // What could not be decided is not done. A request with the id of another one gets no answer, which would be taken for that one's.
        if (!waits) return;
        this.#pending.delete(id);
        await this.#send({ jsonrpc: '2.0', id, error: { code: INTERNAL, message: 'the server could not decide; nothing was done' } }, { relatedRequestId: id });
        return;
      }
      this.#options.onRefused?.(error);
      if (!isRequest) return;
      this.#pending.delete(id);
      await this.#send(refusal(id, method, error), { relatedRequestId: id }).catch((failed: unknown) => this.#report(failed));
      return;
    }
    this.#passed.add(message);
    pass(message, extra);
  }

  #wait(id: unknown, pending: Pending): void {
    if (this.#pending.size >= MAX_PENDING) throw new HardtackError('overloaded', 'too many requests wait for their answers', { status: 503 });
    this.#pending.set(id, pending);
  }

  async #decide(message: Rpc, bearer: string): Promise<void> {
    // What is judged is what is done: the message as the server will see it.
    const read = Message.read(stringifyExactly(message), { bearer });
    const calls = read.calls();
    // Whose task it is, nobody here knows.
    if (read.taskIds().length > 0) {
      throw new HardtackError('strange_task', 'tasks are not told apart by who began them; call the tool without a task', { status: 403 });
    }
    const client = calls.length === 0 ? (await this.#guard.admit(bearer)).client : await this.#check(bearer, calls);
    if (this.#transport.sessionId === undefined) return;
    if (isStrangers(this.#transport, client)) throw new HardtackError('strange_session', 'the session is of another client', { status: 404 });
    owners.set(this.#transport, client);
  }

  async #check(bearer: string, calls: readonly Call[]): Promise<string> {
    let client = '';
    for (const call of calls) {
      const presentation = (await this.#guard.check(bearer, call)).chain()['presentation'] as { signer?: string | null; revocation_id?: string | null };
      client = presentation.signer ?? presentation.revocation_id ?? '';
    }
    return client;
  }

  /** Sends what the server says. Of lists, what the caller may use. */
  async #answer(message: Rpc, more: unknown[]): Promise<void> {
    if (message.method !== undefined || message.id === undefined) return this.#send(message, ...more);
    const pending = this.#pending.get(message.id);
    // An answer that nobody waits for was cancelled, or its request was refused.
    if (pending === undefined) return;
    this.#pending.delete(message.id);
    if (message.result === undefined) return this.#send(message, ...more);
    try {
      const result = await filtered(this.#guard, pending.method, pending.bearer, message.result);
      return await this.#send({ ...message, result }, ...more);
    } catch (error) {
      if (!(error instanceof HardtackError)) throw error;
      this.#options.onRefused?.(error);
      return this.#send(refusal(message.id, pending.method, error), ...more);
    }
  }

  #report(error: unknown): void {
    const { onerror } = this.#transport;
    if (typeof onerror === 'function') (onerror as (error: unknown) => void)(error);
  }
}

function refusedOf(error: HardtackError): Refused {
  if (error instanceof Denied) return error.refused;
  const [status, name] = error.status === 503 ? [503, 'temporarily_unavailable'] : [error.status ?? 400, 'invalid_request'];
  return new Refused({ status, error: name, description: error.message, cause: error.code });
}

/** @internal A refusal in the form that clients show to the model and survive: of a tool's call a result, of anything else an error. */
export function refusal(id: unknown, method: string, error: HardtackError): unknown {
  const refused = refusedOf(error);
  const text = `denied: ${refused.description}.`;
  if (method === 'tools/call') {
    const result = { resultType: 'complete', isError: true, content: [{ type: 'text', text }], _meta: { [META]: refused.facts() } };
    return { jsonrpc: '2.0', id, result };
  }
  const code = refused.status === 503 ? UNDECIDED : error instanceof Denied ? FORBIDDEN : error.code === 'unknown_method' ? METHOD_NOT_FOUND : INVALID_PARAMS;
  return { jsonrpc: '2.0', id, error: { code, message: text, data: { [META]: refused.facts() } } };
}
