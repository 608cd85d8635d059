// Mastra: `fetch` of a server. Mastra asks for OAuth metadata through the same fetch, which goes without a bearer.

import { readFileSync } from 'node:fs';
import { MCPClient } from '@mastra/mcp';
import { Capability, presentingFetch, PrivateKey } from '@hardtack/agent';

const capability = await Capability.parse(readFileSync(process.env.HARDTACK_CAPABILITY, 'utf8').trim());
const key = await PrivateKey.load(readFileSync(process.env.HARDTACK_KEY, 'utf8'));

const url = new URL(process.env.HARDTACK_URL);
const fetch = presentingFetch({ capability, key }, url, { audience: 'notion.mcp' });
const mcp = new MCPClient({ servers: { notion: { url, fetch } } });

const tools = await mcp.listTools();
console.log('tools:', Object.keys(tools).map((name) => name.replace('notion_', '')).join(' '));
async function call(name, args) {
  try {
    const result = await tools[`notion_${name}`].execute(args, {});
    console.log(`${name}:`, result.isError ? 'refused:' : 'allowed:', result.content?.[0].text ?? JSON.stringify(result));
  } catch (error) {
    console.log(`${name}:`, 'refused:', error.message);
  }
}
await call('search', { query: 'roadmap' });
// Listed, and refused for its argument.
await call('read_page', { id: 'salaries' });
await call('search', { query: 'again' });
await mcp.disconnect();
