/** HTTP: which bearer does a request bring, which call does it mean, and how is it refused? */

import type { Call } from './call.js';
import { Denied, HardtackError, Refused } from './errors.js';
import type { Guard, Permit } from './guard.js';

/** The most characters of a bearer: no token has more. */
const MAX_BEARER = 32 * 1024;

/** The most bytes of a body that is read: no call has more. */
export const MAX_BODY = 4 * 1024 * 1024;

export interface AdapterOptions {
  /** The URL of the server's metadata (RFC 9728), for the header `WWW-Authenticate`. */
  readonly resourceMetadata?: string | undefined;
  /** Hears of each refusal. `error.detail` and `error.code` are for a log; nothing of it is sent to the caller. */
  readonly onRefused?: ((error: HardtackError) => void) | undefined;
}

/** What a request was allowed to do. */
export interface Decided {
  readonly permit: Permit;
  readonly call: Call;
}

/** A request that is refused, with its answer. */
export class RefusedRequest extends Error {
  override readonly name = 'RefusedRequest';
  readonly refused: Refused;
  readonly headers: Readonly<Record<string, string>>;

  constructor(refused: Refused, realm: string, options: AdapterOptions) {
    super(refused.description);
    this.refused = refused;
    // Of what is too long or not there, no other token would make a difference.
    const challenge = [400, 401, 403].includes(refused.status) ? refused.challenge(realm, options.resourceMetadata) : undefined;
    this.headers = {
      'Cache-Control': 'no-store',
      'Content-Type': 'application/json',
      ...(challenge === undefined ? {} : { 'WWW-Authenticate': challenge }),
    };
  }

  get body(): string {
    return JSON.stringify(this.refused.body());
  }
}

/** The bearer of a request, of all `Authorization` headers that it has. */
export function bearerOf(sent: readonly string[], url: string, guard: Guard, options: AdapterOptions): string {
  const odd = (description: string) =>
    new RefusedRequest(new Refused({ status: 400, error: 'invalid_request', description, cause: 'malformed_bearer' }), guard.audience, options);
  const query = url.includes('?') ? url.slice(url.indexOf('?') + 1) : '';
  if (new URLSearchParams(query.split('#')[0]).has('access_token')) {
    throw odd('the token belongs into the Authorization header, and not into the query');
  }
  const [only] = sent;
  if (only === undefined) {
    throw new RefusedRequest(new Refused({ status: 401, description: 'no token was sent', cause: 'no_token' }), guard.audience, options);
  }
  const [, bearer] = /^bearer +([!-+\--~]+) *$/i.exec(only) ?? [];
  if (sent.length !== 1 || bearer === undefined || bearer.length > MAX_BEARER) {
    throw odd('the token is sent once, as: Authorization: Bearer …');
  }
  return bearer;
}

/** Does something for a request; what Hardtack refuses becomes its answer. Other errors are those of the server. */
export async function answering<T>(work: () => Promise<T>, guard: Guard, options: AdapterOptions): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof HardtackError)) throw error;
    options.onRefused?.(error);
    if (error instanceof Denied) throw new RefusedRequest(error.refused, guard.audience, options);
    const status = error.status !== undefined && error.status >= 400 && error.status < 500 ? error.status : 400;
    const refused = new Refused({ status, error: 'invalid_request', description: error.message, cause: error.code });
    throw new RefusedRequest(refused, guard.audience, options);
  }
}

/** Decides the call that a description finds. Of who has no valid bearer, no more than the head of a request is read. */
export function decide(guard: Guard, bearer: string, describe: () => Call | Promise<Call>, options: AdapterOptions): Promise<Decided> {
  return answering(async () => {
    await guard.admit(bearer);
    const call = await describe();
    // A description that finds nothing allows nothing.
    if ((call as unknown) === undefined || call === null) throw new HardtackError('undescribed', 'the server finds no call in the request', { status: 400 });
    return { permit: await guard.check(bearer, call), call };
  }, guard, options);
}

/** The text of a body. What is no UTF-8, or too long, is none. */
export async function textOfChunks(chunks: AsyncIterable<Uint8Array | string>): Promise<string> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    const piece = typeof chunk === 'string' ? new TextEncoder().encode(chunk) : chunk;
    length += piece.length;
    if (length > MAX_BODY) throw new HardtackError('call_too_large', `the body has more than ${MAX_BODY} bytes`, { status: 413 });
    read.push(piece);
  }
  return utf8(Buffer.concat(read));
}

export function utf8(raw: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw new HardtackError('inexact_call', 'the body is no UTF-8', { status: 400 });
  }
}

/** What is needed of an answer. */
export interface NodeResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body?: string): unknown;
}

/** The values of a header, each as it was sent: Node's own `headers` have of some the first alone. */
export function sentOf(rawHeaders: readonly string[], name: string): string[] {
  return rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]!.toLowerCase() === name);
}

/** Answers a request that is refused. */
export function answer(response: NodeResponse, refused: RefusedRequest): void {
  response.statusCode = refused.refused.status;
  for (const [name, value] of Object.entries(refused.headers)) response.setHeader(name, value);
  response.end(refused.body);
}

/** The bearer of a request. Two headers come as one, with a comma. */
export function bearerOfRequest(request: Request, guard: Guard, options: AdapterOptions): string {
  const sent = request.headers.get('authorization');
  return bearerOf(sent === null ? [] : [sent], request.url, guard, options);
}

/** The answer to a request that is refused. */
export function answerOf(refused: RefusedRequest): Response {
  return new Response(refused.body, { status: refused.refused.status, headers: refused.headers });
}
