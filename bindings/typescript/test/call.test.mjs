// What two readers could read differently is no call; what is one is hashed as it was read.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { Call, HardtackError } from '../dist/index.js';

const refused = (read, code = 'inexact_call') =>
  assert.throws(read, (error) => error instanceof HardtackError && error.code === code, String(read));
const digest = async (call) => Buffer.from(await call.digest()).toString('hex');

test('the digest is SHA-256 of the canonical form, however the arguments were written', async () => {
  const call = Call.parse('{"operation":"tools:call:pay","arguments":{"b":1e1,"a":"x"}}');
  const expected = createHash('sha256').update('{"arguments":{"a":"x","b":10},"operation":"tools:call:pay"}').digest('hex');
  assert.equal(await digest(call), expected);
  assert.equal(await digest(Call.tool('pay', { b: 10, a: 'x' })), expected);
  assert.equal(await digest(Call.tool('pay', '{ "a": "x", "b": 10.0 }')), expected);
  assert.equal(await digest(Call.tool('pay', {})), await digest(Call.tool('pay')));
  assert.notEqual(await digest(call), await digest(call.params({ requestState: 'x' })));
  assert.equal(Call.prompt('brief').operation, 'prompts:get:brief');
  assert.equal(Call.read('https://a.example/').resourceUri, 'https://a.example/');
});

test('members that stand twice, are called alike or do not print are refused at any depth', () => {
  for (const json of [
    '{"a":1,"a":2}', '{"a":1,"\\u0061":2}', '{"x":[{"a":1,"a":1}]}', '{"amount":1,"Amount":2}', '{"key":1,"\u212aey":2}',
    '{"stra\u00dfe":1,"STRASSE":2}', '{"a":1," a":2}', '{"a\\u0000":1}', '{"a\u200b":1}', '{"a\u00a0":1}', '[1]', 'null', '', '{',
    '{"a":1} {', '\ufeff{}', '{"a":01}', '{"a":.5}', '{"a":NaN}', '{"a":1e400}', '{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":9007199254740992}',
    '{"a":1e21}', '{"a":"\t"}', "{'a':1}", '{"a":1,}', '{"a":undefined}', '{"a":"\\x41"}',
  ]) refused(() => Call.tool('t', json));
});

test('an object of JavaScript is taken only if JSON has all of it', () => {
  const cycle = {};
  cycle.self = cycle;
  const named = Object.defineProperty({}, 'hidden', { value: 1, enumerable: false });
  class Money {
    amount = 1;
  }
  for (const args of [
    { a: undefined }, { a: NaN }, { a: Infinity }, { a: 1n }, { a: () => 1 }, { a: Symbol('x') }, { [Symbol('x')]: 1 }, { a: new Date() },
    { a: new Map() }, { a: new Money() }, new Money(), { a: [1, , 2] }, { a: Object.assign([1], { more: 1 }) }, { a: '\ud800' }, { '\ud800': 1 }, named,
    { a: new Proxy([], { ownKeys: () => ['length', 'x'], getOwnPropertyDescriptor: () => ({ value: 1, enumerable: true, configurable: true }) }) },
    { get amount() { return 1; } }, { a: { get amount() { return 1; } } },
  ]) refused(() => Call.tool('t', args));
  refused(() => Call.tool('t', cycle), 'call_too_large');
  for (const args of [null, 5, [1], true]) assert.throws(() => Call.tool('t', args), HardtackError);
});

test('integers of 64 bits are read exactly where they are asked for, and never share a digest', async () => {
  const large = (args) => Call.tool('t').largeIntegers().arguments(args);
  const seen = new Set();
  for (const n of [-(2n ** 63n), -(2n ** 53n) - 1n, -(2n ** 53n), 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
    const call = large(`{"a":[{"b":${n}}]}`);
    assert.equal(call.argumentsJson, `{"a":[{"b":${n}}]}`);
    assert.equal(await digest(large({ a: [{ b: n }] })), await digest(call));
    assert.equal(await digest(call.params({ x: 1 }).params({})), await digest(call));
    const whole = `{"operation":"tools:call:t","arguments":{"a":[{"b":${n}}]}}`;
    assert.equal(await digest(Call.parse(whole, { largeIntegers: true })), await digest(call));
    if (n !== 2n ** 53n - 1n) refused(() => Call.parse(whole));
    seen.add(await digest(call));
  }
  assert.equal(seen.size, 7);
  assert.equal(await digest(large({ a: 5n })), await digest(Call.tool('t', { a: 5 })));
  for (const json of ['9223372036854775808', '-9223372036854775809', '9007199254740993.0', '9007199254740993e0', '1e16', '1e300']) {
    refused(() => large(`{"a":${json}}`));
  }
  for (const args of [{ a: 2n ** 63n }, { a: 2 ** 53 }, { a: 2 ** 60 }, { a: 1e300 }]) refused(() => large(args));
  refused(() => Call.tool('t').largeIntegers().params('{"a":9007199254740993}'));
  refused(() => Call.parse('{"operation":"tools:call:t","params":{"a":9007199254740993}}', { largeIntegers: true }));
  refused(() => Call.tool('t', { a: 1n }));
});

test('a getter is never asked, so that it cannot say another thing later', () => {
  let asked = 0;
  refused(() => Call.tool('t', { get amount() { return ++asked; } }));
  assert.equal(asked, 0);
  const args = { amount: 1 };
  const call = Call.tool('t', args);
  args.amount = 1000;
  assert.equal(call.argumentsJson, '{"amount":1}');
});

test('__proto__ and its like are names like any other, and change nothing', async () => {
  const json = '{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"x":1}},"toString":1}';
  const call = Call.tool('t', json);
  const expected = createHash('sha256').update(`{"arguments":{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"x":1}},"toString":1},"operation":"tools:call:t"}`).digest('hex');
  assert.equal(await digest(call), expected);
  assert.equal(await digest(Call.tool('t', JSON.parse(json))), expected);
  assert.equal({}.isAdmin, undefined);
  assert.equal({}.x, undefined);
  Object.prototype.polluted = { call: 'other' };
  try {
    assert.equal(Call.tool('t', { a: 1 }).argumentsJson, '{"a":1}');
  } finally {
    delete Object.prototype.polluted;
  }
});

test('each bound is met and not passed', () => {
  const deep = (levels) => `{"a":${'['.repeat(levels)}1${']'.repeat(levels)}}`;
  Call.tool('t', deep(99));
  refused(() => Call.tool('t', deep(100)), 'call_too_large');
  refused(() => Call.tool('t', deep(100_000)), 'call_too_large');
  const wide = (values) => ({ a: Array(values - 1).fill(1) });
  Call.tool('t', wide(200_000));
  refused(() => Call.tool('t', wide(200_001)), 'call_too_large');
  const many = (count) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`a${at}`, 1]));
  Call.tool('t', many(1000));
  refused(() => Call.tool('t', many(1001)), 'call_too_large');
  Call.tool('t', { ['n'.repeat(4096)]: 1 });
  refused(() => Call.tool('t', { ['n'.repeat(4097)]: 1 }), 'call_too_large');
  const long = (bytes) => ({ a: 'x'.repeat(bytes - '{"a":""}'.length) });
  Call.tool('t', long(4_194_304));
  refused(() => Call.tool('t', long(4_194_305)), 'call_too_large');
  refused(() => Call.tool('t', { a: 'x'.repeat(10_000_000) }), 'call_too_large');
  const began = performance.now();
  refused(() => Call.tool('t', { a: Array(3_000_000).fill(0) }), 'call_too_large');
  refused(() => Call.tool('t', Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [`a${at}`, 1]))), 'call_too_large');
  assert.ok(performance.now() - began < 5000, 'what is far too large takes no long look');
  Call.tool('t', { ['é'.repeat(2048)]: 1, ['à'.repeat(2048)]: 1 });
  refused(() => Call.tool('t', { ['é'.repeat(2048)]: 1, ['à'.repeat(2048)]: 1, 'ü': 1 }), 'call_too_large');
  refused(() => Call.read(`https://a.example/${'a'.repeat(8000)}`), 'call_too_large');
});

test('each name of a prompt has an operation of its own', () => {
  for (const [name, operation] of [
    ['brief', 'brief'], ['git:commit', 'git:commit'], ['code review', 'code%20review'], ['code%20review', 'code%2520review'],
    ['plan/week', 'plan%2Fweek'], ['*', '%2A'], ['a::b', 'a%3A%3Ab'], [':a', '%3Aa'], ['a:', 'a%3A'], ['a: b', 'a:%20b'],
    ['café', 'caf%C3%A9'], ['要約', '%E8%A6%81%E7%B4%84'], ['😀', '%F0%9F%98%80'],
  ]) {
    assert.equal(Call.prompt(name).operation, `prompts:get:${operation}`);
    assert.equal(Call.of(`prompts:get:${operation}`).operation, `prompts:get:${operation}`);
  }
  for (const name of ['', ' a', 'a ', 'a\tb', 'a\0', 'a\u200bb', 'cafe\u0301', 'x'.repeat(129), '\ud800']) {
    refused(() => Call.prompt(name));
  }
  for (const operation of ['%61', '%5F', '%2E', '%2D', '%30', '%7A', 'a%2fb', 'a%2', 'a b']) {
    refused(() => Call.of(`prompts:get:${operation}`));
  }
  refused(() => Call.of('tools:call:a%20b'));
});

test('what is no operation and no URI in normal form is refused with what to write', () => {
  for (const name of ['', 'a b', '*', 'a:*', 'é', 'a/b', 'x'.repeat(129)]) refused(() => Call.tool(name));
  for (const uri of ['page', 'HTTPS://a.example/', 'https://a.example', 'https://a.example:443/', 'https://a.example/../b']) {
    refused(() => Call.read(uri));
  }
  for (const [uri, why] of [
    ['memo://Notes/a', /its host/], ['memo://notes/%61', /escape/], ['memo://notes/a/', /slash at the end/],
    ['memo://notes/a#b', /fragment/], ['memo://a@notes/b', /user/], ['memo://notes:80/a', /its host/],
    ['memo:/a', /one slash/], ['memo:a/../b', /dot/], ['memo://notes/cafe%CC%81', /NFKC/], ['memo://notes/%FF', /UTF-8/],
    ['data:text/plain,a', /content/], ['urn:ISBN:045', /second colon/],
  ]) {
    assert.throws(() => Call.read(uri), why);
    refused(() => Call.read(uri));
  }
  for (const uri of ['memo://insights', 'note:///1', 'demo://resource/static/architecture.md', 'urn:isbn:045', 'urn:example:A', 'memo:A', 'ui://a/b%20c?d=e']) {
    assert.equal(Call.read(uri).resourceUri, uri);
  }
  assert.throws(() => Call.read('https://a.example/../b'), /write https:\/\/a\.example\/b/);
});
