/** Fetch: a `fetch` for one server, which sends each request with a presentation that is good for it alone. */

import { concat, utf8, type Bytes } from './bytes.js';
import type { Capability, Presentation } from './capability.js';
import type { Call } from './call.js';
import { Sent } from './echo.js';
import { HardtackError, refuse } from './error.js';
import type { PrivateKey } from './keys.js';
import { clock, type Clock } from './life.js';
import { callsIn, envelopeOf, type Envelope } from './message.js';
import { checkAudience } from './names.js';
import { optionsOf } from './options.js';
import { Presenter } from './presenter.js';

/** The most bytes of a request's body: what the gateway takes. */
const MAX_BODY_BYTES = 4 * 1024 * 1024;

const REFUSED =
  "the server does not accept the agent's capability: it may be revoked, or the audience may name another server. Trying " +
  'again will not help; whoever delegated to this agent can delegate anew.';

export type Fetch = (input: string | URL | Request, init?: RequestInit) => Promise<Response>;

export interface FetchOptions {
  /** What the server is called, to which presentations are made. */
  readonly audience: string;
  /** Makes one presentation for each call, good once. `true` by default; else one for the session, renewed in time. */
  readonly callBound?: boolean | undefined;
  /** What sends requests: the runtime's own `fetch` by default. */
  readonly fetch?: Fetch | undefined;
  /** A host to which bearers may go over plain HTTP, besides loopback. */
  readonly allowPlainHttp?: string | undefined;
  /** The moment, in seconds since 1970: the machine's clock by default. */
  readonly clock?: (() => number) | undefined;
}

const OPTIONS = ['audience', 'callBound', 'fetch', 'allowPlainHttp', 'clock'] as const;

/** Who presents: a presenter, or a capability and the key to which it is bound. */
export type Agent = Presenter | { readonly capability: Capability; readonly key: PrivateKey };

/** Where bearers may go: over HTTPS, or over plain HTTP to this machine. */
function checkedUrl(url: string | URL, allowed: string | undefined): URL {
  const given = URL.canParse(url) ? new URL(url) : refuse('malformed_url', 'this is no URL of a server; write https://host/path');
  const isLoopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(given.hostname);
  if (given.username !== '' || given.password !== '') refuse('malformed_url', "a server's URL names no user");
  if (given.protocol === 'https:') return given;
  if (given.protocol !== 'http:') refuse('malformed_url', "a server's URL begins with https:// or http://");
  return isLoopback || given.hostname === allowed
    ? given
    : refuse('plain_http', `a bearer would go over plain HTTP to ${given.hostname}; use https, or name the host in allowPlainHttp`);
}

async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Bytes> {
  const chunks: Uint8Array[] = [];
  const reader = stream.getReader();
  for (let length = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return concat(...chunks);
    length += value.length;
    if (length > MAX_BODY_BYTES) {
      await reader.cancel();
      return tooLarge();
    }
    chunks.push(value);
  }
}

function tooLarge(): never {
  return refuse('call_too_large', `a body has at most ${MAX_BODY_BYTES} bytes`);
}

/** The bytes of a body that go out, and of which the digest is: copied, or read to the end, once. */
async function bodyBytes(body: unknown): Promise<Bytes | undefined> {
  if (body === undefined || body === null) return undefined;
  const bytes =
    typeof body === 'string'
      ? utf8(body)
      : body instanceof ArrayBuffer
        ? new Uint8Array(body.slice(0))
        : ArrayBuffer.isView(body)
          ? Uint8Array.from(new Uint8Array(body.buffer, body.byteOffset, body.byteLength))
          : body instanceof Blob
            ? await bytesOf(body.stream())
            : body instanceof ReadableStream
              ? await bytesOf(body as ReadableStream<Uint8Array>)
              : refuse('unsupported', 'a body is a text, bytes, a blob or a stream');
  return bytes.length > MAX_BODY_BYTES ? tooLarge() : bytes;
}

/** Some browsers show no stream of a request. */
const bodyOf = async (request: Request | undefined): Promise<unknown> => request?.body ?? request?.arrayBuffer();

/** An answer in the server's place, so that the runtime's session goes on. */
function answer({ id, method }: Envelope, text: string, retry = false): Response {
  const json = { 'content-type': 'application/json' };
  if (id === undefined) return new Response(text, { status: 503, headers: { 'content-type': 'text/plain' } });
  if (method === 'tools/call') {
    const result = JSON.stringify({ content: [{ type: 'text', text }], isError: true });
    return new Response(`{"jsonrpc":"2.0","id":${id},"result":${result}}`, { headers: json });
  }
  const error = JSON.stringify({ code: -32603, message: text });
  return new Response(`{"jsonrpc":"2.0","id":${id},"error":${error}}`, { status: retry ? 502 : 503, headers: json });
}

/** What a message means, if that can be said exactly; if not, nothing is signed for it, and the server refuses it. */
function callsOf(body: Bytes): readonly Call[] {
  try {
    return callsIn(body);
  } catch (error) {
    if (error instanceof HardtackError) return [];
    throw error;
  }
}

/** Leaves the body of an answer unread. That it was broken is nobody's to handle, and its error may repeat what was sent. */
function drop(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}

const isRequest = (input: unknown): input is Request =>
  typeof input === 'object' && input !== null && !(input instanceof URL) && 'url' in input && 'headers' in input;

class Presenting {
  readonly #url: URL;
  readonly #audience: string;
  readonly #callBound: boolean;
  readonly #send: Fetch;
  readonly #clock: Clock;
  readonly #sent = new Sent();
  readonly #noted = new WeakSet<Presentation>();
  readonly #agent: Agent;
  #presenter: Promise<Presenter> | undefined;

  constructor(agent: Agent, url: string | URL, given: FetchOptions) {
    const options = optionsOf(given, 'a fetch that presents', OPTIONS);
    this.#agent = agent instanceof Presenter ? agent : { capability: agent.capability, key: agent.key };
    this.#url = checkedUrl(url, options.allowPlainHttp);
    checkAudience(options.audience);
    this.#audience = options.audience;
    this.#callBound = options.callBound !== false;
    this.#send = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.#clock = options.clock ?? clock;
  }

  async fetch(input: string | URL | Request, init: RequestInit = {}): Promise<Response> {
    const request = isRequest(input) ? input : undefined;
    const href = request ? request.url : String(input);
    const url = URL.canParse(href) ? new URL(href) : undefined;
    // A client that asks elsewhere, such as for OAuth metadata, does so without any bearer.
    if (url?.origin !== this.#url.origin || url.pathname !== this.#url.pathname || url.username || url.password) {
      return this.#send(input, init);
    }
    // Each part is read once: what is looked at is what is sent.
    const given = { ...init };
    const method = (given.method ?? request?.method ?? 'GET').toUpperCase();
    const isBodiless = method === 'GET' || method === 'HEAD';
    const body = isBodiless ? undefined : await bodyBytes('body' in given ? given.body : await bodyOf(request));
    const headers = new Headers(given.headers ?? request?.headers);
    const envelope = body ? envelopeOf(body) : { id: undefined, method: undefined };
    let presentation: Presentation;
    try {
      presentation = await this.#present(method === 'POST' && body ? callsOf(body) : []);
    } catch (error) {
      if (!(error instanceof HardtackError)) throw error;
      return answer(envelope, `the agent's capability cannot be presented: ${error.message}`);
    }
    headers.set('authorization', `Bearer ${presentation.bearer}`);
    const signal = given.signal ?? request?.signal ?? null;
    const { duplex: _, ...rest } = given as RequestInit & { duplex?: unknown };
    const sent = { ...rest, method, headers, body: body ?? null, signal, redirect: 'manual' } as const;
    return this.#answered(await this.#asked(url.href, sent, signal), envelope);
  }

  async #present(calls: readonly Call[]): Promise<Presentation> {
    const agent = this.#agent;
    this.#presenter ??= agent instanceof Presenter
      ? Promise.resolve(agent)
      : Presenter.of(agent.capability, agent.key, { evenUncovered: true, clock: this.#clock });
    const presenter = await this.#presenter;
    const presentation = this.#callBound
      ? await presenter.forCalls(this.#audience, calls)
      : await presenter.session(this.#audience);
    if (!this.#noted.has(presentation)) this.#sent.note(presentation.own, presentation.expires, this.#clock());
    this.#noted.add(presentation);
    return presentation;
  }

  /** An error of what sends may repeat what was sent, so that nothing of it is passed on but its name. */
  async #asked(url: string, sent: RequestInit, signal: AbortSignal | null): Promise<Response> {
    try {
      return await this.#send(url, sent);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const { code, cause, name } = error as { code?: unknown; cause?: { code?: unknown }; name?: unknown };
      const known = [cause?.code, code, name].find((word) => typeof word === 'string' && /^[A-Za-z_]{1,40}$/.test(word));
      return refuse('no_answer', `the server does not answer (${String(known)}); try again later`);
    }
  }

  #answered(response: Response, envelope: Envelope): Response {
    const { status } = response;
    if (response.type === 'opaqueredirect' || (status >= 300 && status < 400 && status !== 304)) {
      drop(response);
      // Whoever followed it would send the bearer there.
      return answer(envelope, "the server redirects, and its bearer goes nowhere else; give the server's final URL", true);
    }
    if (status === 401 || status === 407) {
      drop(response);
      return answer(envelope, REFUSED);
    }
    if (status < 200 || status > 599) {
      drop(response);
      return answer(envelope, 'the server answers with a status that HTTP does not have; tell who runs it', true);
    }
    const headers = new Headers();
    for (const [name, value] of response.headers) {
      // With a challenge, a server could send the runtime to a place of its choice for another credential.
      const isOurs = /^(www-authenticate|proxy-authenticate|content-length|content-encoding)$/.test(name);
      if (!isOurs && !this.#sent.isIn(value)) headers.append(name, value);
    }
    const isEmpty = response.body === null || status === 204 || status === 205 || status === 304;
    const body = isEmpty ? null : response.body.pipeThrough(this.#sent.scrubber());
    const isShown = /^[\t -~]*$/.test(response.statusText) && !this.#sent.isIn(response.statusText);
    const statusText = isShown ? response.statusText : '';
    return new Response(body, { status, statusText, headers });
  }
}

/**
 * Makes a `fetch` for the server at `url`: each request to it goes with a presentation that is made for it, by default one
 * for each call, good once. Calls that the capability does not cover are presented, too, so that the server refuses them
 * in its own words and the session goes on. Requests to anywhere else go without any bearer. No redirect is followed.
 */
export function presentingFetch(agent: Agent, url: string | URL, options: FetchOptions): Fetch {
  const presenting = new Presenting(agent, url, options);
  return (input, init) => presenting.fetch(input, init);
}
