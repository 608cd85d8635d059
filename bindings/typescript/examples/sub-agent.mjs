// An orchestrator starts a sub-agent at run time: it delegates offline, with a reason and a limit of an argument, and the
// sub-agent cannot get more, whatever it asks for.

import { readFileSync } from 'node:fs';
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { Capability, HardtackError, presentingFetch, PrivateKey } from '@hardtack/agent';

const own = await Capability.parse(readFileSync(process.env.HARDTACK_CAPABILITY, 'utf8').trim());
const key = await PrivateKey.load(readFileSync(process.env.HARDTACK_KEY, 'utf8'));

// The orchestrator. The sub-agent's key is made where it runs; only its public half is needed here.
const subKey = await PrivateKey.generate();
const handed = await own.delegate(key, {
  to: 'agent.reader',
  scopes: ['tools:call:read_page'],
  reason: 'summarise the roadmap',
  holder: subKey.public,
  allow: ['id in ["roadmap", "changes"]', 'no other arguments'],
  ttl: 300,
});
console.log('delegated:', handed.inspect().hops.at(-1).constraints.join('; '));

// The sub-agent has a token and a key that cannot leave WebCrypto.
const capability = await Capability.parse(handed.toBase64());
const url = process.env.HARDTACK_URL;
const fetch = presentingFetch({ capability, key: subKey }, url, { audience: 'notion.mcp' });
const client = new Client({ name: 'reader', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { fetch }));
for (const call of [
  { name: 'read_page', arguments: { id: 'roadmap' } },
  { name: 'read_page', arguments: { id: 'salaries' } },
  { name: 'search', arguments: { query: 'salaries' } },
  { name: 'read_page', arguments: { id: 'changes' } },
]) {
  const result = await client.callTool(call);
  console.log(`${call.name} ${Object.values(call.arguments)}:`, result.isError ? 'refused:' : 'allowed:', result.content[0].text);
}
await client.close();

// It can pass on less, and never more.
try {
  await capability.delegate(subKey, { to: 'agent.friend', scopes: ['tools:call:search'], reason: 'more', holder: subKey.public });
} catch (error) {
  if (!(error instanceof HardtackError)) throw error;
  console.log(`${error.code}:`, error.message);
}
