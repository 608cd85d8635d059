// The guard between a transport and a server of MCP, without the SDK: what passes, and what is answered in the server's place.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Guard, Store } from '../dist/index.js';
import { guardServer } from '../dist/mcp.js';
import { agent, AUDIENCE, scene } from './support.mjs';

const here = await scene();
const guard = new Guard([here.issuer.public], AUDIENCE);

/** A transport whose listener is a member, and one that hands it on to one within. */
class Plain {
  sent = [];
  errors = [];
  onmessage;
  onerror = (error) => this.errors.push(error);
  async start() {}
  async send(message) { this.sent.push(message); }
  deliver(message, extra) { this.onmessage(message, extra); }
}
class Within extends Plain {
  #within;
  constructor() {
    super();
    delete this.onmessage;
  }
  get onmessage() { return this.#within; }
  set onmessage(given) { this.#within = given; }
  deliver(message, extra) { this.#within(message, extra); }
}

/** A server that keeps what it gets, and answers when it is told to. */
async function connected(Transport = Plain, own = guard) {
  const got = [];
  const refused = [];
  const server = guardServer(own, {
    async connect(transport) {
      const before = transport.onmessage;
      transport.onmessage = (message, extra) => {
        before?.(message, extra);
        got.push(message);
      };
      await transport.start();
    },
  }, { onRefused: (error) => refused.push(error.code) });
  const transport = new Transport();
  await server.connect(transport);
  const take = async (message, bearer = here.bearer) => {
    const seen = () => got.length + refused.length + transport.errors.length;
    const before = seen();
    transport.deliver({ jsonrpc: '2.0', ...message }, bearer === null ? {} : { authInfo: { token: bearer } });
    // Whatever comes of it, one of them hears of it.
    while (seen() === before) await sleep(2);
    await sleep(2);
  };
  return { transport, got, refused, take, answer: (id, result) => transport.send({ jsonrpc: '2.0', id, result }) };
}

const tools = { tools: [{ name: 'search' }, { name: 'delete_page' }, { name: 'a b' }, { name: 7 }, null, { name: '*' }], nextCursor: 'c' };

for (const Transport of [Plain, Within]) {
  test(`calls are passed on or answered, and lists are filtered, at a transport that is ${Transport.name}`, async () => {
    const { transport, got, refused, take, answer } = await connected(Transport);
    await take({ id: 1, method: 'tools/call', params: { name: 'search', arguments: { limit: 1 } } });
    await take({ id: 2, method: 'tools/call', params: { name: 'delete_page' } });
    await take({ id: 'a', method: 'tools/list' });
    assert.deepEqual(got.map(({ id }) => id), [1, 'a']);
    await answer(1, { content: [] });
    await answer('a', tools);
    const [denied, done, listed] = transport.sent;
    assert.deepEqual([denied.id, denied.result.isError, denied.result._meta['dev.hardtack/refusal'].cause], [2, true, 'not_granted']);
    assert.deepEqual(done, { jsonrpc: '2.0', id: 1, result: { content: [] } });
    assert.deepEqual(listed.result, { tools: [{ name: 'search' }], nextCursor: 'c' });
    assert.deepEqual(refused, ['not_granted']);
  });
}

test('what breaks off while it is decided is answered, is not passed on, and holds no place', async () => {
  const broken = { admit: async () => { throw new RangeError('broken'); } };
  const { transport, got, take } = await connected(Plain, broken);
  for (const turn of [1, 2]) {
    await take({ id: 7, method: 'tools/list' });
    assert.deepEqual([transport.sent.length, transport.errors.length, got.length], [turn, turn, 0]);
    assert.deepEqual([transport.sent.at(-1).id, transport.sent.at(-1).error.code], [7, -32603]);
  }
});

test('a message that cannot be taken apart ends nothing', async () => {
  const { transport, got } = await connected();
  transport.deliver(null, undefined);
  while (transport.errors.length === 0) await sleep(2);
  assert.deepEqual(got, []);
});

test('without a bearer, or with one of another server, nothing passes', async () => {
  const other = (await here.part.present(here.researcher, 'mail.mcp')).bearer;
  for (const bearer of [null, '', 'x', 7, other, here.part.toBase64()]) {
    const { transport, got, take } = await connected();
    for (const [at, method] of ['initialize', 'ping', 'tools/list', 'resources/templates/list', 'logging/setLevel', 'none/known'].entries()) {
      await take({ id: at, method, params: {} }, bearer);
      assert.ok(transport.sent.at(-1).error.message.startsWith('denied: '), method);
    }
    await take({ method: 'notifications/initialized' }, bearer);
    await take({ method: 'tools/call', params: { name: 'search', arguments: { limit: 1 } } }, bearer);
    await take({ id: 9, result: {} }, bearer);
    assert.deepEqual([got, transport.sent.length], [[], 6]);
  }
});

test('a request with the id of one that waits is no way to see a list', async () => {
  const { transport, got, take, answer } = await connected();
  await take({ id: 1, method: 'tools/list' });
  await take({ id: 1, method: 'ping' });
  assert.deepEqual([got.length, transport.errors.length, transport.sent.length], [1, 1, 0]);
  await answer(1, tools);
  assert.deepEqual(transport.sent[0].result.tools, [{ name: 'search' }]);
  // The id is free again.
  await take({ id: 1, method: 'ping' });
  assert.equal(got.length, 2);
});

test('an answer that nobody waits for is not sent, also after it was cancelled', async () => {
  const { transport, take, answer } = await connected();
  await answer(1, tools);
  await take({ id: 2, method: 'tools/list' });
  await take({ method: 'notifications/cancelled', params: { requestId: 2 } });
  await answer(2, tools);
  assert.deepEqual(transport.sent, []);
  await transport.send({ jsonrpc: '2.0', id: 3, method: 'sampling/createMessage', params: {} });
  await transport.send({ jsonrpc: '2.0', method: 'notifications/message', params: {} });
  assert.equal(transport.sent.length, 2);
});

test('a list that is none is empty, and one of which nothing can be said is not shown', async () => {
  const odd = await connected();
  await odd.take({ id: 1, method: 'prompts/list' });
  await odd.answer(1, { prompts: { length: 1, 0: { name: 'greet' } } });
  assert.deepEqual(odd.transport.sent[0].result, { prompts: [] });
  const store = Store.inMemory();
  const closing = await connected(Plain, new Guard([here.issuer.public], AUDIENCE, { store }));
  await closing.take({ id: 1, method: 'tools/list' });
  await store.close();
  await closing.answer(1, tools);
  assert.equal(closing.transport.sent[0].result, undefined);
  assert.match(closing.transport.sent[0].error.message, /^denied: /);
});

test('schemes of resources that a list names are judged from then on, and odd resources are left out', async () => {
  const reader = await agent.PrivateKey.generate();
  const grant = await agent.Capability.parse(here.issuer.mint({ subject: 'user:alice', scopes: 'resources:read', holder: reader.public }));
  const { bearer } = await grant.present(reader, AUDIENCE);
  const { transport, got, take, answer } = await connected(Plain, new Guard([here.issuer.public], AUDIENCE));
  const read = (id, uri) => take({ id, method: 'resources/read', params: { uri } }, bearer);
  await read(1, 'notion://pages/1');
  assert.equal(got.length, 0);
  await take({ id: 2, method: 'resources/list' }, bearer);
  await answer(2, { resources: [{ uri: 'notion://pages/1' }, { uri: 'notion://pages/%31' }, { uri: 'no uri' }, {}] });
  assert.deepEqual(transport.sent.at(-1).result.resources, [{ uri: 'notion://pages/1' }]);
  await read(3, 'notion://pages/1');
  assert.deepEqual(got.map(({ id }) => id), [2, 3]);
  await read(4, 'notion://pages/%31');
  assert.equal(got.length, 2);
});

test('tasks, and values that are not exact, are refused before the server sees them', async () => {
  const { got, refused, take } = await connected();
  const call = (id, args) => take({ id, method: 'tools/call', params: { name: 'search', arguments: args } });
  await take({ id: 1, method: 'tasks/get', params: { taskId: 't' } });
  await call(2, { limit: -0 });
  await call(3, { limit: 2 ** 60 });
  await call(4, JSON.parse('{"limit": 1, "__proto__": {"limit": 99}}'));
  await call(5, { limit: 1, query: here.bearer });
  assert.deepEqual([got, refused.length], [[], 5]);
  assert.equal(refused[0], 'strange_task');
});

test('a session belongs to the key that opened it', async () => {
  const other = await agent.PrivateKey.generate();
  const strange = await (await here.grant.delegate(here.orchestrator, { to: 'agent.researcher', scopes: ['tools:call:*'], reason: 'other', holder: other.public })).present(other, AUDIENCE);
  const { transport, got, refused, take } = await connected();
  transport.sessionId = 's';
  await take({ id: 1, method: 'ping' });
  await take({ id: 2, method: 'ping' }, strange.bearer);
  await take({ id: 3, method: 'tools/call', params: { name: 'search', arguments: { limit: 1 } } }, strange.bearer);
  await take({ id: 4, method: 'tools/call', params: { name: 'search', arguments: { limit: 1 } } }, (await here.present()).bearer);
  assert.deepEqual([got.map(({ id }) => id), refused], [[1, 4], ['strange_session', 'strange_session']]);
});

test('who hands a message on once more is not answered twice', async () => {
  const { transport, got, take } = await connected();
  const before = transport.onmessage;
  transport.onmessage = (message, extra) => {
    before(message, extra);
    got.push(message);
  };
  await take({ method: 'notifications/initialized' });
  await sleep(50);
  assert.equal(got.length, 1);
});
