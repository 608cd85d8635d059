/** Schema: the messages of which a Biscuit is made (its `schema.proto`, version 3.3). */

import type { Field, Message } from './proto.js';

const PUBLIC_KEY: Message = [
  [1, 'algorithm', '!', 'enum'],
  [2, 'key', '!', 'bytes'],
];

const SIGNED_BLOCK: Message = [
  [1, 'block', '!', 'bytes'],
  [2, 'nextKey', '!', PUBLIC_KEY],
  [3, 'signature', '!', 'bytes'],
  [4, 'external', '?', [
    [1, 'signature', '!', 'bytes'],
    [2, 'publicKey', '!', PUBLIC_KEY],
  ]],
  [5, 'version', '?', 'u32'],
];

export const BISCUIT: Message = [
  [1, 'rootKeyId', '?', 'u32'],
  [2, 'authority', '!', SIGNED_BLOCK],
  [3, 'blocks', '*', SIGNED_BLOCK],
  [4, 'proof', '!', [
    [1, 'nextSecret', '|', 'bytes'],
    [2, 'finalSignature', '|', 'bytes'],
  ]],
];

const TERM: Message = () => TERM_FIELDS;
const TERM_FIELDS: readonly Field[] = [
  [1, 'variable', '|', 'u32'],
  [2, 'integer', '|', 'i64'],
  [3, 'string', '|', 'u64'],
  [4, 'date', '|', 'u64'],
  [5, 'bytes', '|', 'bytes'],
  [6, 'bool', '|', 'bool'],
  [7, 'set', '|', [[1, 'items', '*', TERM]]],
  [8, 'null', '|', []],
  [9, 'array', '|', [[1, 'items', '*', TERM]]],
  [10, 'map', '|', [[1, 'entries', '*', [
    [1, 'key', '!', [
      [1, 'integer', '|', 'i64'],
      [2, 'string', '|', 'u64'],
    ]],
    [2, 'value', '!', TERM],
  ]]]],
];

const PREDICATE: Message = [
  [1, 'name', '!', 'u64'],
  [2, 'terms', '*', TERM],
];

const CALLED: Message = [
  [1, 'kind', '!', 'enum'],
  [2, 'ffiName', '?', 'u64'],
];

const OP: Message = () => OP_FIELDS;
const OP_FIELDS: readonly Field[] = [
  [1, 'value', '|', TERM],
  [2, 'unary', '|', CALLED],
  [3, 'binary', '|', CALLED],
  [4, 'closure', '|', [
    [1, 'params', '*', 'u32'],
    [2, 'ops', '*', OP],
  ]],
];

const SCOPE: Message = [
  [1, 'scopeType', '|', 'enum'],
  [2, 'publicKey', '|', 'i64'],
];

const RULE: Message = [
  [1, 'head', '!', PREDICATE],
  [2, 'body', '*', PREDICATE],
  [3, 'expressions', '*', [[1, 'ops', '*', OP]]],
  [4, 'scope', '*', SCOPE],
];

export const BLOCK: Message = [
  [1, 'symbols', '*', 'text'],
  [2, 'context', '?', 'text'],
  [3, 'version', '?', 'u32'],
  [4, 'facts', '*', [[1, 'predicate', '!', PREDICATE]]],
  [5, 'rules', '*', RULE],
  [6, 'checks', '*', [
    [1, 'queries', '*', RULE],
    [2, 'kind', '?', 'enum'],
  ]],
  [7, 'scope', '*', SCOPE],
  [8, 'publicKeys', '*', PUBLIC_KEY],
];

/** The words that every table has, by their numbers. Those of a block begin at 1024. */
export const DEFAULT_SYMBOLS: readonly string[] =
  ('read write resource operation right time role owner tenant namespace user team service admin email group member ' +
    'ip_address client client_ip domain path version cluster node hostname nonce query').split(' ');

export const FIRST_SYMBOL = 1024;

/** Unary operations by their numbers in the schema. */
export const UNARY = { negate: 0, parens: 1, length: 2, typeOf: 3, ffi: 4 } as const;

/** Binary operations by their numbers in the schema. */
export const BINARY = {
  lessThan: 0, greaterThan: 1, lessOrEqual: 2, greaterOrEqual: 3, equal: 4, contains: 5, prefix: 6, suffix: 7, regex: 8,
  add: 9, and: 13, or: 14, bitwiseAnd: 17, bitwiseOr: 18, bitwiseXor: 19, notEqual: 20, same: 21, different: 22,
  lazyAnd: 23, lazyOr: 24, all: 25, any: 26, get: 27, ffi: 28, tryOr: 29,
} as const;

/** Kinds of checks by their numbers in the schema: `check if`, `check all`, `reject if`. */
export const CHECK = { one: 0, all: 1, reject: 2 } as const;
