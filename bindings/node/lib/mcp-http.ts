/** MCP over HTTP: who is let in to a transport or handler of the SDK? */

import { Message } from './call.js';
import { HardtackError } from './errors.js';
import type { NodeRequest } from './express.js';
import { textOf } from './fetch.js';
import type { Admitted, Guard } from './guard.js';
import {
  answer, answering, answerOf, bearerOf, bearerOfRequest, RefusedRequest, sentOf, type AdapterOptions, type NodeResponse,
} from './http.js';
import { isStrangers, refusal, type Rpc } from './mcp-server.js';

/** What the SDK is told of who asks. */
interface AuthInfo {
  token: string;
  clientId: string;
  scopes: string[];
  expiresAt: number;
  extra: Record<string, unknown>;
}

export interface McpRequest extends NodeRequest {
  auth?: unknown;
}

/** A transport of the SDK's for Node's requests. */
export interface McpTransport {
  handleRequest(request: never, response: never, body?: unknown): Promise<void>;
}

/** A handler of the SDK's 2.x, or a transport of either for the requests of `fetch`. */
export type FetchHandler =
  | { fetch(request: Request, options?: never): Promise<Response> }
  | { handleRequest(request: Request, options?: never): Promise<Response> };

async function admitted(guard: Guard, target: object, bearer: string, options: AdapterOptions): Promise<AuthInfo> {
  return answering(async () => {
    const found: Admitted = await guard.admit(bearer);
    if (isStrangers(target, found.client)) throw new HardtackError('strange_session', 'the session is of another client', { status: 404 });
    const extra = { sub: found.subject, iss: found.root.toString(), agent: found.agent ?? null };
    return { token: bearer, clientId: found.client, scopes: found.scopes, expiresAt: found.expiresAt, extra };
  }, guard, options);
}

/**
 * Lets a request of Node's in to a transport, if it has a bearer that holds here. `body` is what a parser has made of it, if one has.
 * The calls within are decided by `guardServer`, which is needed as well.
 */
export async function handleNode<R extends McpRequest, A extends NodeResponse>(
  guard: Guard,
  transport: McpTransport,
  request: R,
  response: A,
  body?: unknown,
  options: AdapterOptions = {},
): Promise<void> {
  try {
    const bearer = bearerOf(sentOf(request.rawHeaders, 'authorization'), request.url ?? '', guard, options);
    request.auth = await admitted(guard, transport, bearer, options);
  } catch (error) {
    if (!(error instanceof RefusedRequest)) throw error;
    answer(response, error);
    return;
  }
  await transport.handleRequest(request as never, response as never, body);
}

/** The same of a `Request`, for a handler of the SDK's 2.x (`createMcpHandler`) or a transport of web standards. */
export async function handleFetch(guard: Guard, handler: FetchHandler, request: Request, options: AdapterOptions = {}): Promise<Response> {
  const given: { authInfo?: AuthInfo; parsedBody?: unknown } = {};
  try {
    const bearer = bearerOfRequest(request, guard, options);
    given.authInfo = await admitted(guard, handler, bearer, options);
    const text = request.method === 'POST' ? await answering(() => textOf(request), guard, options) : '';
    if (text !== '') {
      // What is judged is what is done: read once.
      given.parsedBody = parsed(text);
      const refused = await subscribing(guard, bearer, given.parsedBody, text, options);
      if (refused !== undefined) return Response.json(refused);
    }
  } catch (error) {
    if (error instanceof RefusedRequest) return answerOf(error);
    throw error;
  }
  const handle = ('fetch' in handler ? handler.fetch : handler.handleRequest) as (request: Request, options: unknown) => Promise<Response>;
  return handle.call(handler, request, given);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The SDK says what is wrong.
    return undefined;
  }
}

/** The SDK's 2.x serve a subscription before any server of theirs sees it, so it is decided here. */
async function subscribing(guard: Guard, bearer: string, body: unknown, text: string, options: AdapterOptions): Promise<unknown> {
  const messages: unknown[] = Array.isArray(body) ? body : [body];
  const found = messages.find((message) => (message as Rpc | null)?.method === 'subscriptions/listen') as Rpc | undefined;
  if (found === undefined) return undefined;
  try {
    for (const call of Message.read(text, { bearer }).calls()) await guard.check(bearer, call);
    return undefined;
  } catch (error) {
    if (!(error instanceof HardtackError)) throw error;
    options.onRefused?.(error);
    return refusal(found.id, 'subscriptions/listen', error);
  }
}
