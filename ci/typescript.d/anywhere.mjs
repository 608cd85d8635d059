// What must hold on every runtime: keys, a hop and a presentation byte for byte as in the vectors, digests, and a fetch.
// Nothing of Node's is used. `data` is what data.mjs takes out of the test vectors.

import { Call, Capability, HardtackError, presentingFetch, PrivateKey } from '@hardtack/agent';

const held = [];
function hold(name, is) {
  if (!is) throw new Error(`does not hold: ${name}`);
  held.push(name);
}

export async function anywhere(data) {
  const orchestrator = await PrivateKey.load(data.orchestrator);
  const researcher = await PrivateKey.load(data.researcher, { extractable: true });
  hold('a public key is that of its seed', String(orchestrator.public) === data.orchestratorPublic);
  hold('a key that may leave does', (await researcher.toText()) === data.researcher);
  const next = await PrivateKey.load(data.next[0], { extractable: true });
  const grant = await Capability.parse(data.grant);
  const hop = await grant.delegate(orchestrator, { ...data.delegation, holder: researcher.public }, { next });
  hold('a hop has the bytes of the vectors', hop.toBase64() === data.hop);
  const last = await PrivateKey.load(data.next[1], { extractable: true });
  const presented = await hop.present(researcher, 'notion.mcp', data.presenting, { next: last });
  hold('a presentation has the bytes of the vectors', presented.bearer === data.bearer);
  hold('what is presented is read', (await Capability.parse(presented.bearer)).inspect().presentation.kind === 'session');

  const made = await PrivateKey.generate();
  const { now } = data.presenting;
  const sub = await hop.delegate(researcher, { to: 'agent.sub', scopes: ['tools:call:search'], reason: 'für Zoë', holder: made.public, allow: ['query length <= 80'], ttl: 60, now });
  hold('a key that never leaves signs', (await sub.present(made, 'notion.mcp', { now })).bearer.length > 1000);
  hold('a constraint is shown as it was written', sub.inspect().hops[1].constraints[0] === 'query length <= 80');
  try {
    await sub.delegate(made, { to: 'agent.x', scopes: ['*'], reason: 'more', holder: made.public, now });
    hold('what is wider is refused', false);
  } catch (error) {
    hold('what is wider is refused', error instanceof HardtackError && error.code === 'beyond_scope');
  }
  // In the middle of the hop's block signature.
  const at = data.hop.length - 230;
  const damaged = data.hop.slice(0, at) + (data.hop[at] === 'A' ? 'B' : 'A') + data.hop.slice(at + 1);
  const refusal = await Capability.parse(damaged).then((token) => token.present(researcher, 'notion.mcp', { now })).then(() => '', (error) => error.code);
  hold(`what was changed is refused: ${refusal}`, refusal === 'signature');
  for (const [bearer, damaged] of data.signatures) {
    const found = (await (await Capability.parse(bearer)).firstDamagedBlock()) ?? null;
    hold(`signatures of ${bearer.slice(-30)}: ${damaged} expected, ${found} found`, found === damaged);
  }
  for (const [call, digest, largeIntegers] of data.digests) {
    const found = Array.from(await Call.parse(call, { largeIntegers }).digest(), (byte) => byte.toString(16).padStart(2, '0')).join('');
    hold(`the digest of ${call.slice(0, 60)}`, found === digest);
  }

  let sent;
  const fetch = presentingFetch({ capability: sub, key: made }, 'https://mcp.example/mcp', {
    audience: 'notion.mcp',
    clock: () => now,
    fetch: async (url, init) => {
      sent = { url, authorization: init.headers.get('authorization'), body: new TextDecoder().decode(init.body), redirect: init.redirect };
      return new Response(`data: ${sent.authorization}\n\n`, { headers: { 'www-authenticate': 'x' } });
    },
  });
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'search', arguments: { query: 'ä' } } });
  const answer = await fetch(new Request('https://mcp.example/mcp', { method: 'POST', body }));
  const text = await answer.text();
  hold('a request object is presented, with the body that it has', sent.body === body && sent.redirect === 'manual');
  hold('a bearer that is repeated is withheld', text.includes('BEARER-WITHHELD-BY-HARDTACK') && !text.includes(sent.authorization.slice(-200, -100)));
  hold('a challenge does not pass', answer.headers.get('www-authenticate') === null);
  return held.length;
}
