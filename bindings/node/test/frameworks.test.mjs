// Guards in real servers: Express, Hono, and servers of the MCP SDK, 1.x and 2.x, with its clients.
// HARDTACK_NODE_PACKAGES names a folder with these (ci/node makes one).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { Call, Guard, Message, Store } from '../dist/index.js';
import * as express from '../dist/express.js';
import * as fetching from '../dist/fetch.js';
import { guardServer, handleFetch, handleNode } from '../dist/mcp.js';
import { agent, AUDIENCE, scene } from './support.mjs';

const packages = process.env.HARDTACK_NODE_PACKAGES;
const needs = { skip: packages === undefined && 'HARDTACK_NODE_PACKAGES is not set', timeout: 60_000 };
const require = createRequire(join(packages ?? '/', 'node_modules/none.js'));

const here = await scene();
const store = Store.inMemory();
const guard = new Guard([here.issuer.public], AUDIENCE, { store });
const authorized = { Authorization: `Bearer ${here.bearer}` };

async function listening(listener, work) {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    return await work(`http://127.0.0.1:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

async function routes(url) {
  const post = (name, body, headers = authorized) => fetch(`${url}/tools/${name}`, { method: 'POST', body, headers: { 'Content-Type': 'application/json', ...headers } });
  const allowed = await post('search', '{"limit": 3}');
  assert.deepEqual([allowed.status, await allowed.json()], [200, { agent: 'agent.researcher', given: { limit: 3 } }]);
  for (const [name, body, status] of [['search', '{"limit": 30}', 403], ['delete_page', '{}', 403], ['search', '{"limit": 3} x', 400], ['search', '[]', 400]]) {
    assert.equal((await post(name, body)).status, status, body);
  }
  assert.equal((await post('search', '{"limit": 3}', {})).status, 401);
  assert.equal((await post('search', '{"limit": 3}', { Authorization: `Bearer ${here.bearer}, Bearer a` })).status, 400);
}

test('routes of Express are reached with a permit, with a body that was parsed and without', needs, async () => {
  for (const parse of [false, true]) {
    const app = require('express')();
    if (parse) app.use(require('express').json());
    app.post('/tools/:name', express.guarded(guard, async (request) => Call.tool(request.params.name, await express.textOf(request))), (request, response) => {
      response.json({ agent: express.permitOf(request).agent, given: express.callOf(request).arguments });
    });
    await listening(app, routes);
  }
});

test('routes of Hono are reached with a permit', needs, async () => {
  const app = new (require('hono').Hono)();
  const guarded = fetching.hono(guard, async (c) => Call.tool(c.req.param('name'), await fetching.textOf(c.req.raw)));
  app.post('/tools/:name', guarded, async (c) => {
    assert.deepEqual(await c.req.json(), { limit: 3 });
    return c.json({ agent: fetching.permitOf(c.req.raw).agent, given: fetching.callOf(c.req.raw).arguments });
  });
  await listening(require('@hono/node-server').getRequestListener(app.fetch), routes);
});

/** A server with tools, a prompt and resources, of either SDK. */
function toolsOf(McpServer, ResourceTemplate, done, guarding = (server) => guardServer(guard, server)) {
  const z = require('zod');
  const server = guarding(new McpServer({ name: 'notion', version: '1.0.0' }));
  const tool = (name, inputSchema, does) => server.registerTool(name, { description: name, inputSchema }, async (args) => {
    done.push(`${name} ${JSON.stringify(args)}`);
    return { content: [{ type: 'text', text: does(args) }] };
  });
  const shape = (members) => (McpServer === require('@modelcontextprotocol/server').McpServer ? z.object(members) : members);
  tool('search', shape({ query: z.string(), limit: z.number().default(3) }), ({ query }) => `found ${query}`);
  tool('delete_page', shape({ id: z.string() }), ({ id }) => `deleted ${id}`);
  server.registerPrompt('greet', { argsSchema: shape({ name: z.string() }) }, ({ name }) => ({ messages: [{ role: 'user', content: { type: 'text', text: `Hello ${name}` } }] }));
  server.registerResource('page', new ResourceTemplate('notion://pages/{id}', { list: undefined }), {}, (uri, { id }) => {
    done.push(`read ${id}`);
    return { contents: [{ uri: uri.href, text: `the page ${id}` }] };
  });
  return server;
}

const first = () => ({ ...require('@modelcontextprotocol/sdk/server/mcp.js'), Transport: require('@modelcontextprotocol/sdk/server/streamableHttp.js').StreamableHTTPServerTransport });
const second = () => ({ ...require('@modelcontextprotocol/server'), Transport: require('@modelcontextprotocol/node').NodeStreamableHTTPServerTransport });

/** A listener that keeps sessions, as the examples of the SDK do. */
function sessions({ McpServer, ResourceTemplate, Transport }, done, parse) {
  const open = new Map();
  return async (request, response) => {
    let transport = open.get(request.headers['mcp-session-id']);
    if (transport === undefined) {
      transport = new Transport({ sessionIdGenerator: () => randomUUID(), onsessioninitialized: (id) => open.set(id, transport), enableJsonResponse: parse });
      await toolsOf(McpServer, ResourceTemplate, done).connect(transport);
    }
    let body;
    if (parse && request.method === 'POST') {
      let text = '';
      for await (const chunk of request) text += chunk;
      body = JSON.parse(text);
    }
    await handleNode(guard, transport, request, response, body);
  };
}

/** What a client of each SDK sees. */
async function visit(Client, ClientTransport, url, presenting) {
  const client = new Client({ name: 'a', version: '1' });
  await client.connect(new ClientTransport(new URL(`${url}/mcp`), { fetch: presenting(`${url}/mcp`) }));
  assert.deepEqual((await client.listTools()).tools.map(({ name }) => name), ['search']);
  assert.deepEqual((await client.listPrompts()).prompts, []);
  assert.deepEqual((await client.listResourceTemplates()).resourceTemplates, []);
  const call = async (name, args) => client.callTool({ name, arguments: args });
  const found = await call('search', { query: 'roadmap', limit: 3 });
  assert.deepEqual([found.isError ?? false, found.content[0].text], [false, 'found roadmap']);
  const refused = await call('delete_page', { id: 'roadmap' });
  assert.equal(refused.isError, true);
  assert.match(refused.content[0].text, /^denied: the token does not grant tools:call:delete_page/);
  const beyond = await call('search', { query: 'roadmap', limit: 11 });
  assert.match(beyond.content[0].text, /whoever delegated/);
  await assert.rejects(() => client.getPrompt({ name: 'greet', arguments: { name: 'Bob' } }), /denied/);
  await assert.rejects(() => client.readResource({ uri: 'notion://pages/1' }), /denied/);
  assert.equal((await call('search', { query: 'again', limit: 1 })).content[0].text, 'found again');
  await client.close();
}

const clientOf = (version) => version === 1
  ? [require('@modelcontextprotocol/sdk/client/index.js').Client, require('@modelcontextprotocol/sdk/client/streamableHttp.js').StreamableHTTPClientTransport]
  : [require('@modelcontextprotocol/client').Client, require('@modelcontextprotocol/client').StreamableHTTPClientTransport];
const bound = (url) => agent.presentingFetch({ capability: here.part, key: here.researcher }, url, { audience: AUDIENCE });
const bySession = (url) => agent.presentingFetch({ capability: here.part, key: here.researcher }, url, { audience: AUDIENCE, callBound: false });

for (const [name, sdk] of [['1.x', first], ['2.x', second]]) {
  for (const parse of [false, true]) {
    test(`a server of the SDK ${name} shows and does what is granted and no more, ${parse ? 'parsed before, in JSON' : 'as a stream'}`, needs, async () => {
      const done = [];
      await listening(sessions(sdk(), done, parse), async (url) => {
        for (const version of [1, 2]) await visit(...clientOf(version), url, parse ? bySession : bound);
      });
      const once = ['search {"query":"roadmap","limit":3}', 'search {"query":"again","limit":1}'];
      assert.deepEqual(done, [...once, ...once]);
    });
  }

  test(`a session of the SDK ${name} belongs to its key, and a stolen bearer does no other call`, needs, async () => {
    const done = [];
    const other = await agent.PrivateKey.generate();
    // The same name for the same subject, and another key.
    const strange = await (await here.grant.delegate(here.orchestrator, { to: 'agent.researcher', scopes: ['tools:call:search'], reason: 'other', holder: other.public })).present(other, AUDIENCE);
    await listening(sessions(sdk(), done, true), async (url) => {
      const send = (bearer, body, more = {}) => fetch(`${url}/mcp`, {
        method: body === undefined ? 'GET' : 'POST', body: typeof body === 'string' ? body : JSON.stringify(body),
        headers: { ...(bearer ? { Authorization: `Bearer ${bearer}` } : {}), Accept: body === undefined ? 'text/event-stream' : 'application/json, text/event-stream', 'Content-Type': 'application/json', ...more },
      });
      const about = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'a', version: '1' } };
      const opening = { jsonrpc: '2.0', id: 1, method: 'initialize', params: about };
      assert.equal((await send(undefined, opening)).status, 401);
      assert.equal((await send(here.part.toBase64(), opening)).status, 401);
      const opened = await send(here.bearer, opening);
      assert.equal(opened.status, 200);
      const session = { 'Mcp-Session-Id': opened.headers.get('mcp-session-id'), 'MCP-Protocol-Version': '2025-06-18' };
      await send(here.bearer, { jsonrpc: '2.0', method: 'notifications/initialized' }, session);
      const listing = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
      assert.match(await (await send(here.bearer, listing, session)).text(), /search/);
      for (const stolen of [listing, undefined]) {
        const answer = await send(strange.bearer, stolen, session);
        assert.equal(answer.status, 404);
        assert.doesNotMatch(await answer.text(), /search/);
      }
      assert.match(await (await send((await here.present()).bearer, { ...listing, id: 3 }, session)).text(), /search/);
      let id = 10;
      const called = (params, method = 'tools/call') => ({ jsonrpc: '2.0', id: (id += 1), method, params });
      const odd = [
        called({ taskId: 't' }, 'tasks/get'), called({}, 'tools/delete'), called({ name: 'search', arguments: [] }), called({ name: 'search', arguments: { query: 'a', limit: 2 ** 53 } }),
        called({ name: 'delete_page', arguments: { id: 'a' } }), called({ name: 'search', arguments: { query: here.bearer, limit: 1 } }),
        JSON.stringify(called({ name: 'search', arguments: { query: 'a', limit: 3 } })).replace('"limit":3', '"limit":3,"limit":30'),
        JSON.stringify(called({ name: 'search', arguments: { query: 'a', limit: 3 } })).replace('"limit":3', '"limit":3,"__proto__":{"limit":30}'),
      ];
      for (const body of odd) {
        const answer = await (await send(here.bearer, body, session)).json();
        assert.ok(answer.error !== undefined || answer.result.isError, JSON.stringify(answer));
      }
      // A batch is judged message by message; where the SDK takes none, nothing is done.
      await send(here.bearer, [called({ name: 'delete_page', arguments: { id: 'b' } }), called({ name: 'delete_page', arguments: { id: 'c' } })], session);
      // A notification is no way around it.
      await send(here.bearer, { jsonrpc: '2.0', method: 'tools/call', params: { name: 'delete_page', arguments: { id: 'd' } } }, session);
      assert.deepEqual(done, []);
      // Stolen on its way and sent with more than was signed.
      const body = called({ name: 'search', arguments: { query: 'a', limit: 1 } });
      const once = (await here.present(agent.Call.tool('search', { query: 'a', limit: 1 }))).bearer;
      const more = { ...body, id: 90, params: { ...body.params, _meta: { 'example/act': 'as another' } } };
      assert.match(await (await send(once, more, session)).text(), /bound to another call/);
      assert.match(await (await send(once, body, session)).text(), /found a/);
      assert.doesNotMatch(await (await send(once, { ...body, id: 91 }, session)).text(), /found a/);
      assert.equal(Message.read(JSON.stringify(more)).calls().length, 1);
    });
    assert.deepEqual(done, ['search {"query":"a","limit":1}']);
  });
}

test('a handler of the SDK 2.x, for requests of fetch, lets in and decides, subscriptions too', needs, async () => {
  const done = [];
  const { createMcpHandler, McpServer, ResourceTemplate } = require('@modelcontextprotocol/server');
  const handler = createMcpHandler(() => toolsOf(McpServer, ResourceTemplate, done));
  const listener = require('@hono/node-server').getRequestListener((request) => handleFetch(guard, handler, request));
  await listening(listener, async (url) => {
    assert.equal((await fetch(`${url}/mcp`, { method: 'POST', body: '{}' })).status, 401);
    for (const version of [1, 2]) await visit(...clientOf(version), url, bound);
    const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientInfo': { name: 'a', version: '1' }, 'io.modelcontextprotocol/clientCapabilities': {} };
    const body = { jsonrpc: '2.0', id: 5, method: 'subscriptions/listen', params: { _meta: meta, notifications: { resourceSubscriptions: ['https://a.example/b'] } } };
    const headers = { ...authorized, 'Content-Type': 'application/json', Accept: 'application/json, text/event-stream', 'MCP-Protocol-Version': '2026-07-28', 'Mcp-Method': 'subscriptions/listen' };
    const answer = await (await fetch(`${url}/mcp`, { method: 'POST', body: JSON.stringify(body), headers })).json();
    assert.match(answer.error.message, /denied: the token does not grant resources:subscribe/);
  });
  assert.equal(done.length, 4);
});

test('a server is guarded once, before it is connected', needs, async () => {
  const { McpServer } = first();
  const server = guardServer(guard, new McpServer({ name: 'a', version: '1' }));
  assert.throws(() => guardServer(guard, server), TypeError);
  assert.throws(() => guardServer(guard, {}), TypeError);
  const { InMemoryTransport } = require('@modelcontextprotocol/sdk/inMemory.js');
  const late = new McpServer({ name: 'a', version: '1' });
  const [one] = InMemoryTransport.createLinkedPair();
  await late.connect(one);
  assert.throws(() => guardServer(guard, late), TypeError);
});
