/** Error: why something is refused, under the stable names of the Rust library's `Cause`. */

/**
 * The names of causes that this package gives. All but `unsupported` are those of the Rust library (`src/cause.rs`);
 * `unsupported` is what this package cannot do and the library or the command can.
 */
export type Code =
  | 'not_a_token' | 'too_large' | 'over_limit' | 'too_costly' | 'algorithm' | 'signature_version' | 'encoding'
  | 'symbols' | 'content' | 'fact' | 'name' | 'block_kind' | 'after_presentation' | 'other_parent' | 'no_subject'
  | 'no_scope' | 'no_expiry' | 'no_reason' | 'expired' | 'signature' | 'not_granted' | 'inexact_call'
  | 'call_too_large' | 'malformed_name' | 'malformed_scope' | 'malformed_life' | 'life_too_long' | 'malformed_key'
  | 'key_kind' | 'key_encrypted' | 'malformed_constraint' | 'malformed_operand' | 'malformed_url' | 'incomplete'
  | 'too_many' | 'result_refused' | 'beyond_scope' | 'beyond_audience' | 'beyond_depth' | 'beyond_expiry'
  | 'wrong_key' | 'key_needed' | 'key_not_needed' | 'sealed' | 'already_presented' | 'plain_http' | 'no_answer'
  | 'unexpected_root' | 'unexpected_subject' | 'unexpected_delegator' | 'overloaded' | 'unsupported';

/**
 * The one error of this package. `code` is the stable name of the cause, by which programs tell errors apart
 * (`Error.cause` is JavaScript's own and is left to it). `message` says what is wrong and what to do. Neither holds a
 * key or a token.
 */
export class HardtackError extends Error {
  override readonly name = 'HardtackError';
  /** The stable name of the cause, such as `beyond_scope`. */
  readonly code: Code;
  /** The number of the token's block at which it was seen, from 0, the grant; absent if at none. */
  readonly block: number | undefined;

  constructor(code: Code, message: string, block?: number) {
    super(message);
    this.code = code;
    this.block = block;
  }
}

/** Throws, where an expression stands. */
export function refuse(code: Code, message: string, block?: number): never {
  throw new HardtackError(code, message, block);
}
