// How long the holder's work takes, in microseconds: least and median of many. Run after a build: node ci/typescript.d/bench.mjs

import { Call, Capability, PrivateKey, presentingFetch } from '../../bindings/typescript/dist/index.js';
import { execFileSync } from 'node:child_process';

const source = execFileSync(process.execPath, [new URL('data.mjs', import.meta.url).pathname], { encoding: 'utf8' });
const { data } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const [orchestrator, researcher] = await Promise.all([data.orchestrator, data.researcher].map((text) => PrivateKey.load(text)));
const { now } = data.presenting;
const call = Call.tool('search', { query: 'roadmap', limit: 10 });
const [grant, hop] = await Promise.all([data.grant, data.hop].map((text) => Capability.parse(text)));
const delegation = { ...data.delegation, holder: researcher.public, allow: ['limit <= 10'] };
const fetch = presentingFetch({ capability: hop, key: researcher }, 'https://a.example/mcp', {
  audience: 'notion.mcp', clock: () => now, fetch: async () => new Response('{}'),
});
const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search', arguments: { query: 'roadmap' } } });
const works = {
  'read a grant and a hop': () => Capability.parse(data.hop),
  'read, verify and present': async () => (await Capability.parse(data.hop)).present(researcher, 'notion.mcp', { now }),
  delegate: () => grant.delegate(orchestrator, delegation),
  'present for a session': () => hop.present(researcher, 'notion.mcp', { now }),
  'present for a call': () => hop.present(researcher, 'notion.mcp', { call, now }),
  'fetch, a call bound': () => fetch('https://a.example/mcp', { method: 'POST', body }),
};
for (const [name, work] of Object.entries(works)) {
  const times = [];
  for (let turn = 0; turn < 600; turn++) {
    const start = performance.now();
    await work();
    if (turn >= 100) times.push((performance.now() - start) * 1000);
  }
  times.sort((a, b) => a - b);
  console.log(`${name}: ${times[0].toFixed(0)} / ${times[250].toFixed(0)}`);
}
