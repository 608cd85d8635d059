// The Vercel AI SDK's MCP client: `fetch` of the transport. What tools() returns goes into generateText as it is.

import { readFileSync } from 'node:fs';
import { createMCPClient } from '@ai-sdk/mcp';
import { Capability, presentingFetch, PrivateKey } from '@hardtack/agent';

const capability = await Capability.parse(readFileSync(process.env.HARDTACK_CAPABILITY, 'utf8').trim());
const key = await PrivateKey.load(readFileSync(process.env.HARDTACK_KEY, 'utf8'));

const url = process.env.HARDTACK_URL;
const fetch = presentingFetch({ capability, key }, url, { audience: 'notion.mcp' });
const notion = await createMCPClient({ transport: { type: 'http', url, fetch } });

const tools = await notion.tools();
console.log('tools:', Object.keys(tools).join(' '));
const options = { toolCallId: '1', messages: [] };
const allowed = await tools.search.execute({ query: 'roadmap' }, options);
console.log('search:', allowed.isError ? 'refused:' : 'allowed:', allowed.content[0].text);
const refused = await notion.callTool({ name: 'delete_page', arguments: { id: 'roadmap' } });
console.log('delete_page:', refused.isError ? 'refused:' : 'allowed:', refused.content[0].text);
const again = await tools.search.execute({ query: 'again' }, options);
console.log('search:', again.isError ? 'refused:' : 'allowed:', again.content[0].text);
await notion.close();
