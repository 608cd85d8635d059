/**
 * A guard in front of anything that answers a `Request` with a `Response`: Hono, handlers of routes, a server of one's own.
 *
 * ```js
 * const handle = guarded(guard, async (request) => Call.tool('search', await textOf(request)), (request, { permit, call }) => Response.json(call.arguments));
 * app.post('/tools/:name', hono(guard, async (c) => Call.tool(c.req.param('name'), await textOf(c.req.raw))), (c) => c.json({ agent: permitOf(c.req.raw).agent }));
 * ```
 */

import type { Call } from './call.js';
import type { Guard, Permit } from './guard.js';
import { answerOf, bearerOfRequest, decide, RefusedRequest, textOfChunks, type AdapterOptions, type Decided } from './http.js';

export type { AdapterOptions, Decided };

const decisions = new WeakMap<Request, Decided>();

async function decided(guard: Guard, request: Request, describe: () => Call | Promise<Call>, options: AdapterOptions): Promise<Decided | Response> {
  try {
    const decision = await decide(guard, bearerOfRequest(request, guard, options), describe, options);
    decisions.set(request, decision);
    return decision;
  } catch (error) {
    if (error instanceof RefusedRequest) return answerOf(error);
    throw error;
  }
}

/** Makes a handler that decides the call that `describe` finds in a request, and calls `handle` for an allowed one. */
export function guarded<More extends unknown[]>(
  guard: Guard,
  describe: (request: Request, ...more: More) => Call | Promise<Call>,
  handle: (request: Request, decided: Decided, ...more: More) => Response | Promise<Response>,
  options: AdapterOptions = {},
): (request: Request, ...more: More) => Promise<Response> {
  return async (request, ...more) => {
    const decision = await decided(guard, request, () => describe(request, ...more), options);
    return decision instanceof Response ? decision : handle(request, decision, ...more);
  };
}

/** What is needed of a context of Hono's. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
}

/** Middleware for Hono. The permit of an allowed request is `permitOf(c.req.raw)`. */
export function hono<C extends HonoContext>(
  guard: Guard,
  describe: (c: C) => Call | Promise<Call>,
  options: AdapterOptions = {},
): (c: C, next: () => Promise<void>) => Promise<Response | void> {
  return async (c, next) => {
    const decision = await decided(guard, c.req.raw, () => describe(c), options);
    if (decision instanceof Response) return decision;
    await next();
  };
}

function found(request: Request): Decided {
  const decision = decisions.get(request);
  if (decision === undefined) throw new TypeError('no guard has allowed this request');
  return decision;
}

/** The permit of a request that was allowed. Throws for another one. */
export function permitOf(request: Request): Permit {
  return found(request).permit;
}

/** The call that was allowed. Work with its `arguments`, and not with the body. */
export function callOf(request: Request): Call {
  return found(request).call;
}

/** The body of a request as text, as it was sent. The request keeps it for others. No more than 4 MiB, of UTF-8. */
export async function textOf(request: Request): Promise<string> {
  if (request.bodyUsed) throw new TypeError('the body was read before; describe the call before that');
  const { body } = request.clone();
  if (body === null) return '';
  try {
    return await textOfChunks(chunksOf(body));
  } catch (error) {
    void request.body?.cancel().catch(() => {});
    throw error;
  }
}

/** The chunks of a body. To cancel one of two copies ends when the other is cancelled, too: so nobody waits for that. */
async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}
