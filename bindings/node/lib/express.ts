/**
 * A guard in front of routes of Express, and of anything else with Node's requests and answers.
 *
 * ```js
 * app.post('/tools/:name', guarded(guard, async (request) => Call.tool(request.params.name, await textOf(request))), (request, response) => {
 *   response.json({ agent: permitOf(request).agent, given: callOf(request).arguments });
 * });
 * ```
 */

import type { Call } from './call.js';
import type { Guard, Permit } from './guard.js';
import {
  answer, bearerOf, decide, RefusedRequest, sentOf, textOfChunks, utf8, type AdapterOptions, type Decided, type NodeResponse,
} from './http.js';
import { jsonText } from './json.js';

export type { AdapterOptions, NodeResponse };

/** What is needed of a request: Node's and Express's have it. */
export interface NodeRequest extends AsyncIterable<Uint8Array | string> {
  readonly rawHeaders: readonly string[];
  url?: string | undefined;
}

const decisions = new WeakMap<object, Decided>();

/**
 * Decides the call that `describe` finds in a request. `next` is called for an allowed one, whose permit `permitOf` has; a refused one is
 * answered in the words for the caller, with `WWW-Authenticate`.
 */
export function guarded<R extends NodeRequest>(
  guard: Guard,
  describe: (request: R) => Call | Promise<Call>,
  options: AdapterOptions = {},
): (request: R, response: NodeResponse, next: (error?: unknown) => void) => Promise<void> {
  return async (request, response, next) => {
    try {
      const url = (request as { originalUrl?: unknown }).originalUrl;
      const bearer = bearerOf(sentOf(request.rawHeaders, 'authorization'), typeof url === 'string' ? url : (request.url ?? ''), guard, options);
      decisions.set(request, await decide(guard, bearer, () => describe(request), options));
    } catch (error) {
      if (error instanceof RefusedRequest) answer(response, error);
      else next(error);
      return;
    }
    next();
  };
}

function decided(request: object): Decided {
  const found = decisions.get(request);
  if (found === undefined) throw new TypeError('no guard has allowed this request');
  return found;
}

/** The permit of a request that was allowed. Throws for another one. */
export function permitOf(request: object): Permit {
  return decided(request).permit;
}

/** The call that was allowed. Work with its `arguments`, and not with the body. */
export function callOf(request: object): Call {
  return decided(request).call;
}

/**
 * The body of a request as the text of JSON: as it was sent, or of what a parser has made of it already (then members that were sent twice
 * are gone, and what is left is judged). No more than 4 MiB, of UTF-8.
 */
export async function textOf(request: NodeRequest): Promise<string> {
  const body = (request as { body?: unknown }).body;
  if (body === undefined) return textOfChunks(request);
  if (body instanceof Uint8Array) return utf8(body);
  return jsonText(body, 'the arguments');
}
