// A tool server on Node's own HTTP, and a researcher that calls it: one call is done, one is refused, and the next one is done again.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { Call, Guard, Issuer, PrivateKey, Store } from '@hardtack/server';
import { callOf, guarded, permitOf, textOf } from '@hardtack/server/express';
import * as agent from '@hardtack/agent';

// A person's issuer grants to the orchestrator, once, and the orchestrator passes on a part.
const root = PrivateKey.generate();
const [orchestrator, researcher] = [await agent.PrivateKey.generate(), await agent.PrivateKey.generate()];
const grant = await agent.Capability.parse(new Issuer(root).mint({ subject: 'user:alice', scopes: 'tools:call:*', holder: orchestrator.public }));
const part = await grant.delegate(orchestrator, {
  to: 'agent.researcher', scopes: ['tools:call:search'], reason: 'find the roadmap page', holder: researcher.public, allow: ['limit <= 10'],
});

// The server: it knows the root's public key, and records what it decides.
const store = Store.inMemory(); // or await Store.openOrCreate('hardtack.store')
const guard = new Guard([root.public], 'notion.mcp', { store });
const tools = { search: ({ query, limit }) => `${limit} pages about ${query}`, delete_page: ({ id }) => `deleted ${id}` };
const nameOf = (request) => request.url.split('/').at(-1);
const middleware = guarded(guard, async (request) => Call.tool(nameOf(request), await textOf(request)));
const server = createServer((request, response) => middleware(request, response, (error) => {
  if (error) {
    response.statusCode = 500;
    return response.end();
  }
  return response.end(`${permitOf(request).agent}: ${tools[nameOf(request)](callOf(request).arguments)}`);
}));
server.listen(0, '127.0.0.1');
await once(server, 'listening');

// The researcher: a presentation for each call.
async function call(name, args) {
  const { bearer } = await part.present(researcher, 'notion.mcp', { call: agent.Call.tool(name, args), evenUncovered: true });
  const url = `http://127.0.0.1:${server.address().port}/tools/${name}`;
  const answer = await fetch(url, { method: 'POST', body: JSON.stringify(args), headers: { Authorization: `Bearer ${bearer}` } });
  console.log(answer.status, answer.ok ? await answer.text() : (await answer.json()).error_description);
}
await call('search', { query: 'roadmap', limit: 3 });
await call('search', { query: 'roadmap', limit: 50 });
await call('delete_page', { id: 'roadmap' });
await call('search', { query: 'again', limit: 1 });
console.log((await store.records()).map(({ decision, operation }) => `${decision} ${operation}`).join(', '));
server.close();
await store.close();
