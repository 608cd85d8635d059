// The test vectors of the repository: what is read, what is digested, and what is written, byte for byte.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Call, Capability, HardtackError, PrivateKey } from '../dist/index.js';
import { fromBase64, fromHex, hex } from '../dist/bytes.js';
import { decode, encode } from '../dist/proto.js';
import { BISCUIT } from '../dist/schema.js';

const vectors = JSON.parse(readFileSync(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));

/** The causes that reading a token finds; others need a verifier. */
const OF_SHAPE = new Set(
  ('not_a_token too_large over_limit algorithm signature_version encoding symbols content fact name block_kind ' +
    'after_presentation other_parent no_subject no_scope no_expiry no_reason').split(' '),
);

async function refusal(read) {
  try {
    await read();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HardtackError, String(error?.stack));
    return error;
  }
}

test('every token is read, or refused for the cause and at the block that its vector states', async () => {
  let refused = 0;
  for (const { title, bearer, validations } of vectors.testcases) {
    const found = await refusal(() => Capability.parse(bearer));
    const expected = Object.values(validations).map(({ result: { Err } }) => {
      const isOfToken = Err && (OF_SHAPE.has(Err.cause) || (Err.cause === 'too_costly' && Err.status === 401));
      return isOfToken ? `${Err.cause} ${Err.block ?? ''}` : 'read';
    });
    assert.ok(new Set(expected).size === 1 || !found, title);
    assert.equal(found ? `${found.code} ${found.block ?? ''}` : 'read', found ? expected[0] : 'read', title);
    if (expected.every((one) => one !== 'read')) assert.ok(found, title);
    refused += found ? 1 : 0;
  }
  assert.ok(refused > 150 && refused < vectors.testcases.length - 150, `${refused} were refused`);
});

test('every signature of an allowed token holds, and the first that does not is found where its vector states', async () => {
  const count = { holds: 0, damaged: 0 };
  for (const { title, bearer, validations } of vectors.testcases) {
    const results = Object.values(validations).map(({ result }) => result);
    const allowed = results.some(({ Ok }) => Ok);
    const damaged = results.find(({ Err }) => Err?.cause === 'signature' && Err.block > 0)?.Err.block;
    if (!allowed && damaged === undefined) continue;
    assert.equal(await (await Capability.parse(bearer)).firstDamagedBlock(), damaged, title);
    count[allowed ? 'holds' : 'damaged'] += 1;
  }
  assert.ok(count.holds > 60 && count.damaged > 8, JSON.stringify(count));
});

test('every call has the digest that its vector states, or none', async () => {
  let count = 0;
  for (const { title, validations } of vectors.testcases) {
    for (const { operation, resource, arguments: args, params, call_digest, options } of Object.values(validations)) {
      let digest = null;
      const error = await refusal(async () => {
        let call = Call.of(operation);
        if (options?.large_integers) call = call.largeIntegers();
        if (resource !== undefined) call = call.resource(resource);
        if (args !== undefined) call = call.arguments(args);
        if (params !== undefined) call = call.params(params);
        digest = hex(await call.digest());
      });
      assert.equal(digest, call_digest, `${title}: ${error?.message}`);
      if (error) assert.ok(['inexact_call', 'call_too_large'].includes(error.code));
      count += 1;
    }
  }
  assert.equal(count, 684);
});

const keys = await Promise.all(Object.values(vectors.keys).map((text) => PrivateKey.load(text)));
const throwAway = (block) => PrivateKey.fromBytes(new Uint8Array(32).fill(0xf0 + block), { extractable: true });

/** The statements of a block that a holder's library writes, given what its facts say. */
function isWritten(code) {
  const says = (text) => code.includes(text);
  const isHop = says('delegate(');
  const bound = /holder\(hex:([0-9a-f]+)\)/.exec(code)?.[1];
  const facts = isHop
    ? ['hop(', 'delegate(', 'scope(', 'audience(', 'expires(', 'reason(', 'parent(', 'holder(']
    : ['hop(', 'presentation(', 'audience(', 'expires(', 'parent(', 'digest(', 'nonce('];
  const lines = code.trim().split(';\n').map((line) => line.replace(/;$/, ''));
  const order = lines.filter((line) => !/^(check|reject)/.test(line)).map((line) => facts.findIndex((fact) => line.startsWith(fact)));
  return (
    says('check all time($time), $time < ') && says('parent(') &&
    (isHop ? says('check all operation(') && (!bound || says(`trusting ed25519/${bound}`)) : says('check all verifier(')) &&
    (!isHop || !says('audience(') || says('check all verifier(')) &&
    order.every((place, at) => place >= (order[at - 1] ?? 0))
  );
}

test('every block of a holder is written byte for byte, signatures included, unless it has checks of its own', async () => {
  const seen = new Map();
  const count = { same: 0, custom: 0, unlike: 0, refused: 0 };
  const forged = [];
  for (const { title, bearer, token } of vectors.testcases) {
    const read = token.length > 1 ? decode(fromBase64(bearer) ?? new Uint8Array(), BISCUIT) : undefined;
    if (!read) continue;
    for (let block = 1; block < token.length; block++) {
      const { code, external_key } = token[block];
      const expected = read.blocks[block - 1];
      const place = hex(expected.signature);
      if (seen.has(place) || code === null || !/^(hop|presentation)/m.test(code)) continue;
      const upTo = (blocks, proof) => encode({ ...read, blocks: read.blocks.slice(0, blocks), proof }, BISCUIT);
      const secret = async (at) => ({ nextSecret: await (await throwAway(at)).seed() });
      let parent;
      let whole;
      if (await refusal(async () => {
        whole = (await Capability.fromBytes(upTo(block, await secret(block)))).inspect();
        parent = await Capability.fromBytes(upTo(block - 1, await secret(block - 1)));
      })) continue;
      const key = keys.find((key) => key.public.toString().endsWith(external_key ?? 'none'));
      if (external_key && !key) continue;
      seen.set(place, title);
      const now = (expires) => ({ now: expires - 1, ttl: 1 });
      const hop = whole.presentation ? undefined : whole.hops.find(({ block: at }) => at === block);
      if ((hop && hop.otherChecks > 0) || !isWritten(code)) {
        count[hop?.otherChecks > 0 ? 'custom' : 'unlike'] += 1;
        continue;
      }
      let made;
      const error = await refusal(async () => {
        if (hop) {
          const { delegate: to, scopes, reason, holder, constraints: allow, expires } = hop;
          const audiences = code.includes('audience(') ? hop.audiences : [];
          const asked = { to, scopes, reason, holder, unbound: !holder, audiences, allow, ...now(expires) };
          made = (await parent.delegate(key, asked, { next: await throwAway(block) })).toBase64();
        } else {
          const { kind, audience, expires } = whole.presentation;
          // The call itself is not among the blocks; its digest is.
          const digest = /digest\(hex:([0-9a-f]{64})\)/.exec(code)?.[1] ?? '';
          const call = kind === 'call' ? { operation: 'tools:call:any', digest: async () => fromHex(digest, 32) } : undefined;
          const nonce = new Uint8Array(16).fill(7);
          const asked = { call, evenUncovered: true, ...now(expires) };
          made = (await parent.present(key, audience, asked, { next: await throwAway(block), nonce })).bearer;
        }
      });
      if (error) {
        count.refused += 1;
        assert.match(error.code, /^(beyond_|wrong_key|key_|signature|expired|malformed|result_refused)/, `${title}: ${error.message}`);
        continue;
      }
      const written = decode(fromBase64(made), BISCUIT).blocks[block - 1];
      const show = ({ block, signature, external }) => [block, signature, external?.signature ?? new Uint8Array()].map(hex);
      if (String(show(written)) === String(show(expected))) count.same += 1;
      else forged.push(title);
    }
  }
  // What somebody forged is not what a holder writes: a signature that was changed, a check of another digest than the fact's.
  assert.deepEqual(forged, [
    'a digest whose check says another',
    "signature: the hop's signature moved by the order of the group",
    "signature: a byte of the hop's block signature",
    'signature: a presentation from another token',
    'signature: an external signature by nobody',
    'a revoked hop, wrapped anew',
  ]);
  assert.deepEqual(count, { same: 165, custom: 58, unlike: 6, refused: 23 });
});
