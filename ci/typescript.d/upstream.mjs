// A tool server of the MCP TypeScript SDK 1 behind the gateway. Prints its port. It never sees a bearer of an agent.

import { createServer } from 'node:http';
import { randomUUID } from 'node:crypto';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const sessions = new Map();
const text = (text) => ({ content: [{ type: 'text', text }] });

function made() {
  const server = new McpServer({ name: 'notion', version: '1' });
  server.registerTool('search', { description: 'Finds pages', inputSchema: { query: z.string() } }, ({ query }) => text(`found ${query}`));
  server.registerTool('read_page', { description: 'Reads a page', inputSchema: { id: z.string() } }, ({ id }) => text(`the page ${id}`));
  server.registerTool('delete_page', { description: 'Deletes a page', inputSchema: { id: z.string() } }, ({ id }) => text(`deleted ${id}`));
  return server;
}

const server = createServer(async (request, response) => {
  if (request.headers.authorization) process.exit(3);
  let transport = sessions.get(request.headers['mcp-session-id']);
  if (!transport) {
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (id) => void sessions.set(id, transport),
    });
    await made().connect(transport);
  }
  await transport.handleRequest(request, response);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
