// Compiled against the package: its types are complete without Node's, and say what may be left out.

import {
  Admitted, Call, Denied, Guard, HardtackError, Issuer, Message, Permit, Policy, PrivateKey, PublicKey, Refused, Revocation, Revocations, Revoking, Store,
  type Bearer, type GuardOptions, type Preview, type Root,
} from '@hardtack/server';
import { callOf, guarded, permitOf, textOf, type AdapterOptions } from '@hardtack/server/express';
import * as fetching from '@hardtack/server/fetch';
import { guardServer, handleFetch } from '@hardtack/server/mcp';

export async function used(bearer: Bearer, roots: Root[]): Promise<string | undefined> {
  const store: Store = await Store.openOrCreate('a.store');
  const options: GuardOptions = { store, policies: await Policy.load('policies'), lifetimes: { hop: 60 }, directory: { a: [PublicKey.parse('x')] } };
  const guard = new Guard(roots, 'notion.mcp', options);
  const call = Call.tool('search', { limit: 3, deep: [1n, null] }, { largeIntegers: true });
  const permit: Permit = await guard.check(bearer, call, { now: new Date() });
  const admitted: Admitted = guard.admitSync(bearer);
  const seen: Preview[] = await guard.preview(bearer, Message.read('{}').calls());
  const revoking: Revoking = await guard.checkRevocation(bearer, '{}');
  const sequence: number = await store.revoke(revoking);
  await store.revoke(Revocation.agent('agent.a'), { by: 'user:admin', reason: 'lost' });
  // @ts-expect-error A revocation says by whom and why.
  await store.revoke(Revocation.agent('agent.a'));
  // @ts-expect-error Only a guard makes a permit.
  void new Permit({});
  // @ts-expect-error What is internal is in no type.
  void guard.native;
  // @ts-expect-error An option that is not known.
  void new Guard(roots, 'a', { policy: Policy.builtin() });
  const copy: Revocations = Revocations.copied(await store.revocationList());
  const text: string = new Issuer(PrivateKey.generate(), { keyId: 7 }).mint({ subject: 'user:alice', scopes: ['a:b'], maxDepth: 2 });
  void [seen, sequence, copy, text, admitted.client];
  try {
    return permit.agent;
  } catch (error) {
    if (error instanceof Denied) {
      const refused: Refused = error.refused;
      const [code, status, block, header]: [string, number, number | undefined, string | undefined] = [error.code, error.status, error.block, error.challenge()];
      void [refused.helps, code, status, block, header, error.detail];
    }
    return error instanceof HardtackError ? error.code : undefined;
  }
}

export function handlers(guard: Guard, handler: { fetch(request: Request): Promise<Response> }): unknown {
  const more: AdapterOptions = { onRefused: (error) => void error.code };
  const middleware = guarded(guard, async (request) => Call.tool('search', await textOf(request)), more);
  const handle: (request: Request) => Promise<Response> = fetching.guarded(guard, () => Call.tool('a'), (_, { permit, call }) => Response.json([permit.agent, call.arguments]));
  void [permitOf, callOf, (request: Request) => handleFetch(guard, handler, request), guardServer(guard, { connect: async (_: unknown) => {} })];
  return [middleware, handle];
}
