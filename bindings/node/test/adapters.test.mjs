// The adapters of Node's requests and of fetch, over sockets of this machine, as a holder of a token would attack them.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Call, Guard, Policy, Store } from '../dist/index.js';
import * as express from '../dist/express.js';
import * as fetching from '../dist/fetch.js';
import { agent, AUDIENCE, scene } from './support.mjs';

const here = await scene();
const store = Store.inMemory();
const guard = new Guard([here.issuer.public], AUDIENCE, { store });
const authorized = { Authorization: `Bearer ${here.bearer}` };

/** A server of Node's whose requests go through the middleware, as Express calls it. */
async function serving(describe, work, parse) {
  const done = [];
  const refused = [];
  const middleware = express.guarded(guard, describe, { onRefused: (error) => refused.push(error), resourceMetadata: 'https://m.example/.well-known' });
  const server = createServer(async (request, response) => {
    if (parse) request.body = await parse(request);
    await middleware(request, response, (error) => {
      if (error) {
        response.statusCode = 500;
        return response.end('the server failed');
      }
      done.push(express.callOf(request).arguments);
      return response.end(JSON.stringify({ agent: express.permitOf(request).agent, given: express.callOf(request).arguments }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await work(`http://127.0.0.1:${server.address().port}/tools/search`, done, refused);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const search = async (request) => Call.tool('search', await express.textOf(request));
const named = (request) => Call.tool(new URL(request.url, 'http://a').pathname.split('/').at(-1), { limit: 1 });
const post = (url, body, headers = authorized) => fetch(url, { method: 'POST', body, headers });

/** What a server answers to bytes that no client would send. */
async function raw(url, text) {
  const socket = connect(new URL(url).port, '127.0.0.1');
  socket.write(text);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

test('a request is done with a permit, and refused in the words for callers', () => serving(named, async (url, done, refused) => {
  const allowed = await fetch(url, { headers: authorized });
  assert.deepEqual([allowed.status, await allowed.json()], [200, { agent: 'agent.researcher', given: { limit: 1 } }]);
  const answer = await fetch(url.replace('search', 'delete_page'), { headers: authorized });
  assert.equal(answer.status, 403);
  assert.match(answer.headers.get('www-authenticate'), /^Bearer realm="notion.mcp", error="insufficient_scope".*resource_metadata="https:\/\/m.example/);
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  const body = await answer.text();
  assert.match(body, /the token does not grant tools:call:delete_page/);
  assert.ok(!body.includes('the chain') && refused.at(-1).detail.includes('the chain'));
  assert.equal(done.length, 1);
  assert.throws(() => express.permitOf({}), TypeError);
}));

test('a bearer is taken from one header, sent once', () => serving(named, async (url, done) => {
  const none = await fetch(url);
  assert.deepEqual([none.status, none.headers.get('www-authenticate')], [401, 'Bearer realm="notion.mcp", resource_metadata="https://m.example/.well-known"']);
  for (const wrong of ['Basic abc', 'Bearer', 'Bearer a b', `Bearer ${here.bearer}, Bearer a`, `Bearer ${here.bearer},`, `Bearer ${'x'.repeat(33_000)}`, `bearer\t${here.bearer}`]) {
    const status = await fetch(url, { headers: { Authorization: wrong } }).then((answer) => answer.status, () => 431);
    assert.ok([400, 401, 431].includes(status), wrong.slice(0, 30));
  }
  assert.equal((await fetch(`${url}?access_token=${here.bearer}`, { headers: authorized })).status, 400);
  assert.equal((await fetch(`${url}?a=1&acces%73_token=x`, { headers: authorized })).status, 400);
  assert.equal((await fetch(url, { headers: { Authorization: 'Bearer AAAA' } })).status, 401);
  const head = 'GET /tools/search HTTP/1.1\r\nHost: a\r\nConnection: close\r\n';
  const [own, other] = [`Authorization: Bearer ${here.bearer}\r\n`, 'aUTHORIZATION: Bearer AAAA\r\n'];
  // Node's own headers have the first alone.
  for (const twice of [own + other, other + own, own + own]) assert.match(await raw(url, `${head}${twice}\r\n`), /^HTTP\/1.1 400/);
  assert.match(await raw(url, `${head}${own}\r\n`), /^HTTP\/1.1 200/);
  assert.equal(done.length, 1);
}));

test('a body is judged as it was sent, and nothing behind it is overlooked', () => serving(search, async (url, done) => {
  assert.equal((await post(url, '{"limit": 3}')).status, 200);
  assert.equal((await post(url, '{"limit": 30}')).status, 403);
  const odd = [
    '{"limit": 3, "limit": 30}', '{"limit": 3} {"limit": 30}', '{"limit": 3}x', '[{"limit": 3}]', '[]', 'null', '', '"a"', '{"limit": 3,}',
    '{"limit": 3, "__proto__": {"limit": 30}}', '{"limit": 9007199254740993}', '{"limit": NaN}', '\ufeff{"limit": 3}', '{"limit": 3, "Limit": 30}',
    Uint8Array.of(...Buffer.from('{"limit": 3, "a": "'), 0xff, ...Buffer.from('"}')), gzipSync('{"limit": 3}'),
  ];
  for (const body of odd) {
    const answer = await post(url, body);
    assert.equal(answer.status, 400, String(body));
    assert.match((await answer.json()).error, /invalid_request/);
  }
  assert.equal((await post(url, JSON.stringify({ limit: 3, a: 'b'.repeat(4 * 1024 * 1024) }))).status, 413);
  assert.deepEqual(done, [{ limit: 3 }]);
}));

test('a body that a parser has read is judged as what the parser made of it', async () => {
  const read = async (request) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    return text;
  };
  await serving(search, async (url, done) => {
    assert.equal((await post(url, '{"limit": 30, "limit": 3}')).status, 200);
    assert.equal((await post(url, '{"limit": 3, "limit": 30}')).status, 403);
    assert.equal((await post(url, '{"limit": 3, "__proto__": {"limit": 30}}')).status, 400);
    assert.equal((await post(url, '[1]')).status, 400);
    assert.deepEqual(done, [{ limit: 3 }]);
  }, async (request) => JSON.parse(await read(request)));
  await serving(search, async (url) => {
    assert.equal((await post(url, '{"limit": 3}')).status, 200);
    assert.equal((await post(url, '{"limit": 3, "limit": 30}')).status, 400);
  }, async (request) => Buffer.from(await read(request)));
});

test('a description that finds nothing allows nothing, and one that fails is the server\'s own affair', async () => {
  for (const describe of [() => undefined, () => null]) {
    await serving(describe, async (url, done) => {
      const answer = await fetch(url, { headers: authorized });
      assert.deepEqual([answer.status, (await answer.json()).cause, done], [400, 'undescribed', []]);
    });
  }
  for (const describe of [() => ({ operation: 'tools:call:search' }), () => { throw new Error('secret'); }, async () => { throw new TypeError('secret'); }]) {
    await serving(describe, async (url, done) => {
      const answer = await fetch(url, { headers: authorized });
      assert.deepEqual([answer.status, await answer.text(), done], [500, 'the server failed', []]);
    });
  }
});

const handle = fetching.guarded(guard, async (request, name) => Call.tool(name, await fetching.textOf(request)),
  async (request, { permit, call }, name) => Response.json({ agent: permit.agent, given: call.arguments, same: fetching.permitOf(request) === permit, name, text: await request.text() }));
const asked = (body, headers = authorized, url = 'http://a/tools') => new Request(url, { method: 'POST', body, headers });

test('a handler of fetch is called for what is allowed, with the body as it came', async () => {
  const allowed = await handle(asked('{"limit": 3}'), 'search');
  assert.deepEqual(await allowed.json(), { agent: 'agent.researcher', given: { limit: 3 }, same: true, name: 'search', text: '{"limit": 3}' });
  for (const [body, name, status] of [['{"limit": 30}', 'search', 403], ['{"limit": 3}', 'delete_page', 403], ['{"limit": 3} 1', 'search', 400], ['{"limit":3,"limit":4}', 'search', 400]]) {
    const answer = await handle(asked(body), name);
    assert.equal(answer.status, status);
    assert.ok(answer.headers.get('www-authenticate') !== null || (await answer.json()).error === 'access_denied');
  }
  const twice = new Headers([['Authorization', `Bearer ${here.bearer}`], ['Authorization', `Bearer ${here.bearer}`]]);
  assert.equal((await handle(asked('{}', twice), 'search')).status, 400);
  assert.equal((await handle(asked('{}', {}), 'search')).status, 401);
  assert.equal((await handle(asked('{}', authorized, 'http://a/?access_token=a'), 'search')).status, 400);
  const large = new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(1024 * 1024)) });
  assert.equal((await handle(new Request('http://a/', { method: 'POST', body: large, duplex: 'half', headers: authorized }), 'search')).status, 413);
  const read = asked('{"limit": 3}');
  await read.text();
  await assert.rejects(() => handle(read, 'search'), TypeError);
});

test('of who has no valid bearer, the body is not read', async () => {
  let read = 0;
  const body = () => new ReadableStream({ pull: (to) => { read += 1; to.enqueue(new Uint8Array(1024)); if (read > 9) to.close(); } }, { highWaterMark: 0 });
  const described = [];
  const careful = fetching.guarded(guard, async (request) => { described.push(await fetching.textOf(request)); return Call.tool('search'); }, () => Response.json({}));
  const other = (await here.part.present(here.researcher, 'mail.mcp')).bearer;
  for (const headers of [{}, { Authorization: 'Bearer AAAA' }, { Authorization: `Bearer ${other}` }]) {
    assert.equal((await careful(new Request('http://a/', { method: 'POST', body: body(), duplex: 'half', headers }))).status, 401);
  }
  assert.deepEqual([read, described], [0, []]);
  await careful(new Request('http://a/', { method: 'POST', body: body(), duplex: 'half', headers: authorized }));
  assert.ok(read > 9 && described.length === 1);
});

test('of two requests with one presentation for one call, one is done', async () => {
  const { bearer } = await here.present(agent.Call.tool('search', { limit: 3 }));
  const once = { Authorization: `Bearer ${bearer}` };
  const statuses = await Promise.all(Array.from({ length: 8 }, async () => (await handle(asked('{"limit": 3}', once), 'search')).status));
  assert.deepEqual(statuses.sort(), [200, 401, 401, 401, 401, 401, 401, 401]);
});

test('what cannot be decided is refused, without a challenge and without a word of why', async () => {
  const closed = Store.inMemory();
  await closed.close();
  const late = fetching.guarded(new Guard([here.issuer.public], AUDIENCE, { store: closed, policies: Policy.builtin() }), () => Call.tool('search', { limit: 1 }), () => Response.json({}));
  const answer = await late(asked('{}'));
  assert.deepEqual([answer.status, answer.headers.get('www-authenticate')], [503, null]);
  assert.ok(!/closed/.test(await answer.text()));
});
