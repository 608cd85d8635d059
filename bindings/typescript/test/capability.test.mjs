// What may be delegated and presented, and what is refused.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Call, Capability, HardtackError, Presenter, presentingFetch, PrivateKey, PublicKey } from '../dist/index.js';
import { fromBase64, toBase64 } from '../dist/bytes.js';
import { decode, encode } from '../dist/proto.js';
import { BISCUIT } from '../dist/schema.js';

const vectors = JSON.parse(readFileSync(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));
const NOW = 1_795_428_000;
const seeded = (byte) => PrivateKey.fromBytes(new Uint8Array(32).fill(byte), { extractable: true });
const [orchestrator, researcher, thief] = await Promise.all([2, 3, 4].map(seeded));

/** A token of the vectors up to this block, with the secret that it then ends with. */
async function upTo(title, blocks) {
  const { bearer } = vectors.testcases.find((one) => one.title === title);
  const read = decode(fromBase64(bearer), BISCUIT);
  const nextSecret = new Uint8Array(32).fill(0xf0 + blocks);
  return Capability.fromBytes(encode({ ...read, blocks: read.blocks.slice(0, blocks), proof: { nextSecret } }, BISCUIT));
}

const grant = await upTo('grant, hop, session presentation', 0);
const asked = { to: 'agent.researcher', scopes: ['tools:call:search'], reason: 'find the roadmap page', holder: researcher.public, now: NOW };
const refuses = (promise, code) =>
  assert.rejects(promise, (error) => error instanceof HardtackError && error.code === code && error.message.length > 10, code);

test('a part of a capability is passed on, and shown as it was asked for', async () => {
  const hop = await grant.delegate(orchestrator, { ...asked, audiences: ['notion.mcp'], allow: ['amount <= 100', 'path within /srv/data'] });
  const shown = hop.inspect();
  assert.deepEqual(shown.hops[0], {
    block: 1, delegator: 'user:alice', delegate: 'agent.researcher', scopes: ['tools:call:search'], audiences: ['notion.mcp'], expires: NOW + 900,
    reason: 'find the roadmap page', holder: researcher.public, constraints: ['amount <= 100', 'path within /srv/data'], otherChecks: 0,
    signer: orchestrator.public, revocationId: shown.hops[0].revocationId,
  });
  assert.equal(shown.bearer, 'agent.researcher');
  assert.equal((await Capability.parse(hop.toBase64())).toBase64(), hop.toBase64());
  assert.equal((await Capability.accept(hop.toBase64(), { delegator: orchestrator.public })).inspect().hops.length, 1);
  await refuses(Capability.accept(hop.toBase64(), { delegator: thief.public }), 'unexpected_delegator');
});

test('a grant is accepted for its subject and by its root alone', async () => {
  const [root, other] = [vectors.root_public_key, 'ed25519/' + '8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394'].map((text) => PublicKey.parse(text));
  const text = grant.toBase64();
  assert.equal((await Capability.accept(text, { root, subject: 'user:alice' })).toBase64(), text);
  await refuses(Capability.accept(text, { root: other, subject: 'user:alice' }), 'unexpected_root');
  await refuses(Capability.accept(text, { root, subject: 'user:eve' }), 'unexpected_subject');
});

test('what is shown of a capability cannot be changed, so that nothing wider comes of it', async () => {
  const hop = await grant.delegate(orchestrator, asked);
  const shown = hop.inspect();
  assert.throws(() => shown.hops[0].scopes.push('*'), TypeError);
  assert.throws(() => shown.grant.scopes.push('*'), TypeError);
  assert.throws(() => { shown.hops[0].expires = 9e9; }, TypeError);
  assert.throws(() => { shown.hops.pop(); }, TypeError);
  shown.hops = [];
  await refuses(hop.delegate(researcher, { ...asked, scopes: ['*'] }), 'beyond_scope');
  await refuses(hop.delegate(researcher, { ...asked, holder: { toBytes: () => new Uint8Array(32) } }), 'incomplete');
});

test('what would widen, outlive or is not of its form is refused, and nothing is signed', async () => {
  const hop = await grant.delegate(orchestrator, { ...asked, audiences: ['notion.mcp'], ttl: 600 });
  const more = { ...asked, holder: thief.public };
  for (const [change, code] of [
    [{ scopes: ['*'] }, 'beyond_scope'], [{ scopes: ['tools:call:*'] }, 'beyond_scope'], [{ scopes: ['tools:call:search', 'tools:call:delete'] }, 'beyond_scope'],
    [{ audiences: ['mail.mcp'] }, 'beyond_audience'], [{ ttl: 601 }, 'beyond_expiry'], [{ ttl: 3601 }, 'life_too_long'], [{ ttl: 1.5 }, 'malformed_life'],
    [{ ttl: 0 }, 'malformed_life'], [{ ttl: -1 }, 'malformed_life'], [{ ttl: NaN }, 'malformed_life'], [{ ttl: '60' }, 'malformed_life'], [{ scopes: [] }, 'incomplete'],
    [{ reason: undefined }, 'incomplete'], [{ holder: undefined }, 'incomplete'], [{ reason: '' }, 'malformed_name'], [{ reason: 'a\nb' }, 'malformed_name'],
    [{ reason: 'a\u202eb' }, 'malformed_name'], [{ reason: '\ud800' }, 'malformed_name'], [{ reason: 'é'.repeat(129) }, 'malformed_name'], [{ to: 'user:alice' }, 'malformed_name'],
    [{ to: '' }, 'malformed_name'], [{ audiences: ['a b'] }, 'malformed_name'], [{ scopes: ['a::b'] }, 'malformed_scope'], [{ scopes: ['a:b:c:d:e:f:g:h:i'] }, 'malformed_scope'],
    [{ scopes: 'tools:call:search' }, 'incomplete'], [{ allow: ['amount <= x'] }, 'malformed_constraint'], [{ allow: ['a within x'] }, 'malformed_operand'],
    [{ allow: ['a within "/srv/übung"'] }, 'unsupported'], [{ check: ['check if true'] }, 'unsupported'], [{ checks: ['check if true'] }, 'unsupported'], [{ audience: 'x' }, 'unsupported'],
    [{ now: NOW + 600 }, 'expired'], [{ allow: Array(70).fill('a required') }, 'result_refused'],
  ]) await refuses(hop.delegate(researcher, { ...more, ...change }), code);
  await refuses(hop.delegate(thief, more), 'wrong_key');
  await refuses(hop.delegate(undefined, more), 'key_needed');
  await refuses((await upTo('a grant of no hop', 0)).delegate(orchestrator, asked), 'beyond_depth');
});

test('a message never shows the token or a key', async () => {
  const secret = await orchestrator.toText();
  for (const print of [String(orchestrator), JSON.stringify(orchestrator), inspect(orchestrator, { depth: 9, showHidden: true })]) {
    assert.ok(!print.includes(secret.slice(-60)), print);
  }
  const text = grant.toBase64();
  const presentation = await grant.present(orchestrator, 'notion.mcp', { now: NOW });
  for (const print of [String(grant), JSON.stringify(grant), inspect(grant, { depth: 9 }), inspect(presentation, { depth: 9 }), JSON.stringify(presentation)]) {
    assert.ok(!print.includes(text.slice(0, 40)) && !print.includes(presentation.bearer.slice(-60)), print);
  }
  for (const wrong of [text.slice(0, -9), `Bearer ${text}`, `"${text}"`, text.replace('E', '%45'), `${text}\n`, 'ed25519-private/' + '02'.repeat(32), '', '{}', undefined, 5]) {
    await assert.rejects(Capability.parse(wrong), (error) => error.code === 'not_a_token' && !error.message.includes(text.slice(0, 30)) && !error.message.includes('0202'));
  }
});

test('what was changed anywhere is not signed further', async () => {
  const hop = await grant.delegate(orchestrator, asked);
  const whole = fromBase64(hop.toBase64());
  let [signature, shape] = [0, 0];
  for (let at = 700; at < whole.length; at += 13) {
    const changed = whole.slice();
    changed[at] ^= 1;
    try {
      const capability = await Capability.parse(toBase64(changed));
      await capability.present(researcher, 'notion.mcp', { now: NOW });
      assert.fail(`byte ${at} was changed`);
    } catch (error) {
      if (!(error instanceof HardtackError)) throw error;
      if (error.code === 'signature') signature += 1;
      else shape += 1;
    }
  }
  assert.ok(signature > 10 && shape > 10, `${signature} ${shape}`);
  const other = await grant.delegate(orchestrator, asked);
  const [one, two] = [decode(whole, BISCUIT), decode(fromBase64(other.toBase64()), BISCUIT)];
  const spliced = await Capability.fromBytes(encode({ ...one, proof: two.proof }, BISCUIT));
  assert.equal(await spliced.firstDamagedBlock(), 1);
  await refuses(spliced.present(researcher, 'notion.mcp', { now: NOW }), 'signature');
});

test('a presentation is for one audience, ends the token, and may be bound to calls', async () => {
  const hop = await grant.delegate(orchestrator, { ...asked, audiences: ['notion.mcp'] });
  const search = Call.tool('search', { query: 'roadmap' });
  const bound = await hop.present(researcher, 'notion.mcp', { call: search, now: NOW });
  assert.equal(bound.expires, NOW + 60);
  const read = await Capability.parse(bound.bearer);
  assert.equal(read.inspect().presentation.kind, 'call');
  await refuses(read.present(researcher, 'notion.mcp', { now: NOW }), 'already_presented');
  await refuses(read.delegate(researcher, asked), 'already_presented');
  await refuses(hop.present(researcher, 'mail.mcp', { now: NOW }), 'beyond_audience');
  await refuses(hop.present(researcher, 'notion mcp', { now: NOW }), 'malformed_name');
  await refuses(hop.present(researcher, 'notion.mcp', { ttl: 601, now: NOW }), 'life_too_long');
  await refuses(hop.present(researcher, 'notion.mcp', { call: search, ttl: 121, now: NOW }), 'life_too_long');
  await refuses(hop.present(researcher, 'notion.mcp', { call: Call.tool('delete'), now: NOW }), 'not_granted');
  await refuses(hop.present(researcher, 'notion.mcp', { only: Array(65).fill(search), now: NOW }), 'too_many');
  await refuses(hop.present(thief, 'notion.mcp', { now: NOW }), 'wrong_key');
  assert.ok((await hop.present(researcher, 'notion.mcp', { call: Call.tool('delete'), evenUncovered: true, now: NOW })).bearer);
  const twice = await Promise.all([1, 2].map(() => hop.present(researcher, 'notion.mcp', { call: search, now: NOW })));
  assert.notEqual(twice[0].bearer, twice[1].bearer);
});

test('a key that cannot leave WebCrypto signs, and one whose public half is another is refused', async () => {
  const { privateKey, publicKey } = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
  const key = await PrivateKey.fromCryptoKey(privateKey, publicKey);
  const hop = await grant.delegate(orchestrator, { ...asked, holder: key.public });
  assert.ok((await hop.present(key, 'notion.mcp', { now: NOW })).bearer);
  await refuses(key.toText(), 'unsupported');
  await refuses((await PrivateKey.generate()).toText(), 'unsupported');
  await refuses(PrivateKey.fromCryptoKey(privateKey, orchestrator.public), 'malformed_key');
  await refuses(PrivateKey.fromCryptoKey(publicKey, key.public), 'key_kind');
  const handed = await PrivateKey.generate({ extractable: true });
  assert.equal(String((await PrivateKey.load(await handed.toText())).public), String(handed.public));
});

test('keys are read in both forms, and only such as are used', async () => {
  const pem = '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAgTl3Dqh9F19Wo1Rmw0x+zMuNipG07jeiXfYPW4/Js5Q=\n-----END PUBLIC KEY-----\n';
  assert.equal(PublicKey.parse(pem).toString(), orchestrator.public.toString());
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.alloc(32, 2)]).toString('base64');
  const secret = await PrivateKey.load(`-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----`);
  assert.ok(secret.public.equals(orchestrator.public));
  const weak = ['00'.repeat(32), '01' + '00'.repeat(31), 'ec' + 'ff'.repeat(30) + '7f', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'ed' + 'ff'.repeat(30) + '7f', '02' + '00'.repeat(31), 'ff'.repeat(32)];
  for (const digits of weak) assert.throws(() => PublicKey.parse(`ed25519/${digits}`), { code: 'malformed_key' }, digits);
  for (const [text, code] of [['ed25519-private/' + '02'.repeat(32), 'key_kind'], ['secp256r1/' + '02'.repeat(33), 'malformed_key'], ['x', 'malformed_key'], ['', 'malformed_key']]) {
    assert.throws(() => PublicKey.parse(text), (error) => error.code === code && !error.message.includes('0202'));
  }
  for (const [text, code] of [[String(orchestrator.public), 'key_kind'], ['-----BEGIN ENCRYPTED PRIVATE KEY-----', 'key_encrypted'], ['ed25519-private/02', 'malformed_key'], ['x', 'malformed_key']]) {
    await refuses(PrivateKey.load(text), code);
  }
});

test('a presenter keeps what is good for many requests, and makes it anew in time', async () => {
  const hop = await grant.delegate(orchestrator, { ...asked, ttl: 900 });
  let now = NOW;
  const presenter = await Presenter.of(hop, researcher, { clock: () => now });
  const first = await presenter.session('a.mcp');
  assert.equal(first.expires, NOW + 600);
  now += 299;
  assert.equal(await presenter.session('a.mcp'), first);
  assert.notEqual(await presenter.session('b.mcp'), first);
  now += 1;
  const [second, again] = await Promise.all([presenter.session('a.mcp'), presenter.session('a.mcp')]);
  assert.ok(second !== first && second === again);
  now -= 200;
  assert.notEqual(await presenter.session('a.mcp'), second, 'to a clock that went back it lives too long');
  now = NOW + 800;
  assert.equal((await presenter.session('a.mcp')).expires, NOW + 900);
  now = NOW + 900;
  await refuses(presenter.session('a.mcp'), 'expired');
  now = NOW;
  const none = await presenter.forNoCall('a.mcp');
  assert.ok(none !== (await presenter.session('a.mcp')) && none === (await presenter.forCalls('a.mcp', [])));
  await refuses(presenter.forCalls('a.mcp', [Call.tool('delete')]), 'not_granted');
  await refuses(Presenter.of(hop, thief), 'wrong_key');
  await presenter.replace(await grant.delegate(orchestrator, asked));
  assert.notEqual(await presenter.forNoCall('a.mcp'), none);
  await refuses(presenter.replace(grant), 'wrong_key');
});

test('what is asked for is read once by its name, also inherited and by getters, and what is unknown or null is refused', async () => {
  const { allow, ttl, ...plain } = { ...asked, allow: ['amount <= 100'], ttl: 60 };
  class Given {
    constructor() { Object.assign(this, plain); }
    get allow() { return allow; }
    get ttl() { return ttl; }
  }
  for (const given of [Object.assign(Object.create({ allow, ttl }), plain), new Given()]) {
    const [hop] = (await grant.delegate(orchestrator, given)).inspect().hops;
    assert.deepEqual([hop.constraints, hop.expires], [allow, NOW + 60]);
  }
  class Odd extends Given { get Allow() { return allow; } }
  for (const given of [
    { ...asked, Allow: allow }, Object.assign(Object.create({ Allow: allow }), asked), new Odd(), { ...asked, allow: null }, { ...asked, ttl: null },
    { ...asked, checks: [] }, null, 'agent.researcher', [],
  ]) await refuses(grant.delegate(orchestrator, given), 'unsupported');
  let reads = 0;
  const changing = { ...plain, get ttl() { return (reads += 1) * 60; } };
  assert.equal((await grant.delegate(orchestrator, changing)).inspect().hops[0].expires, NOW + 60);
});

test('a presentation is for what is named, and for nothing else by mistake', async () => {
  const hop = await grant.delegate(orchestrator, asked);
  const call = Call.tool('search', { query: 'x' });
  const present = (options) => hop.present(researcher, 'notion.mcp', options);
  for (const options of [
    call, { calls: [call] }, { onlyCalls: [call] }, { Call: call }, { call: null }, { only: null }, { call: 'search' }, { only: call }, { only: [{}] },
    { call: Promise.resolve(call) }, Object.create({ Only: [call] }), null,
  ]) await refuses(present(options), 'unsupported');
  const kind = async (options) => {
    const { presentation, caveats } = (await Capability.parse((await present({ ...options, now: NOW })).bearer)).inspect();
    return presentation.kind;
  };
  assert.deepEqual([await kind({ call }), await kind({ only: [call] }), await kind({ only: undefined })], ['call', 'session', 'session']);
  assert.throws(() => presentingFetch({ capability: hop, key: researcher }, 'https://h/mcp', { audience: 'x', callbound: true }), { code: 'unsupported' });
  assert.throws(() => presentingFetch({ capability: hop, key: researcher }, 'https://h/mcp', { audience: 'x', callBound: null }), { code: 'unsupported' });
  await refuses(Presenter.of(hop, researcher, { evenuncovered: true }), 'unsupported');
});

test('lives are whole seconds, and what is read is what was given at first', async () => {
  for (const longestLife of [NaN, Infinity, -5, 0, 0.5, '60']) {
    await refuses(grant.delegate(orchestrator, { ...asked, longestLife }), 'malformed_life');
    await refuses(grant.delegate(orchestrator, { ...asked, longestLife, ttl: 60 }), 'malformed_life');
  }
  const hop = await grant.delegate(orchestrator, asked);
  const [call, ...only] = [Call.tool('search', { query: 'x' }), Call.tool('search', { query: 'y' })];
  const alone = await hop.present(researcher, 'notion.mcp', { only: [...only], now: NOW });
  const promised = hop.present(researcher, 'notion.mcp', { only, now: NOW });
  only.push(...Array.from({ length: 80 }, () => call));
  // 80 calls more are too many, and one more makes it longer.
  assert.equal((await promised).bearer.length, alone.bearer.length);
  const expected = { root: thief.public, subject: 'user:alice' };
  const accepted = Capability.accept(hop.toBase64(), expected);
  Object.assign(expected, { root: undefined, delegator: orchestrator.public });
  await refuses(accepted, 'unexpected_root');
});
