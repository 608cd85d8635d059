/** Errors: what is thrown, and what of a refusal may be told to whoever is refused. */

import { addon } from './addon.js';

/**
 * An error of Hardtack's. `code` is the stable name of the cause, by which programs tell errors apart, as in `@hardtack/agent`
 * (`Error.cause` is JavaScript's own). Neither it nor its message holds a key or a token.
 */
export class HardtackError extends Error {
  override readonly name: string = 'HardtackError';
  /** The stable name of the cause, such as `malformed_policy`. */
  readonly code: string;
  /** The number of the token's block at which it was seen, from 0, the grant; absent if at none. */
  readonly block: number | undefined;
  /** The HTTP status with which a server answers, if the cause has one. */
  readonly status: number | undefined;

  constructor(code: string, message: string, more: { readonly block?: number | undefined; readonly status?: number | undefined } = {}) {
    super(message);
    this.code = code;
    this.block = more.block;
    this.status = more.status;
  }
}

/** What the caller may read of a refusal. */
export interface RefusedFields {
  readonly status: number;
  readonly error?: string | undefined;
  readonly description: string;
  readonly scope?: string | undefined;
  readonly cause?: string | undefined;
  readonly retry?: boolean;
  readonly retryAfter?: number | undefined;
  readonly helps?: string | undefined;
  readonly arguments?: readonly string[];
}

/** What the caller may read of a refusal: its class, the missing right and who can help. It says nothing of policies. */
export class Refused {
  /** The HTTP status: 400, 401, 403, 409 or 503. */
  readonly status: number;
  /** The error's name (RFC 6750), such as `insufficient_scope`. */
  readonly error: string | undefined;
  /** The refusal in words. */
  readonly description: string;
  /** The scope that is missing, if one is. */
  readonly scope: string | undefined;
  /** The stable name of the cause, if outsiders may know it. */
  readonly cause: string | undefined;
  /** Whether the same request may be answered otherwise later. */
  readonly retry: boolean;
  /** For how many seconds a new grant would be refused as well. */
  readonly retryAfter: number | undefined;
  /** What helps: `another_call`, `delegator`, `server`, `new_token` or `later`. */
  readonly helps: string | undefined;
  /** The arguments with which another call could pass, as far as that is told. */
  readonly arguments: readonly string[];

  constructor(fields: RefusedFields) {
    this.status = fields.status;
    this.error = fields.error ?? undefined;
    this.description = fields.description;
    this.scope = fields.scope ?? undefined;
    this.cause = fields.cause ?? undefined;
    this.retry = fields.retry ?? false;
    this.retryAfter = fields.retryAfter ?? undefined;
    this.helps = fields.helps ?? undefined;
    this.arguments = Object.freeze([...(fields.arguments ?? [])]);
    Object.freeze(this);
  }

  /** The header `WWW-Authenticate`; `undefined` where no other token would help. `realm` is the server's audience. */
  challenge(realm: string, resourceMetadata?: string): string | undefined {
    const { status, error, description, scope } = this;
    return addon.challenge(status, error, description, scope, realm, resourceMetadata) ?? undefined;
  }

  /** What a program may read of it: the members of `_meta["dev.hardtack/refusal"]` in a gateway's answers. */
  facts(): Record<string, unknown> {
    return {
      error: this.error ?? null,
      cause: this.cause ?? null,
      scope: this.scope ?? null,
      retry: this.retry,
      retry_after: this.retryAfter ?? null,
      helps: this.helps ?? null,
      arguments: [...this.arguments],
    };
  }

  /** The JSON body of an answer. */
  body(): Record<string, unknown> {
    return { ...this.facts(), error: this.error ?? 'invalid_token', error_description: this.description };
  }
}

/** What a refusal is made of. */
export interface DeniedFields {
  readonly code: string;
  readonly detail: string;
  readonly refused: Refused;
  readonly block?: number | undefined;
  readonly place?: string | undefined;
  readonly audience: string;
}

/**
 * A refused call. `message` has the words for the caller, since frameworks answer with it. `detail` and `place` are for operators: they
 * may say which policies are in force. Log them, and answer with `refused`.
 */
export class Denied extends HardtackError {
  override readonly name: string = 'Denied';
  /** What the caller may read. */
  readonly refused: Refused;
  declare readonly status: number;
  // Not shown by what prints all members of an error, as frameworks do.
  readonly #detail: string;
  readonly #place: string | undefined;
  readonly #audience: string;

  constructor(fields: DeniedFields) {
    super(fields.code, fields.refused.description, { block: fields.block, status: fields.refused.status });
    this.refused = fields.refused;
    this.#detail = fields.detail;
    this.#place = fields.place;
    this.#audience = fields.audience;
  }

  /** What was wrong, for the people who run the server. */
  get detail(): string {
    return this.#detail;
  }

  /** The policy's file and line, or which check of which block decided. For operators. */
  get place(): string | undefined {
    return this.#place;
  }

  /** The header `WWW-Authenticate` of the answer, with the guard's audience as its realm; `undefined` where no other token would help. */
  challenge(resourceMetadata?: string): string | undefined {
    return this.refused.challenge(this.#audience, resourceMetadata);
  }

  /** What `JSON.stringify` writes: the body for the caller. */
  toJSON(): Record<string, unknown> {
    return this.refused.body();
  }
}

/** The token does not hold here: 401. */
export class Unauthenticated extends Denied {
  override readonly name = 'Unauthenticated';
}

/** The token holds, and the call is not allowed: 403; 400 for a call that is not exact. */
export class Forbidden extends Denied {
  override readonly name = 'Forbidden';
}

/** It cannot be said now: 503. Nothing is allowed. */
export class Unavailable extends Denied {
  override readonly name = 'Unavailable';
}

const KINDS = { Unauthenticated, Forbidden, Unavailable };

/** Throws, where an expression stands. */
export function refuse(code: string, message: string): never {
  throw new HardtackError(code, message);
}

interface Told {
  readonly hardtack: 'Error' | keyof typeof KINDS;
  readonly code: string;
  readonly message: string;
  readonly block?: number | null;
  readonly status?: number | null;
  readonly place?: string | null;
  readonly refused: RefusedFields;
}

/** The error of this package that the addon's error tells; any other one as it is. */
export function told(error: unknown, audience = ''): unknown {
  const text = error instanceof Error ? error.message : '';
  if (!text.startsWith('{') || !text.includes('"hardtack"')) return error;
  const { hardtack, code, message, block, status, place, refused } = JSON.parse(text) as Told;
  if (hardtack === 'Error') return new HardtackError(code, message, { block: block ?? undefined, status: status ?? undefined });
  return new KINDS[hardtack]({
    code,
    detail: message,
    refused: new Refused(refused),
    block: block ?? undefined,
    place: place ?? undefined,
    audience,
  });
}

/** Does something with the addon, and throws what it throws as an error of this package. */
export function native<T>(work: () => T, audience?: string): T {
  try {
    return work();
  } catch (error) {
    throw told(error, audience);
  }
}

/** The same of what the addon does later. */
export async function later<T>(work: () => Promise<T>, audience?: string): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw told(error, audience);
  }
}
