// A fetch for one server: what it sends where, and what of an answer reaches the runtime.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTcpServer } from 'node:net';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Call, Capability, HardtackError, Presenter, presentingFetch, PrivateKey } from '../dist/index.js';
import { fromBase64 } from '../dist/bytes.js';
import { Sent } from '../dist/echo.js';
import { decode, encode } from '../dist/proto.js';
import { BISCUIT } from '../dist/schema.js';

const vectors = JSON.parse(readFileSync(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));
const NOW = 1_795_428_000;
const MARK = 'BEARER-WITHHELD-BY-HARDTACK';
const key = await PrivateKey.load(vectors.keys.researcher);
const read = decode(fromBase64(vectors.testcases[0].bearer), BISCUIT);
const proof = { nextSecret: new Uint8Array(32).fill(0xf1) };
const capability = await Capability.fromBytes(encode({ ...read, blocks: read.blocks.slice(0, 1), proof }, BISCUIT));

let seen = [];
let reply = (_, response) => response.end('{}');
const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const bearer = request.headers.authorization?.replace('Bearer ', '');
  const one = { url: request.url, method: request.method, headers: request.headers, bearer, body: Buffer.concat(chunks).toString() };
  seen.push(one);
  reply(one, response);
});
let url;
before(async () => {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  url = `http://127.0.0.1:${server.address().port}/mcp`;
});
after(() => server.close());

function fetching(options = {}) {
  seen = [];
  reply = (_, response) => response.end('{}');
  return presentingFetch({ capability, key }, url, { audience: 'notion.mcp', clock: () => NOW, ...options });
}

const message = (method, params, id = 7) => JSON.stringify({ jsonrpc: '2.0', id, method, params });
const call = (name, args) => message('tools/call', { name, arguments: args });
const post = (body, more) => ({ method: 'POST', headers: { 'content-type': 'application/json' }, body, ...more });

/** The digest to which a bearer is bound, and the kind of presentation. */
async function boundTo(bearer) {
  const { presentation } = (await Capability.parse(bearer)).inspect();
  const text = Buffer.from(bearer, 'base64url').toString('latin1');
  return { kind: presentation.kind, has: async (call) => text.includes(Buffer.from(await call.digest()).toString('latin1')) };
}

test('each call goes with a presentation for its very bytes, and what is no call with one that is good for none', async () => {
  const fetch = fetching();
  await fetch(url, post(message('initialize', {})));
  await fetch(url, post(call('search', { query: 'a' })));
  await fetch(url, post(call('search', { query: 'a' })));
  await fetch(new URL(url), post(message('tools/list', {})));
  await fetch(url, { method: 'GET' });
  const kinds = await Promise.all(seen.map(({ bearer }) => boundTo(bearer)));
  assert.deepEqual(kinds.map(({ kind }) => kind), ['session', 'call', 'call', 'session', 'session']);
  assert.ok(await kinds[1].has(Call.tool('search', { query: 'a' })));
  assert.notEqual(seen[1].bearer, seen[2].bearer);
  assert.equal(seen[0].bearer, seen[3].bearer);
  const nothing = Buffer.alloc(32).toString('latin1');
  assert.ok(Buffer.from(seen[0].bearer, 'base64url').toString('latin1').includes(nothing));
});

test('a call that is not covered is presented all the same, and what is not exact goes as no call', async () => {
  const fetch = fetching();
  await fetch(url, post(call('delete_page', { id: 1 })));
  assert.ok(await (await boundTo(seen[0].bearer)).has(Call.tool('delete_page', { id: 1 })));
  for (const body of ['{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"search","arguments":{"a":1,"a":2}}}', 'no JSON', call('sea rch'), call('search', { A: 1, a: 2 })]) {
    await fetch(url, post(body));
    assert.equal((await boundTo(seen.at(-1).bearer)).kind, 'session', body);
    assert.equal(seen.at(-1).body, body);
  }
});

test('what is digested is what goes out, whatever the body is and does meanwhile', async () => {
  const fetch = fetching();
  const body = call('search', { query: 'ünï' });
  const bytes = new TextEncoder().encode(body);
  const stream = () => new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 7) controller.enqueue(bytes.slice(at, at + 7));
      controller.close();
    },
  });
  const [changing, within] = [bytes.slice(), new Uint8Array([32, ...bytes, 32])];
  let asked = 0;
  const sending = [
    fetch(url, post(body)), fetch(url, post(bytes)), fetch(url, post(bytes.buffer.slice(0))), fetch(url, post(new Blob([bytes]))),
    fetch(url, post(stream(), { duplex: 'half' })), fetch(new Request(url, post(body))), fetch(new Request(url, post('other')), { body }),
    fetch(url, post(changing)), fetch(url, post(changing.buffer)), fetch(url, post(within.subarray(1, -1))),
    fetch(url, { method: 'POST', get body() { return asked++ === 0 ? body : call('search', { query: 'evil' }); } }),
  ];
  changing.fill(32);
  within.fill(32);
  await Promise.all(sending);
  assert.equal(seen.length, 11);
  for (const one of seen) {
    assert.equal(one.body, body);
    assert.ok(await (await boundTo(one.bearer)).has(Call.tool('search', { query: 'ünï' })));
  }
  await assert.rejects(fetch(url, post('x'.repeat(5_000_000))), { code: 'call_too_large' });
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(1 << 20)) });
  await assert.rejects(fetch(url, post(endless, { duplex: 'half' })), { code: 'call_too_large' });
  await assert.rejects(fetch(url, post(new FormData())), { code: 'unsupported' });
  assert.equal(seen.length, 11);
});

test('what else a request says is bound, too, but for what the protocol itself keeps there', async () => {
  const fetch = fetching();
  const meta = { progressToken: 1, traceparent: 'x', 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
  const sent = async (method, params) => {
    await fetch(url, post(message(method, params)));
    return boundTo(seen.at(-1).bearer);
  };
  const search = Call.tool('search', { query: 'a' });
  const plain = { name: 'search', arguments: { query: 'a' } };
  assert.ok(await (await sent('tools/call', { ...plain, _meta: meta })).has(search));
  assert.ok(await (await sent('tools/call', { ...plain, _meta: { ...meta, own: 1 } })).has(search.params({ _meta: { own: 1 } })));
  assert.ok(await (await sent('tools/call', { ...plain, task: { ttl: 1 }, requestState: 's' })).has(search.params({ task: { ttl: 1 }, requestState: 's' })));
  assert.ok(await (await sent('tools/call', { name: 'search', arguments: null })).has(Call.tool('search')));
  assert.ok(await (await sent('prompts/get', { name: 'brief', arguments: { a: 'b' } })).has(Call.prompt('brief', { a: 'b' })));
  assert.ok(await (await sent('resources/read', { uri: 'https://a.example/' })).has(Call.read('https://a.example/')));
  assert.ok(await (await sent('tasks/get', { taskId: 't' })).has(Call.of('tasks:get').arguments({ task: 't' })));
  assert.ok(await (await sent('logging/setLevel', { level: 'debug' })).has(Call.of('logging:setLevel').arguments({ level: 'debug' })));
  const asked = { ref: { type: 'ref/prompt', name: 'brief' }, argument: { name: 'a', value: 'b' } };
  assert.ok(await (await sent('completion/complete', asked)).has(Call.of('completion:complete').arguments({ prompt: 'brief', argument: asked.argument })));
  const several = await sent('subscriptions/listen', { notifications: { taskIds: ['a'], resourceSubscriptions: ['https://a.example/'], toolsListChanged: true } });
  assert.equal(several.kind, 'session');
  assert.ok(await several.has(Call.of('tasks:get').arguments({ task: 'a' })));
  assert.ok(await several.has(Call.of('resources:subscribe').resource('https://a.example/')));
  for (const [method, params] of [['subscriptions/listen', { notifications: { all: true } }], ['tools/call', []], ['tools/call', { name: 1 }], ['resources/read', { uri: 'x' }]]) {
    assert.equal((await sent(method, params)).kind, 'session');
  }
  const began = performance.now();
  await fetch(url, post(call('search', { text: 'x'.repeat(4_000_000) })));
  await fetch(url, post(`[${'['.repeat(2_000_000)}`));
  await fetch(url, post(`{"a":"${'\\\\'.repeat(1_900_000)}`));
  assert.ok(performance.now() - began < 5000);
});

test('half a surrogate pair in a text goes out as bytes that say another text, and is bound to that', async () => {
  const fetch = fetching();
  await fetch(url, post('{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"q":"\ud800"}}}'));
  assert.ok(seen[0].body.includes('\ufffd'));
  assert.ok(await (await boundTo(seen[0].bearer)).has(Call.tool('search', { q: '\ufffd' })));
});

test('nowhere else is a bearer sent: another origin, another path, a redirect', async () => {
  const others = [];
  const other = createServer((request, response) => {
    others.push(request.headers);
    response.end('{}');
  });
  await new Promise((done) => other.listen(0, '127.0.0.1', done));
  const elsewhere = `http://127.0.0.1:${other.address().port}/mcp`;
  const fetch = fetching();
  await fetch(elsewhere, post(call('search', {})));
  await fetch(new Request(elsewhere));
  await fetch(url.replace('/mcp', '/.well-known/oauth-protected-resource'));
  await fetch(url.replace('/mcp', '/mcp/more'));
  // As what sends refuses it, unchanged: a bearer was not even made.
  await assert.rejects(fetch(url.replace('//', '//user@'), post('{}')), TypeError);
  for (const status of [301, 302, 303, 307, 308]) {
    reply = (_, response) => response.writeHead(status, { location: elsewhere }).end();
    const answer = await fetch(url, post(call('search', {}), { redirect: 'follow' }));
    assert.equal(answer.status, 200, 'a tool call is answered with a result');
    assert.match(await answer.text(), /redirects/);
    assert.equal((await fetch(url)).status, 503);
  }
  assert.equal(others.length, 2);
  assert.ok(others.every(({ authorization }) => authorization === undefined));
  assert.ok(seen.filter(({ url }) => url !== '/mcp').every(({ bearer }) => bearer === undefined));
  other.close();
});

test("what the runtime sends as Authorization is replaced, and no credential goes over another machine's plain HTTP", async () => {
  const fetch = fetching();
  await fetch(url, post('{}', { headers: { authorization: 'Bearer other', 'x-own': '1' } }));
  assert.notEqual(seen[0].bearer, 'other');
  assert.equal(seen[0].headers['x-own'], '1');
  const made = (url, more) => presentingFetch({ capability, key }, url, { audience: 'a', ...more });
  assert.throws(() => made('http://mcp.example/'), { code: 'plain_http' });
  assert.throws(() => made('ftp://mcp.example/'), { code: 'malformed_url' });
  assert.throws(() => made('https://u:p@mcp.example/'), { code: 'malformed_url' });
  assert.throws(() => made('mcp.example'), { code: 'malformed_url' });
  assert.throws(() => made('https://mcp.example/', { audience: undefined }), { code: 'malformed_name' });
  made('http://mcp.example/', { allowPlainHttp: 'mcp.example' });
  made('https://mcp.example/');
});

test('a bearer that the server repeats does not reach the runtime', async () => {
  const before = [];
  const harms = {
    'in a body': ({ bearer }, response) => response.end(`you sent Bearer ${bearer}.`),
    'of the request before': (_, response) => response.end(JSON.stringify({ text: before.at(-1) ?? '' })),
    'in a header': ({ bearer }, response) => response.setHeader('x-echo', bearer).end('{}'),
    'on an error page': ({ bearer }, response) => response.writeHead(500).end(`<p>${bearer}</p>`),
    'in standard base64': ({ bearer }, response) => response.end(bearer.replaceAll('-', '+').replaceAll('_', '/')),
    'in base64 of its header': ({ bearer }, response) => response.end(Buffer.from(`Bearer ${bearer}`).toString('base64')),
    'in a status text': ({ bearer }, response) => response.writeHead(200, bearer.slice(-400)).end('{}'),
    'byte by byte': async ({ bearer }, response) => {
      for (const c of `data: ${bearer}\n\n`) {
        response.write(c);
        await new Promise(setImmediate);
      }
      response.end();
    },
    'many times': ({ bearer }, response) => response.end(`${bearer} `.repeat(50) + bearer + bearer),
  };
  for (const [name, harm] of Object.entries(harms)) {
    for (const body of [call('search', { name }), message('ping')]) {
      const fetch = fetching();
      reply = harm;
      for (let time = 0; time < 2; time++) {
        const answer = await fetch(url, post(body));
        const text = (await answer.text()) + answer.statusText + JSON.stringify([...answer.headers]);
        const { bearer } = seen.at(-1);
        before.push(bearer);
        for (const own of [bearer, ...before]) {
          const tail = own.slice(-120, -4);
          for (const form of [tail, tail.replaceAll('-', '+').replaceAll('_', '/'), Buffer.from(own).toString('base64').slice(-100, -8)]) {
            assert.ok(!text.includes(form), `${name}: ${text.slice(0, 200)}`);
          }
        }
        if (name === 'in a body') assert.ok(text.startsWith('you sent Bearer ') && text.includes(`${MARK}.`), text);
      }
    }
  }
});

test('a bearer is looked for a minute longer than it lives, and more than 2,048 at once are refused', () => {
  const sent = new Sent();
  const own = (at) => createHash('sha512').update(String(at)).digest('base64url');
  sent.note(own(0), 60, 0);
  sent.note(own(0), 90, 0);
  sent.note(own(1), 60, 119);
  assert.ok(sent.isIn(`a ${own(0)} b`) && sent.isIn(own(0).slice(8, 40)));
  sent.note(own(2), 60, 120);
  assert.ok(sent.isIn(own(0)), 'it was noted twice, and lives on');
  sent.note(own(3), 300, 150);
  assert.ok(!sent.isIn(own(0)) && !sent.isIn(own(1)) && !sent.isIn(own(2)) && sent.isIn(own(3)));
  for (let at = 4; at < 2051; at++) sent.note(own(at), 300, 150);
  assert.throws(() => sent.note(own(2051), 300, 150), { code: 'overloaded' });
  sent.note(own(2052), 400, 360);
  assert.ok(!sent.isIn(own(3)) && sent.isIn(own(2052)));
});

test('events arrive when they are sent, and what is no bearer is passed on as it is', async () => {
  const fetch = fetching();
  const random = Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * 7919) % 256));
  reply = (_, response) => response.end(random);
  assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), random);
  const letters = 'abcdefghij'.repeat(20_000);
  reply = (_, response) => response.end(letters);
  assert.equal(await (await fetch(url)).text(), letters);
  let more;
  reply = (_, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'set-cookie': ['a=1', 'b=2'] });
    response.write('data: one\n\n');
    more = () => response.end('data: two\n\n');
  };
  const answer = await fetch(url);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  assert.equal((await reader.read()).value, 'data: one\n\n');
  more();
  assert.equal((await reader.read()).value, 'data: two\n\n');
  assert.deepEqual(answer.headers.getSetCookie(), ['a=1', 'b=2']);
  reply = (_, response) => response.writeHead(202).end();
  assert.equal((await fetch(url, post(message('ping')))).status, 202);
  reply = (_, response) => response.writeHead(204).end();
  assert.equal((await fetch(url, { method: 'DELETE' })).status, 204);
});

test('a 401 is answered in its place, so that the session lives and no other credential is asked for', async () => {
  for (const status of [401, 407]) {
    // Node's own fetch takes a 407 for its proxy's.
    const send = async (_, { headers }) => new Response('no', { status, headers: { 'www-authenticate': headers.get('authorization') } });
    const fetch = fetching(status === 407 ? { fetch: send } : {});
    reply = ({ bearer }, response) => response.writeHead(status, { 'www-authenticate': `Bearer resource_metadata="https://evil.example/${bearer}"` }).end(bearer);
    const refused = await fetch(url, post(call('search', {})));
    const { result, id } = await refused.json();
    assert.ok(refused.status === 200 && result.isError && id === 7 && result.content[0].text.includes('does not accept'));
    const other = await fetch(url, post(message('tools/list', {}, 'ä')));
    assert.equal(other.status, 503);
    assert.equal((await other.json()).id, 'ä');
    assert.equal((await fetch(url)).headers.get('www-authenticate'), null);
  }
});

test('an answer that HTTP does not have, or whose body breaks, ends neither the session nor the process', async () => {
  const unhandled = [];
  const note = (error) => unhandled.push(error);
  process.on('unhandledRejection', note);
  for (const status of [302, 401, 407]) {
    const breaking = async (_, { headers }) =>
      new Response(new ReadableStream({ start: (controller) => controller.error(new Error(headers.get('authorization'))) }), { status });
    assert.ok((await (await fetching({ fetch: breaking })(url, post(call('search', {})))).json()).result.isError);
  }
  await new Promise((done) => setTimeout(done, 20));
  process.off('unhandledRejection', note);
  assert.deepEqual(unhandled, []);
  const fetch = fetching();
  for (const status of [600, 999]) {
    reply = ({ bearer }, response) => response.writeHead(status).end(bearer);
    const { result } = await (await fetch(url, post(call('search', {})))).json();
    assert.match(result.content[0].text, /a status that HTTP does not have/);
    assert.equal((await fetch(url, post(message('tools/list')))).status, 502);
  }
  const odd = createTcpServer((socket) => socket.once('data', () => socket.end('HTTP/1.1 200 N\x01o\r\ncontent-length: 2\r\n\r\n{}')));
  await new Promise((done) => odd.listen(0, '127.0.0.1', done));
  const oddUrl = `http://127.0.0.1:${odd.address().port}/mcp`;
  const answer = await presentingFetch({ capability, key }, oddUrl, { audience: 'notion.mcp', clock: () => NOW })(oddUrl, post(call('search', {})));
  assert.deepEqual([answer.status, answer.statusText, await answer.text()], [200, '', '{}']);
  odd.close();
});

test('when the capability cannot be presented any more, a call is answered so', async () => {
  let now = NOW;
  const fetch = fetching({ clock: () => now });
  await fetch(url, post(call('search', {})));
  now = NOW + 900;
  const { result } = await (await fetch(url, post(call('search', {})))).json();
  assert.ok(result.isError && result.content[0].text.includes('expired'), result.content[0].text);
  assert.equal(seen.length, 1);
  const other = await PrivateKey.generate();
  const wrong = presentingFetch({ capability, key: other }, url, { audience: 'notion.mcp', clock: () => NOW });
  assert.match((await (await wrong(url, post(call('search', {})))).json()).result.content[0].text, /only by its holder/);
  const presenter = await Presenter.of(capability, key, { clock: () => NOW });
  const covered = presentingFetch(presenter, url, { audience: 'notion.mcp', clock: () => NOW, callBound: false });
  await covered(url, post(call('search', {})));
  await covered(url, post(message('ping')));
  assert.equal(seen.at(-1).bearer, seen.at(-2).bearer);
});

test('an error of what sends shows neither the bearer nor what it carries', async () => {
  const leaking = async (_, { headers }) => {
    const error = new TypeError(`cannot send ${headers.get('authorization')}`);
    error.cause = { code: 'ECONNREFUSED', headers };
    throw error;
  };
  const fetch = presentingFetch({ capability, key }, url, { audience: 'notion.mcp', clock: () => NOW, fetch: leaking });
  await assert.rejects(fetch(url, post('{}')), (error) =>
    error instanceof HardtackError && error.code === 'no_answer' && error.message.includes('ECONNREFUSED') && error.cause === undefined && !/Bearer/.test(error.stack));
  const stopping = new AbortController();
  const stopped = fetching()(url, post('{}', { signal: stopping.signal }));
  reply = () => stopping.abort();
  await assert.rejects(stopped, { name: 'AbortError' });
});
