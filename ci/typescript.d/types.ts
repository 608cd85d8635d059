// Compiled against the packed package: its types are complete without Node's, and say what may be left out.

import {
  Call, Capability, HardtackError, Presenter, presentingFetch, PrivateKey, PublicKey, type Code, type Delegation, type Fetch, type Hop,
} from '@hardtack/agent';

export async function used(token: string, stored: CryptoKeyPair): Promise<Fetch> {
  const key: PrivateKey = await PrivateKey.fromCryptoKey(stored.privateKey, stored.publicKey);
  const capability: Capability = await Capability.parse(token);
  const hops: readonly Hop[] = capability.inspect().hops;
  const delegation: Delegation = {
    to: 'agent.reader', scopes: ['tools:call:search'], reason: hops[0]?.reason ?? 'why', holder: PublicKey.parse('ed25519/00'),
  };
  const handed = await capability.delegate(key, delegation);
  const bearer: string = (await handed.present(key, 'notion.mcp', { call: Call.tool('search', { query: 'x' }), ttl: 60 })).bearer;
  const code: Code | undefined = await capability.delegate(key, delegation).then(() => undefined, (error: HardtackError) => error.code);
  // @ts-expect-error A delegation has a reason.
  const missing: Delegation = { to: 'a', scopes: [] };
  // @ts-expect-error What is internal is in no type.
  void key.sign;
  void [bearer, code, missing];
  const presenter = await Presenter.of(capability, key);
  // What fetch is called is what clients of MCP take.
  const fetch: typeof globalThis.fetch = presentingFetch(presenter, 'https://mcp.example/mcp', { audience: 'notion.mcp' });
  return fetch;
}
