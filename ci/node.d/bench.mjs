// What the way from Node costs: a warm check beside the same in a loop of the library's, in one process. The addon needs the feature `measure`.
//   node ci/node.d/bench.mjs [TURNS]

import { createRequire } from 'node:module';
import { Call, Guard, Issuer, PrivateKey, Store } from '../../bindings/node/dist/index.js';
import * as agent from '../../bindings/typescript/dist/index.js';

const addon = createRequire(import.meta.url)('../../bindings/node/hardtack.node');
if (addon.nanosecondsOfCheck === undefined) throw new Error('build the addon with --features measure');
const turns = Number(process.argv[2] ?? 15);
const times = 2000;

const root = PrivateKey.generate();
const [orchestrator, researcher] = [await agent.PrivateKey.generate(), await agent.PrivateKey.generate()];
const grant = await agent.Capability.parse(new Issuer(root).mint({ subject: 'user:alice', scopes: 'tools:call:*', holder: orchestrator.public }));
const part = await grant.delegate(orchestrator, { to: 'agent.researcher', scopes: ['tools:call:search'], reason: 'find', holder: researcher.public });
const { bearer } = await part.present(researcher, 'notion.mcp');
const call = Call.tool('search', { query: 'roadmap', limit: 3 });

const spread = (found) => {
  const sorted = found.sort((one, other) => one - other);
  return [sorted[0], sorted[sorted.length >> 1]].map((value) => value.toFixed(1)).join(' / ');
};
async function each(work, many = times) {
  const began = process.hrtime.bigint();
  for (let at = 0; at < many; at++) await work(at);
  return Number(process.hrtime.bigint() - began) / many / 1000;
}
async function eachSync(work) {
  const began = process.hrtime.bigint();
  for (let at = 0; at < times; at++) work();
  return Number(process.hrtime.bigint() - began) / times / 1000;
}

// The library's own guard, of the same settings.
const nativeCall = addon.Call.of('tools:call:search', undefined, '{"query":"roadmap","limit":3}', undefined, false);
const native = (store) => addon.Guard.of('notion.mcp', JSON.stringify({ roots: [{ key: root.public.toString() }] }), store);

for (const [name, options, store] of [['without a store', {}], ['with a store in memory', { store: Store.inMemory() }, addon.Store.inMemory()]]) {
  const guard = new Guard([root.public], 'notion.mcp', options);
  const library = native(store);
  const found = { library: [], sync: [], awaited: [], together: [] };
  for (let turn = 0; turn < turns; turn++) {
    found.library.push(addon.nanosecondsOfCheck(library, bearer, nativeCall, times) / 1000);
    found.sync.push(await eachSync(() => guard.checkSync(bearer, call)));
    found.awaited.push(await each(() => guard.check(bearer, call)));
    // As a server has them: many requests wait at once.
    found.together.push(await each(() => Promise.all(Array.from({ length: 50 }, () => guard.check(bearer, call))), times / 50) / 50);
  }
  const ratios = (kind) => spread(found[kind].map((value, at) => value / found.library[at]));
  const [sync, awaited, together] = ['sync', 'awaited', 'together'].map(ratios);
  console.log(`${name}, microseconds, least / median: library ${spread(found.library)}, checkSync ${spread(found.sync)} (${sync} times), check ${spread(found.awaited)} (${awaited} times), 50 at once ${spread(found.together)} (${together} times)`);
}
const guard = new Guard([root.public], 'notion.mcp');
const cold = [];
for (let turn = 0; turn < 100; turn++) {
  const fresh = (await part.present(researcher, 'notion.mcp')).bearer;
  cold.push(await each(() => guard.check(fresh, call), 1));
}
console.log(`a bearer that was never seen, awaited: ${spread(cold)}`);
