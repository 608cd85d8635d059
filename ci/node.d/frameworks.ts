// Compiled with the frameworks' own types: the adapters fit where the frameworks take them.

import express from 'express';
import { Hono } from 'hono';
import { McpServer as First } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { createMcpHandler, McpServer as Second } from '@modelcontextprotocol/server';
import { NodeStreamableHTTPServerTransport } from '@modelcontextprotocol/node';
import { Call, Guard } from '@hardtack/server';
import { guarded, permitOf, textOf } from '@hardtack/server/express';
import * as fetching from '@hardtack/server/fetch';
import { guardServer, handleFetch, handleNode } from '@hardtack/server/mcp';

export async function used(guard: Guard): Promise<unknown> {
  const app = express();
  app.post('/tools/:name', guarded(guard, async (request: express.Request) => Call.tool(String(request.params['name']), await textOf(request))), (request, response) => {
    response.json({ agent: permitOf(request).agent });
  });
  const routes = new Hono();
  routes.post('/tools/:name', fetching.hono(guard, async (c) => Call.tool('search', await fetching.textOf(c.req.raw))), (c) => c.json({ agent: fetching.permitOf(c.req.raw).agent }));
  const server: First = guardServer(guard, new First({ name: 'a', version: '1' }));
  const transport = new StreamableHTTPServerTransport({});
  await server.connect(transport);
  app.all('/mcp', (request, response) => handleNode(guard, transport, request, response, request.body));
  const second = new NodeStreamableHTTPServerTransport({});
  await guardServer(guard, new Second({ name: 'a', version: '1' })).connect(second);
  app.all('/two', (request, response) => handleNode(guard, second, request, response));
  const handler = createMcpHandler(() => guardServer(guard, new Second({ name: 'a', version: '1' })));
  return (request: Request): Promise<Response> => handleFetch(guard, handler, request);
}
