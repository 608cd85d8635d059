// A server of the MCP SDK with a guard, and a client of the SDK: lists are filtered, one call is done, one is refused, the session goes on.
// npm install @modelcontextprotocol/sdk express zod

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import express from 'express';
import { z } from 'zod';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { Guard, Issuer, PrivateKey, Store } from '@hardtack/server';
import { guardServer, handleNode } from '@hardtack/server/mcp';
import * as agent from '@hardtack/agent';

const root = PrivateKey.generate();
const key = await agent.PrivateKey.generate();
const granted = new Issuer(root).mint({ subject: 'user:alice', scopes: 'tools:call:search', holder: key.public, allow: 'limit <= 10' });

// The server. A transport for each session, and a guard in front of all.
const guard = new Guard([root.public], 'notion.mcp', { store: Store.inMemory() });
const sessions = new Map();

async function open() {
  const server = guardServer(guard, new McpServer({ name: 'notion', version: '1.0.0' }));
  const text = (said) => ({ content: [{ type: 'text', text: said }] });
  server.registerTool('search', { inputSchema: { query: z.string(), limit: z.number() } }, async ({ query }) => text(`found ${query}`));
  server.registerTool('delete_page', { inputSchema: { id: z.string() } }, async ({ id }) => text(`deleted ${id}`));
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: () => randomUUID(),
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await server.connect(transport);
  return transport;
}

const app = express();
app.use(express.json());
app.all('/mcp', async (request, response) => {
  const transport = sessions.get(request.headers['mcp-session-id']) ?? await open();
  await handleNode(guard, transport, request, response, request.body);
});
const listener = app.listen(0, '127.0.0.1');
await once(listener, 'listening');

// The client, with a presentation for each call.
const url = new URL(`http://127.0.0.1:${listener.address().port}/mcp`);
const fetch = agent.presentingFetch({ capability: await agent.Capability.parse(granted), key }, url, { audience: 'notion.mcp' });
const client = new Client({ name: 'researcher', version: '1.0.0' });
await client.connect(new StreamableHTTPClientTransport(url, { fetch }));
console.log('tools:', (await client.listTools()).tools.map(({ name }) => name).join(', '));
for (const [name, args] of [['search', { query: 'roadmap', limit: 3 }], ['delete_page', { id: 'roadmap' }], ['search', { query: 'again', limit: 1 }]]) {
  const result = await client.callTool({ name, arguments: args });
  console.log(result.isError ? 'refused:' : 'done:', result.content[0].text);
}
await client.close();
listener.closeAllConnections();
listener.close();
