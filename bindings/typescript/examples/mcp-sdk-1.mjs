// The MCP TypeScript SDK 1: each call goes with a presentation of its own, valid once, for these arguments alone.

import { readFileSync } from 'node:fs';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { Capability, presentingFetch, PrivateKey } from '@hardtack/agent';

const capability = await Capability.parse(readFileSync(process.env.HARDTACK_CAPABILITY, 'utf8').trim());
const key = await PrivateKey.load(readFileSync(process.env.HARDTACK_KEY, 'utf8'));

const url = process.env.HARDTACK_URL;
const fetch = presentingFetch({ capability, key }, url, { audience: 'notion.mcp' });
const client = new Client({ name: 'researcher', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }));

console.log('tools:', (await client.listTools()).tools.map((tool) => tool.name).join(' '));
for (const call of [
  { name: 'search', arguments: { query: 'roadmap' } },
  { name: 'delete_page', arguments: { id: 'roadmap' } },
  { name: 'search', arguments: { query: 'again' } },
]) {
  const result = await client.callTool(call);
  console.log(`${call.name}:`, result.isError ? 'refused:' : 'allowed:', result.content[0].text);
}
await client.close();
