/** Proto: a Protobuf message in its one encoding, read and written by a table of fields. */

import { concat, fromUtf8, utf8, type Bytes } from './bytes.js';

/** How a field's value is written. Of numbers, how large they may be: 32 bits, 64, 63 with a sign, or one of an enum. */
type Kind = 'u32' | 'u64' | 'i64' | 'enum' | 'bool' | 'bytes' | 'text' | Message;

/** Whether a field must be there, may be, may be there many times, or is one of those of which exactly one is there at most. */
type Often = '!' | '?' | '*' | '|';

export type Field = readonly [number: number, name: string, often: Often, kind: Kind];

/** A message by its fields, in the order of their numbers. A function where messages hold themselves. */
export type Message = readonly Field[] | (() => readonly Field[]);

/** A message that was read. Numbers of 64 bits are `bigint`, others `number`. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Read = { readonly [name: string]: any };

/** How deep messages may nest, as where Biscuit's library reads them. */
const MAX_LEVELS = 100;

const isMessage = (kind: Kind): kind is Message => typeof kind !== 'string';
const fieldsOf = (message: Message): readonly Field[] => (typeof message === 'function' ? message() : message);
const isLengthed = (kind: Kind): boolean => kind === 'bytes' || kind === 'text' || isMessage(kind);

class Malformed extends Error {}

function wrong(): never {
  throw new Malformed();
}

class Reader {
  at = 0;
  constructor(readonly bytes: Bytes) {}

  get isEmpty(): boolean {
    return this.at >= this.bytes.length;
  }

  /** A number of 64 bits in the fewest bytes. */
  varint(): bigint {
    let value = 0n;
    for (let index = 0n; index < 10n; index++) {
      const byte = this.bytes[this.at++] ?? wrong();
      value |= BigInt(byte & 0x7f) << (7n * index);
      if (byte < 0x80) return (byte === 0 && index > 0n) || value >> 64n ? wrong() : value;
    }
    return wrong();
  }

  take(): Bytes {
    const length = Number(this.varint());
    if (length > this.bytes.length - this.at) wrong();
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }
}

function value(reader: Reader, kind: Kind, level: number): unknown {
  if (kind === 'bytes') return reader.take();
  if (kind === 'text') return fromUtf8(reader.take()) ?? wrong();
  if (isMessage(kind)) return message(reader.take(), kind, level + 1);
  const number = reader.varint();
  const small = (bound: bigint): number => (number < bound ? Number(number) : wrong());
  switch (kind) {
    case 'u32':
      return small(1n << 32n);
    case 'enum':
      return small(1n << 31n);
    case 'bool':
      return small(2n) === 1;
    case 'i64':
      return BigInt.asIntN(64, number);
    default:
      return number;
  }
}

function message(bytes: Bytes, of: Message, level: number): Read {
  if (level > MAX_LEVELS) wrong();
  const fields = fieldsOf(of);
  const read: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [, name, often] of fields) if (often === '*') read[name] = [];
  const reader = new Reader(bytes);
  let last = 0;
  let chosen = false;
  while (!reader.isEmpty) {
    const tag = Number(reader.varint());
    const number = Math.floor(tag / 8);
    const [, name, often, kind] = fields.find(([known]) => known === number) ?? wrong();
    if (tag % 8 !== (isLengthed(kind) ? 2 : 0)) wrong();
    // In the order of the numbers, and only what may be said several times is.
    if (number < last || (number === last && often !== '*')) wrong();
    last = number;
    if (often === '|' && chosen) wrong();
    chosen ||= often === '|';
    const found = value(reader, kind, level);
    if (often === '*') (read[name] as unknown[]).push(found);
    else read[name] = found;
  }
  for (const [, name, often] of fields) if (often === '!' && !(name in read)) wrong();
  return read;
}

/** Reads a message that is encoded in the one way that its content is: no unknown field, none twice; else `undefined`. */
export function decode(bytes: Bytes, of: Message): Read | undefined {
  try {
    return message(bytes, of, 0);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Most numbers have one byte. */
const SMALL = Array.from({ length: 0x80 }, (_, number) => Uint8Array.of(number));

function varint(number: bigint): Bytes {
  const small = number >= 0n && number < 0x80n ? SMALL[Number(number)] : undefined;
  if (small) return small;
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, number); ; rest >>= 7n) {
    if (rest < 0x80n) return Uint8Array.from([...bytes, Number(rest)]);
    bytes.push(Number(rest & 0x7fn) | 0x80);
  }
}

function written(kind: Kind, value: unknown): Bytes {
  if (!isLengthed(kind)) return varint(BigInt(value as number | bigint | boolean));
  const bytes = isMessage(kind) ? encode(value as Read, kind) : kind === 'text' ? utf8(value as string) : (value as Bytes);
  return concat(varint(BigInt(bytes.length)), bytes);
}

/** Writes a message in its one encoding. */
export function encode(read: Read, of: Message): Bytes {
  const parts: Bytes[] = [];
  for (const [number, name, often, kind] of fieldsOf(of)) {
    const values: unknown[] = often === '*' ? (read[name] as unknown[]) : read[name] === undefined ? [] : [read[name]];
    const tag = varint(BigInt(number * 8 + (isLengthed(kind) ? 2 : 0)));
    for (const value of values) parts.push(tag, written(kind, value));
  }
  return concat(...parts);
}
