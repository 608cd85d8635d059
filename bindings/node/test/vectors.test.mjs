// The test vectors: every token, every call, every verdict.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { Call, Denied, Guard, HardtackError, Message, Policy, Revocations, Store } from '../dist/index.js';

const vectors = JSON.parse(await readFile(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));
const PLAIN_POLICY = 'allow if granted($operation);';

const cases = vectors.testcases.flatMap(({ title, bearer, validations }) =>
  Object.entries(validations).map(([name, validation]) => ({ title: `${title}: ${name}`, bearer, validation })));

const moment = (text) => Date.parse(text) / 1000;

/** Of options, those that are there. */
const given = (options) => Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null));

function callOf({ operation, resource, arguments: args, params, options }) {
  return Call.of(operation, given({ resource, arguments: args, params, largeIntegers: options?.large_integers }));
}

function guardOf({ audience, policy, options }) {
  const keys = options?.root_keys?.map(({ id, key }) => (id === null ? key : { id, key }));
  return new Guard(keys ?? [vectors.root_public_key], audience, given({
    store: options?.accepted_before ? Store.inMemory() : undefined,
    policies: Policy.parse(policy ?? PLAIN_POLICY),
    revocations: options?.revocations ? Revocations.copied(options.revocations) : undefined,
    lifetimes: options?.lifetimes,
    resourceSchemes: options?.resource_schemes,
    directory: options?.directory,
    acceptUnboundHops: options?.accept_unbound_hops,
  }));
}

function refusedWith(error) {
  if (!(error instanceof HardtackError)) throw error;
  const { code: cause, block = null, status = null } = error;
  return { Err: { cause, block, status } };
}

async function verdict(bearer, validation, check) {
  const at = { now: moment(validation.now) };
  let call;
  try {
    call = callOf(validation);
  } catch (error) {
    return refusedWith(error);
  }
  const guard = guardOf(validation);
  try {
    if (validation.options?.accepted_before) await guard.check(bearer, call, at);
    if (validation.options?.revokes) {
      await guard.checkRevocation(bearer, validation.arguments, at);
      const admitted = await guard.admit(bearer, at);
      return { Ok: { subject: admitted.subject, agent: admitted.agent ?? null, depth: admitted.chain().hops.length } };
    }
    const permit = await check(guard, bearer, call, at);
    return { Ok: { subject: permit.subject, agent: permit.agent ?? null, depth: permit.depth } };
  } catch (error) {
    assert.ok(error instanceof Denied, error.stack);
    return refusedWith(error);
  }
}

test('every vector has its verdict when it is awaited and when it is waited for', async () => {
  assert.ok(cases.length > 550);
  assert.equal(new Set(cases.map(({ title }) => title)).size, cases.length);
  const wrong = [];
  for (const { title, bearer, validation } of cases) {
    for (const check of [(guard, ...asked) => guard.check(...asked), (guard, ...asked) => guard.checkSync(...asked)]) {
      const found = await verdict(bearer, validation, check);
      try {
        assert.deepEqual(found, validation.result);
      } catch {
        wrong.push({ title, found, expected: validation.result });
      }
    }
  }
  assert.deepEqual(wrong.slice(0, 10), []);
});

test('every call of the vectors has its digest', () => {
  let digests = 0;
  for (const { title, validation } of cases) {
    if (validation.call_digest === null) continue;
    digests += 1;
    assert.equal(Buffer.from(callOf(validation).digest()).toString('hex'), validation.call_digest, title);
  }
  assert.ok(digests > 500, String(digests));
});

test('integers of 64 bits are read exactly where they are asked for', () => {
  const digests = new Set();
  for (const number of [-(2n ** 63n), -(2n ** 53n) - 1n, -(2n ** 53n), 2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
    const call = Call.tool('t', { a: [number] }, { largeIntegers: true });
    const safe = Number.isSafeInteger(Number(number));
    assert.deepEqual(call.arguments, { a: [safe ? Number(number) : number] });
    const parsed = Call.parse(`{"operation": "tools:call:t", "arguments": {"a": [${number}]}}`, { largeIntegers: true });
    assert.ok(parsed.equals(call));
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"a":[${number}]}}}`;
    const [read] = Message.read(body, { largeIntegers: true }).calls();
    assert.ok(read.equals(call));
    digests.add(Buffer.from(call.digest()).toString('hex'));
    if (!safe) assert.throws(() => Call.tool('t', { a: number }), { code: 'inexact_call' });
  }
  assert.equal(digests.size, 7);
  for (const number of [2n ** 63n, -(2n ** 63n) - 1n, 2 ** 53]) {
    assert.throws(() => Call.tool('t', { a: number }, { largeIntegers: true }), { code: 'inexact_call' });
  }
});
