// The server's end: decisions, refusals, stores, revocations.

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import {
  Call, Denied, Forbidden, Guard, HardtackError, Issuer, Permit, Policy, PrivateKey, PublicKey, Refused, Revocation, Revocations, Store, Unauthenticated,
  Unavailable,
} from '../dist/index.js';
import { agent, AUDIENCE, denied, inFolder, scene, thrown } from './support.mjs';

const here = await scene();
const { issuer, guard, bearer, search } = here;

test('what is covered is permitted, and the rest is refused by its kind', async () => {
  for (const permit of [await guard.check(bearer, search), guard.checkSync(bearer, search), await guard.check({ bearer }, search)]) {
    assert.deepEqual([permit.subject, permit.agent, permit.depth, permit.sequence], ['user:alice', 'agent.researcher', 1, undefined]);
    assert.match(permit.allowedBy, /^default\.datalog:/);
    assert.equal(permit.chain().hops[0].reason, 'find the roadmap page');
  }
  const refusal = await denied(() => guard.check(bearer, here.delete));
  assert.ok(refusal instanceof Forbidden && refusal instanceof HardtackError && refusal instanceof Error);
  assert.deepEqual([refusal.code, refusal.block, refusal.status, refusal.name], ['not_granted', 1, 403, 'Forbidden']);
  const beyond = await denied(() => guard.checkSync(bearer, Call.tool('search', { limit: 11 })));
  assert.deepEqual([beyond.code, beyond.refused.arguments], ['check_failed', ['limit']]);
  const elsewhere = new Guard([issuer.public], 'mail.mcp');
  assert.ok(await denied(() => elsewhere.check(bearer, search)) instanceof Unauthenticated);
  assert.equal((await denied(() => guard.check(here.part.toBase64(), search))).code, 'not_presented');
  for (const odd of ['', 'x', '\ud800', 'é', `${bearer} `, `${bearer}\n`]) {
    const refused = await denied(() => guard.check(odd, search));
    assert.equal(refused.status, 401, odd);
  }
});

test('the words for the caller are not those for operators', async () => {
  const policies = Policy.parse('deny if tool("search"); allow if granted($o);', 'secret-policy.datalog');
  const refusal = await denied(() => new Guard([issuer.public], AUDIENCE, { policies }).check(bearer, search));
  assert.deepEqual([refusal.place, refusal.code], ['secret-policy.datalog:1', 'policy_denied']);
  const shown = [String(refusal), refusal.message, refusal.stack, JSON.stringify(refusal), inspect(refusal, { depth: 9, showHidden: true }), JSON.stringify({ ...refusal }), refusal.challenge() ?? ''];
  for (const text of shown) {
    assert.ok(!text.includes('secret-policy') && !text.includes(refusal.detail), text);
  }
  assert.match(refusal.message, /this call of tools:call:search is not allowed here/);
  const challenge = (await denied(() => guard.check(bearer, here.delete))).challenge('https://m.example');
  assert.match(challenge, /^Bearer realm="notion.mcp", error="insufficient_scope"/);
  assert.match(challenge, /resource_metadata="https:\/\/m.example"$/);
  assert.equal(new Refused({ status: 503, description: 'later' }).challenge(AUDIENCE), undefined);
  assert.match(new Refused({ status: 401, error: 'invalid_token', description: 'a"b\r\nSet-Cookie: c' }).challenge('a"b'), /^Bearer realm="a\\"b", error="invalid_token", error_description="[^\r\n]*"$/);
});

test('only a guard makes a permit', async () => {
  const permit = await guard.check(bearer, search);
  for (const from of [{}, null, permit, Object.create(Permit.prototype)]) assert.throws(() => new Permit(from), TypeError);
  assert.throws(() => Object.create(Permit.prototype).subject, TypeError);
});

test('an explanation says what would help and records nothing', async () => {
  const store = Store.inMemory();
  const told = await new Guard([issuer.public], AUDIENCE, { store }).explain(bearer, Call.tool('search', { limit: 50 }));
  assert.deepEqual([told.decision, told.cause], ['deny', 'check_failed']);
  assert.ok(told.remedies.length > 0);
  assert.deepEqual(await store.records(), []);
  await store.close();
});

test('a store records, revokes, and is open once', () => inFolder(async (folder) => {
  const path = join(folder, 'a.store');
  assert.equal((await thrown(() => Store.open(path))).code, 'store_not_there');
  const store = await Store.create(path);
  assert.equal(store.path, path);
  assert.ok(await thrown(() => Store.create(path)) instanceof HardtackError);
  const guard = new Guard([issuer.public], AUDIENCE, { store });
  assert.equal((await guard.check(bearer, search)).sequence, 1);
  assert.equal((await denied(() => guard.check(bearer, here.delete))).code, 'not_granted');
  assert.equal((await thrown(() => Store.open(path))).code, 'store_in_use');
  const lost = Revocation.holder(here.researcher.public);
  const sequence = await store.revoke(lost, { by: 'user:admin', reason: 'laptop stolen' });
  assert.equal(await store.revoke(lost, { by: 'user:admin', reason: 'again' }), sequence);
  for (const check of [() => guard.check(bearer, search), () => guard.checkSync(bearer, search)]) {
    const refusal = await denied(check);
    assert.deepEqual([refusal.code, refusal.block], ['revoked', 1]);
  }
  assert.deepEqual((await store.revocations()).map(({ kind }) => kind), ['holder']);
  assert.deepEqual((await store.records({ start: 2, limit: 1 })).map(({ sequence }) => sequence), [2]);
  await store.verify();
  await store.ready();
  await store.close();
  assert.ok(await denied(() => guard.check(bearer, search)) instanceof Unavailable);
  assert.ok(await denied(() => guard.checkSync(bearer, search)) instanceof Unavailable);
  assert.match((await thrown(() => store.revoke(lost, { by: 'user:admin', reason: 'again' }))).code, /^(store_closed|not_revoked)$/);
  const again = await Store.openOrCreate(path);
  assert.deepEqual((await again.records()).map(({ decision }) => decision).slice(0, 2), ['allow', 'deny']);
  await again.close();
}));

test('a presentation for one call is used up where there is a store', async () => {
  const once = await here.present(agent.Call.tool('search', { query: 'roadmap', limit: 3 }));
  const guard = new Guard([issuer.public], AUDIENCE, { store: Store.inMemory() });
  assert.equal((await denied(() => guard.check(once, Call.tool('search', { query: 'roadmap', limit: 4 })))).code, 'other_call');
  // Of many at once, one is accepted.
  const answers = await Promise.allSettled(Array.from({ length: 20 }, () => guard.check(once, search)));
  assert.equal(answers.filter(({ status }) => status === 'fulfilled').length, 1);
  assert.ok(answers.every(({ status, reason }) => status === 'fulfilled' || reason.code === 'replayed'));
});

test('a copy of revocations stops what it names, and no old copy allows', async () => {
  const store = Store.inMemory();
  const copy = Revocations.copied(await store.revocationList());
  const guard = new Guard([issuer.public], AUDIENCE, { revocations: copy });
  await guard.check(bearer, search);
  await store.revoke(Revocation.agent('agent.researcher'), { by: 'user:admin', reason: 'lost' });
  copy.renew(JSON.stringify(await store.revocationList()));
  assert.equal((await denied(() => guard.check(bearer, search))).code, 'revoked');
  const old = { ...(await store.revocationList()), as_of: '2026-01-01T00:00:00Z', revocations: [] };
  const stale = new Guard([issuer.public], AUDIENCE, { revocations: Revocations.copied(old) });
  assert.equal((await denied(() => stale.check(bearer, search))).code, 'revocations_stale');
  const both = new Guard([issuer.public], AUDIENCE, { store, revocations: Revocations.copied(old) });
  assert.equal((await denied(() => both.check(bearer, search))).code, 'revoked');
});

test('policies and roots are replaced while it runs', () => inFolder(async (folder) => {
  const guard = new Guard([issuer.public], AUDIENCE);
  guard.replacePolicies(Policy.parse('allow if tool("pay");'));
  assert.equal((await denied(() => guard.check(bearer, search))).code, 'nothing_allows');
  await mkdir(join(folder, 'set'));
  await writeFile(join(folder, 'set/a.datalog'), 'allow if granted($operation);');
  guard.replacePolicies(await Policy.load(join(folder, 'set')));
  await guard.check(bearer, search);
  guard.replacePolicies(Policy.parseSet({ 'a.datalog': 'deny if tool("search");', 'b.datalog': 'allow if granted($operation);' }));
  assert.equal((await denied(() => guard.check(bearer, search))).place, 'a.datalog:1');
  guard.replacePolicies(Policy.builtin());
  guard.replaceRoots([{ id: 7, key: issuer.public }, PrivateKey.generate().public.toString()]);
  assert.equal((await denied(() => guard.check(bearer, search))).code, 'signature');
  for (const [code, work] of [
    ['malformed_policy', () => Policy.parse('granted("tools:call:pay");')],
    ['no_policies', () => Policy.parse('deny if true;')],
    ['no_policies', () => Policy.load(folder)],
    ['file_unavailable', () => Policy.load(join(folder, 'none'))],
  ]) assert.equal((await thrown(work)).code, code);
}));

test('a list shows what could be called', async () => {
  const calls = ['search', 'delete_page', 'pay'].map((name) => Call.tool(name));
  for (const seen of [await guard.preview(bearer, calls), guard.previewSync(bearer, calls)]) {
    assert.deepEqual(seen, ['depends_on_arguments', 'denied', 'depends_on_arguments']);
  }
  for (const admitted of [await guard.admit(bearer), guard.admitSync(bearer)]) {
    assert.deepEqual([admitted.subject, admitted.agent, admitted.scopes], ['user:alice', 'agent.researcher', ['tools:call:search', 'tools:call:pay']]);
    assert.ok(admitted.root.equals(issuer.public));
    assert.equal(admitted.client, here.researcher.public.toString());
    assert.ok(admitted.expiresAt > Date.now() / 1000);
  }
  const long = await denied(() => guard.preview(bearer, new Array(10_001).fill(calls[0])));
  assert.deepEqual([long.code, long.status], ['list_too_long', 503]);
});

test('who governs may revoke, and a stranger may not', async () => {
  const governing = await agent.Capability.parse(issuer.mint({ subject: 'user:admin', scopes: 'hardtack:revoke', holder: here.orchestrator.public }));
  const request = { revocation: { kind: 'agent', agent: 'agent.researcher' }, reason: 'it was stolen' };
  const bound = await governing.present(here.orchestrator, AUDIENCE, { call: agent.Call.of('hardtack:revoke').arguments(request) });
  const store = Store.inMemory();
  const guard = new Guard([issuer.public], AUDIENCE, { store });
  const stranger = await here.grant.present(here.orchestrator, AUDIENCE);
  assert.ok(await denied(() => guard.checkRevocation(stranger, request)) instanceof Forbidden);
  const revoking = await guard.checkRevocation(bound, request);
  assert.deepEqual([revoking.by, revoking.reason], ['user:admin', 'it was stolen']);
  assert.ok(revoking.revocation.equals(Revocation.agent('agent.researcher')));
  await store.revoke(revoking);
  assert.equal((await denied(() => guard.check(bearer, search))).code, 'revoked');
});

test('a moment, lifetimes, schemes, a directory and unbound hops are as they are given', async () => {
  const late = { now: new Date(Date.now() + 3_600_000) };
  assert.equal((await denied(() => guard.check(bearer, search, late))).code, 'expired');
  assert.equal((await denied(() => new Guard([issuer.public], AUDIENCE, { lifetimes: { hop: 60 } }).check(bearer, search))).code, 'too_long_lived');
  const known = { 'agent.researcher': [here.researcher.public] };
  await new Guard([issuer.public], AUDIENCE, { directory: known }).check(bearer, search);
  const other = { 'agent.researcher': [PrivateKey.generate().public] };
  assert.equal((await denied(() => new Guard([issuer.public], AUDIENCE, { directory: other }).check(bearer, search))).status, 401);
  assert.equal(new Guard([issuer.public], AUDIENCE, { resourceSchemes: ['notion'] }).nameResourceScheme('mail'), false);
  assert.equal(guard.nameResourceScheme('mail'), true);
});

test('what is not known or of the wrong kind is refused before anything is decided', () => {
  const roots = [issuer.public];
  const odd = [
    () => new Guard(issuer.public, AUDIENCE), () => new Guard([7], AUDIENCE), () => new Guard([{ id: -1, key: issuer.public }], AUDIENCE),
    () => new Guard(roots, 7), () => new Guard(roots, AUDIENCE, { policy: Policy.builtin() }), () => new Guard(roots, AUDIENCE, { store: {} }),
    () => new Guard(roots, AUDIENCE, { store: null }), () => new Guard(roots, AUDIENCE, { policies: 'allow if true;' }),
    () => new Guard(roots, AUDIENCE, { lifetimes: { hops: 7 } }), () => new Guard(roots, AUDIENCE, { lifetimes: { hop: '7' } }),
    () => new Guard(roots, AUDIENCE, { acceptUnboundHops: 'no' }), () => new Guard(roots, AUDIENCE, { directory: { a: 'b' } }),
    () => guard.checkSync(undefined, search), () => guard.checkSync({}, search), () => guard.checkSync(bearer, { operation: 'tools:call:search' }),
    () => guard.checkSync(bearer, Object.create(Call.prototype)), () => guard.checkSync(bearer, search, { then: 1 }),
    () => guard.checkSync(bearer, search, { now: '2026' }), () => guard.previewSync(bearer, search),
    () => new Issuer({}), () => issuer.mint({ subject: 'user:alice' }), () => issuer.mint({ subject: 'user:alice', scopes: 'a', holders: [] }),
    () => PublicKey.fromBytes('a'), () => Store.shared('a'),
  ];
  for (const work of odd) assert.throws(work, TypeError, String(work));
  assert.throws(() => guard.checkSync(bearer, search, { now: -1 }), { code: 'malformed_time' });
  assert.throws(() => guard.checkSync(bearer, search, { now: NaN }), { code: 'malformed_time' });
  assert.throws(() => guard.checkSync(bearer, search, { now: Date.now() }), { code: 'malformed_time' });
  assert.throws(() => new Guard(roots, AUDIENCE, { maxStaleness: 0.5 }), { code: 'malformed_life' });
  assert.throws(() => new Guard(['ed25519/00'], AUDIENCE), { code: 'malformed_key' });
  assert.throws(() => new Guard(roots, ''), HardtackError);
});

test('options that somebody put into the prototype of all objects are taken by nobody', async () => {
  const unbound = await agent.Capability.parse(issuer.mint({ subject: 'user:alice', scopes: 'tools:call:*', unbound: true }));
  const hop = await unbound.delegate(undefined, { to: 'agent.a', scopes: ['tools:call:search'], reason: 'r', unbound: true });
  const presented = await hop.present(undefined, AUDIENCE);
  try {
    Object.prototype.acceptUnboundHops = true;
    Object.prototype.now = 7;
    const careful = new Guard([issuer.public], AUDIENCE);
    assert.ok(await denied(() => careful.check(presented, search)) instanceof Denied);
    assert.equal(careful.checkSync(bearer, search, {}).subject, 'user:alice');
  } finally {
    delete Object.prototype.acceptUnboundHops;
    delete Object.prototype.now;
  }
});

test('keys are read, written and never shown', () => inFolder(async (folder) => {
  const key = PrivateKey.generate();
  const path = join(folder, 'a.key');
  await key.save(path);
  assert.ok((await PrivateKey.load(path)).public.equals(key.public));
  assert.ok(await thrown(() => key.save(path)) instanceof HardtackError);
  await writeFile(join(folder, 'open.key'), key.toText(), { mode: 0o644 });
  const open = await thrown(() => PrivateKey.load(join(folder, 'open.key')));
  const secret = key.toText().split('/')[1];
  for (const text of [inspect(key, { showHidden: true }), JSON.stringify(key), String(key), String(open)]) assert.ok(!text.includes(secret), text);
  assert.ok(PublicKey.parse(key.public.toString()).equals(PublicKey.fromBytes(key.public.toBytes())));
  assert.throws(() => PrivateKey.parse('ed25519-private/00'), (error) => error.code === 'malformed_key' && !error.message.includes('00'));
}));
