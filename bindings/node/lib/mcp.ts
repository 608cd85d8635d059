/**
 * A guard in a server of the official TypeScript SDK of MCP, 1.x and 2.x: who has no valid bearer is not let in, lists show what may be used,
 * calls are decided, and a session belongs to the key that opened it.
 *
 * ```js
 * const server = guardServer(guard, new McpServer({ name: 'notion', version: '1.0.0' }));
 * await server.connect(transport);
 * app.all('/mcp', (request, response) => handleNode(guard, transport, request, response, request.body));
 * ```
 */

export type { AdapterOptions } from './http.js';
export { handleFetch, handleNode, type FetchHandler, type McpRequest, type McpTransport } from './mcp-http.js';
export { guardServer } from './mcp-server.js';
