// The README's examples run, one after the other, as they stand there; and what it names is there.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'node:test';
import * as server from '../dist/index.js';
import * as express from '../dist/express.js';
import * as fetching from '../dist/fetch.js';
import * as mcp from '../dist/mcp.js';
import { inFolder } from './support.mjs';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const blocks = [...readme.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code);
const packages = process.env.HARDTACK_NODE_PACKAGES;
const here = (path) => fileURLToPath(new URL(path, import.meta.url));

test('the examples of the README run as they stand there', () => inFolder(async (folder) => {
  assert.equal(blocks.length, 5);
  // Without the frameworks, those that need none.
  const run = packages === undefined ? blocks.filter((code) => !code.includes('npm install')) : blocks;
  const imports = run.flatMap((code) => code.match(/^import .*;$/gm) ?? []);
  const code = run.map((block) => block.replace(/^import .*;$/gm, '')).join('\n');
  // What the examples make is used here, as a client would.
  const used = packages === undefined ? '' : `
    const asked = (url) => new Request(url, { method: 'POST', body: '{"query": "roadmap", "limit": 3}', headers: { Authorization: 'Bearer ' + bearer, 'Content-Type': 'application/json' } });
    console.log(await (await handle(asked('http://a/'))).json(), (await routes.fetch(asked('http://a/tools/search'))).status);
    const listener = app.listen(0, '127.0.0.1');
    await new Promise((resolve) => listener.once('listening', resolve));
    const url = 'http://127.0.0.1:' + listener.address().port;
    console.log(await (await fetch(asked(url + '/tools/search'))).json());
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'ping' } });
    const headers = { Authorization: 'Bearer ' + bearer, Accept: 'application/json, text/event-stream', 'Content-Type': 'application/json' };
    console.log(/denied: the token does not grant tools:call:ping/.test(await (await fetch(url + '/mcp', { method: 'POST', body, headers })).text()));
    listener.closeAllConnections();
    listener.close();`;
  await mkdir(join(folder, 'node_modules/@hardtack'), { recursive: true });
  await symlink(here('..'), join(folder, 'node_modules/@hardtack/server'), 'dir');
  await symlink(here('../../typescript'), join(folder, 'node_modules/@hardtack/agent'), 'dir');
  for (const name of packages === undefined ? [] : ['express', 'hono', '@modelcontextprotocol']) await symlink(join(packages, 'node_modules', name), join(folder, 'node_modules', name), 'dir');
  await writeFile(join(folder, 'example.mjs'), `${imports.join('\n')}\n${code}\n${used}`);
  const { stdout } = await promisify(execFile)(process.execPath, ['example.mjs'], { cwd: folder, timeout: 30_000 });
  const said = stdout.split('\n').slice(0, -1);
  assert.deepEqual(said.slice(0, 4), [
    'user:alice may search, by record 1', "403 check_failed [ 'limit' ]", 'revoked', "[ 'allow', 'revocation', 'deny' ]",
  ]);
  if (packages !== undefined) {
    assert.deepEqual(said.slice(4), ["{ subject: 'user:alice', query: 'roadmap' } 200", "{ query: 'roadmap' }", 'true']);
  }
}));

test('what the table of names has is there', () => {
  const all = Object.values({ ...server, ...express, ...fetching, ...mcp }).filter((one) => typeof one === 'function');
  const has = (name) => all.some((one) => name in one || (one.prototype && name in one.prototype)) || name in server;
  const said = ['Error', 'JavaScript', 'own', 'roots', 'audience', 'store', 'policies', 'subject', 'scopes', 'holder', 'key', 'new', 'error', 'code', 'cause', 'denied', 'refused'];
  const rows = readme.split('| Rust | `@hardtack/server` |')[1].split('\n\n')[0].split('\n').slice(2);
  assert.ok(rows.length > 8);
  let checked = 0;
  for (const row of rows) {
    for (const [, code] of row.split('|')[2].matchAll(/`([^`]+)`/g)) {
      for (const word of code.match(/[A-Za-z]{3,}/g) ?? []) {
        checked += 1;
        assert.ok(has(word) || said.includes(word), `${word} of ${code}`);
      }
    }
  }
  assert.ok(checked > 40);
});
