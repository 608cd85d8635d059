// Calls and messages: what is judged is what was given, exactly, or nothing is.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { Call, HardtackError, Message } from '../dist/index.js';
import { agent, thrown } from './support.mjs';

const refusal = async (args) => {
  const error = await thrown(() => Call.tool('pay', args));
  assert.ok(error instanceof HardtackError, String(error));
  assert.match(error.code, /^(inexact_call|call_too_large)$/);
  return error.message;
};

test('arguments that JSON would change, leave out or ask for are refused with words', async () => {
  const cyclic = { a: [] };
  cyclic.a.push(cyclic);
  const asked = [];
  const odd = [
    [{ a: NaN }, /not finite/], [{ a: Infinity }, /not finite/], [{ a: -0 }, /-0/], [{ a: [{ b: -0 }] }, /-0/],
    [{ a: undefined }, /undefined/], [{ a: () => 1 }, /function/], [{ a: Symbol('b') }, /symbol/], [{ [Symbol('b')]: 1 }, /symbol/],
    [{ get a() { asked.push('getter'); return 1; } }, /getter/],
    [{ a: { toJSON() { asked.push('toJSON'); return 1; } } }, /function/],
    [{ a: new (class { toJSON() { asked.push('toJSON'); return 1; } })() }, /class/],
    [{ a: new Date() }, /class/], [{ a: new Map() }, /class/], [{ a: new Number(3) }, /class/], [{ a: new String('b') }, /class/],
    [{ a: new Uint8Array(2) }, /class/], [{ a: Buffer.from('b') }, /class/], [new (class { a = 1; })(), /class/],
    [{ a: Object.create({ limit: 1 }) }, /class|prototype/], [Object.create({ limit: 1 }), /class|prototype/],
    [JSON.parse('{"__proto__": {"limit": 1}}'), /__proto__/], [{ a: [JSON.parse('{"__proto__": 1}')] }, /__proto__/],
    ['{"a": {"__proto__": {"limit": 1}}}', /__proto__/], ['{"a": {"\\u005f_proto__": 1}}', /__proto__/],
    [{ a: [, 1] }, /holes/], [{ a: Object.assign([1], { b: 2 }) }, /holes|members/],
    [{ a: 2 ** 53 }, /9007199254740991/], [{ a: 1e300 }, /9007199254740991/], [{ a: 2n ** 53n }, /9007199254740991/],
    [{ a: 2n ** 64n }, /64 bits/], [{ a: '\ud800' }, /surrogate/], [{ '\udc00': 1 }, /surrogate/], ['{"a": "\ud800"}', /surrogate/],
    [cyclic, /contain themselves/], [Object.defineProperty({}, 'a', { value: 1 }), /enumerable/],
    [new Proxy({}, { ownKeys: () => ['a'], getOwnPropertyDescriptor: () => undefined }), /getter/],
    ['{"a": 1} x', /no JSON/], ['{"a": 1}{"a": 1}', /no JSON/], ['{"a": 1, "a": 2}', /twice/], ['{"a": 1, "A": 2}', /capitals/],
    ['[1]', /object/], ['{"a": NaN}', /JSON/], ['', /JSON/], [[1], /object/], [7, /object/], [() => 1, /object/],
    [Object.fromEntries(Array.from({ length: 2000 }, (_, at) => [`a${at}`, 1])), /larger/],
    [{ a: new Array(1e9) }, /larger/], [{ a: 'b'.repeat(5_000_000) }, /larger/],
  ];
  for (const [args, words] of odd) assert.match(await refusal(args), words);
  assert.deepEqual(asked, [], 'nothing of what was given was run');
});

test('a list that nests without end is refused before the stack ends', async () => {
  let deep = {};
  for (let level = 0; level < 100_000; level++) deep = { a: deep };
  assert.match(await refusal(deep), /levels/);
});

test('what others put into the prototypes of all objects is in no call', () => {
  const before = Call.tool('pay', { limit: 1 });
  try {
    Object.prototype.limit = 99;
    Object.prototype.toJSON = () => ({ limit: 98 });
    Object.prototype.resource = 'https://a.example/';
    Object.prototype.largeIntegers = true;
    Array.prototype.toJSON = () => [97];
    const call = Call.tool('pay', { limit: 1 });
    assert.ok(call.equals(before));
    assert.equal(call.argumentsJson, '{"limit":1}');
    assert.equal(Call.tool('pay').argumentsJson, '{}');
    assert.equal(call.resource, undefined);
  } finally {
    for (const name of ['limit', 'toJSON', 'resource', 'largeIntegers']) delete Object.prototype[name];
    delete Array.prototype.toJSON;
  }
});

test('an object that changes while it is read is read once', () => {
  let reads = 0;
  const shifty = new Proxy({ limit: 1 }, {
    getOwnPropertyDescriptor: (target, name) => ({ ...Reflect.getOwnPropertyDescriptor(target, name), value: ++reads }),
  });
  const call = Call.tool('pay', shifty);
  assert.equal(reads, 1);
  assert.deepEqual(call.arguments, { limit: 1 });
});

test('objects of another realm and without a prototype are as plain as others', () => {
  const other = runInNewContext('({ a: { b: 1 } })');
  assert.equal(Call.tool('pay', other).argumentsJson, '{"a":{"b":1}}');
  assert.equal(Call.tool('pay', Object.assign(Object.create(null), { a: 1 })).argumentsJson, '{"a":1}');
});

test('options that are not known, null and of the wrong kind are refused', () => {
  for (const parts of [{ largeInteger: true }, { resource: null }, { largeIntegers: 1 }, 7, null, []]) {
    assert.throws(() => Call.of('resources:read', parts), TypeError);
  }
  assert.throws(() => Call.tool('a\ud800'), TypeError);
  assert.throws(() => Call.of(7), TypeError);
  assert.throws(() => new Call({}), TypeError);
  assert.throws(() => Call.of('*'), { code: 'inexact_call' });
});

test('1,000 random arguments have the digest that the holder signs', async () => {
  let seed = 7;
  const random = (below) => ((seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31) >>> 8) % below;
  const value = (depth) => {
    switch (random(depth > 3 ? 5 : 7)) {
      case 0: return random(2) === 0;
      case 1: return null;
      case 2: return (random(2) ? 1 : -1) * (random(2 ** 20) + 1) / 2 ** random(30);
      case 3: return random(2 ** 30) * 2 ** random(20);
      case 4: return ['roadmap', 'straße', '\u2028\n"', '😀', 'a\\b/', '\u0001'][random(6)];
      case 5: return Array.from({ length: random(4) }, () => value(depth + 1));
      default: return Object.fromEntries(Array.from({ length: random(4) }, (_, at) => [`${'äbc'[random(3)]}${at}`, value(depth + 1)]));
    }
  };
  for (let turn = 0; turn < 1000; turn++) {
    const args = Object.fromEntries(Array.from({ length: random(5) }, (_, at) => [`a${at}`, value(0)]));
    const [here, there] = [Call.tool('t', args), agent.Call.tool('t', args)];
    assert.equal(Buffer.from(here.digest()).toString('hex'), Buffer.from(await there.digest()).toString('hex'), JSON.stringify(args));
    assert.deepEqual(here.arguments, JSON.parse(there.argumentsJson));
  }
});

test('the digest is that of the canonical call', () => {
  const call = Call.tool('search', { b: 1.5, a: ['x'] });
  const canonical = '{"arguments":{"a":["x"],"b":1.5},"operation":"tools:call:search"}';
  assert.equal(Buffer.from(call.digest()).toString('hex'), createHash('sha256').update(canonical).digest('hex'));
  assert.equal(JSON.stringify(call), '{"operation":"tools:call:search"}');
});

test('arguments with integers of 64 bits come back exactly, and texts that look like them as texts', () => {
  const args = '{"a":9007199254740993,"b":"9007199254740993","c":"#9007199254740993 ##","d":[-9223372036854775808,{"e":1e-7}],"f":"\\"9007199254740993"}';
  const call = Call.tool('t', args, { largeIntegers: true });
  assert.deepEqual(call.arguments, {
    a: 9007199254740993n, b: '9007199254740993', c: '#9007199254740993 ##', d: [-9223372036854775808n, { e: 1e-7 }], f: '"9007199254740993',
  });
});

test('a message is read once, strictly, and means its calls', () => {
  const body = (method, params, more = {}) => JSON.stringify({ jsonrpc: '2.0', id: 1, method, params, ...more });
  const read = Message.read(new TextEncoder().encode(body('tools/call', { name: 'search', arguments: { query: 'a' } })));
  assert.equal(read.method, 'tools/call');
  assert.ok(read.calls()[0].equals(Call.tool('search', { query: 'a' })));
  assert.deepEqual(Message.read(body('tools/list', {})).calls(), []);
  assert.deepEqual(Message.read(body('tasks/get', { taskId: 't' })).taskIds(), ['t']);
  assert.equal(Message.read(body('prompts/get', { name: 'greet' })).calls()[0].operation, 'prompts:get:greet');
  const call = body('tools/call', { name: 'search' });
  const odd = [
    `${call} `.repeat(2), `${call}x`, `[${call}]`, `[${call},${call}]`, '[]', '', 'null', call.replace('"id":1', '"id":1,"id":2'),
    call.replace('"name":"search"', '"name":"search","name":"pay"'), call.replace('"2.0"', '"1.0"'), `\ufeff${call}`,
    body('tools/call', { name: 'search', arguments: [] }), body('tools/call', { name: 7 }),
  ];
  for (const text of odd) assert.throws(() => Message.read(text).calls(), (error) => error instanceof HardtackError && error.status >= 400, text);
  assert.throws(() => Message.read(Uint8Array.of(0xff, 0xfe)), HardtackError);
  assert.throws(() => Message.read(body('tools/call', { name: 'search', arguments: { a: 'Bearer-in-here-0123456789' } }), { bearer: 'Bearer-in-here-0123456789' }), HardtackError);
  assert.throws(() => Message.read(call, { bearers: 'a' }), TypeError);
  assert.throws(() => Message.read(7), TypeError);
});

test('bytes that another thread could change are copied before they are read', () => {
  const body = new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search"}}');
  const shared = new Uint8Array(new SharedArrayBuffer(body.length));
  shared.set(body);
  assert.equal(Message.read(shared).calls()[0].operation, 'tools:call:search');
});
