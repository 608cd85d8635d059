// What tests share: an issuer, an orchestrator that passes on a part, a researcher that presents it, and a guard.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as agent from '../../typescript/dist/index.js';
import { Call, Denied, Guard, Issuer, PrivateKey } from '../dist/index.js';

export { agent };
export const AUDIENCE = 'notion.mcp';

export async function scene() {
  const root = PrivateKey.generate();
  const issuer = new Issuer(root);
  const [orchestrator, researcher] = [await agent.PrivateKey.generate(), await agent.PrivateKey.generate()];
  const grant = await agent.Capability.parse(issuer.mint({ subject: 'user:alice', scopes: 'tools:call:*', holder: orchestrator.public }));
  const part = await grant.delegate(orchestrator, {
    to: 'agent.researcher', scopes: ['tools:call:search', 'tools:call:pay'], reason: 'find the roadmap page', holder: researcher.public,
    allow: ['limit <= 10'],
  });
  const present = (call) => part.present(researcher, AUDIENCE, call === undefined ? {} : { call });
  const { bearer } = await present();
  return {
    issuer, orchestrator, researcher, grant, part, present, bearer,
    guard: new Guard([issuer.public], AUDIENCE),
    search: Call.tool('search', { query: 'roadmap', limit: 3 }),
    delete: Call.tool('delete_page', { id: 'roadmap' }),
  };
}

/** What is refused, which must be. */
export async function denied(work) {
  try {
    await work();
  } catch (error) {
    assert.ok(error instanceof Denied, String(error?.stack ?? error));
    return error;
  }
  return assert.fail('it was allowed');
}

/** What is thrown, which must be. */
export async function thrown(work) {
  try {
    await work();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

export async function inFolder(work) {
  const folder = await mkdtemp(join(tmpdir(), 'hardtack-node-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
