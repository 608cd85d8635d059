// Against the `hardtack` command: chains whose hops either made, and digests of calls. HARDTACK_BINARY names the command.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { Call, Capability, HardtackError, PrivateKey } from '../dist/index.js';

const binary = process.env.HARDTACK_BINARY;
const options = { skip: binary ? false : 'HARDTACK_BINARY names no command' };
const CHAINS = Number(process.env.HARDTACK_TS_CHAINS ?? 200);
const AUDIENCE = 'notion.mcp';

/** A generator whose numbers are the same in each run (mulberry32). */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

let folder;
const root = 'ed25519-private/' + '01'.repeat(32);
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hardtack-ts-'));
});
after(() => rm(folder, { recursive: true }));

function run(args, input = '') {
  return new Promise((resolve) => {
    const child = execFile(binary, args, { timeout: 30_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? (error.code ?? 1) : 0, stdout: stdout.trim(), stderr }));
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}

/** A holder: its key for both sides. */
async function holder(number) {
  const path = join(folder, `key${number}`);
  const seed = new Uint8Array(32).fill(0);
  new DataView(seed.buffer).setUint32(0, number + 1);
  const text = `ed25519-private/${Buffer.from(seed).toString('hex')}`;
  await writeFile(path, `${text}\n`, { mode: 0o600 });
  return { path, key: await PrivateKey.load(text) };
}

/** Lines, each with arguments that satisfy it and such as do not. */
const LINES = [
  ['amount <= 100', { amount: 100 }, { amount: 101 }],
  ['amount between 1 and 9', { amount: 9 }, { amount: 0 }],
  ['amount? > -5', {}, { amount: -5 }],
  ['level in [3, 20, 100]', { level: 20 }, { level: 4 }],
  ['level not in [3, 20]', { level: 4 }, { level: 3 }],
  ['force == true', { force: true }, { force: false }],
  ['currency in ["EUR", "USD", "ünit", "zz", "A"]', { currency: 'ünit' }, { currency: 'GBP' }],
  ['user != root', { user: 'alice' }, { user: 'root' }],
  ['title starts with "Re: "', { title: 'Re: x' }, { title: 're: x' }],
  ['mail ends with "@example.com"', { mail: 'bob@example.com' }, { mail: 'bob@evil.org' }],
  ['text contains "read"', { text: 'a read b' }, { text: 'Read' }],
  ['file like "report-*.pdf"', { file: 'report-1.pdf' }, { file: 'x.pdf' }],
  ['title length <= 8', { title: 'Re: x' }, { title: '123456789' }],
  ['tags items between 1 and 2', { tags: ['read'] }, { tags: [] }],
  ['tags includes "read"', { tags: ['x', 'read'] }, { tags: ['x'] }],
  ['each tags in ["read", "x"]', { tags: ['x', 'read'] }, { tags: ['y'] }],
  ['each tags not in ["y"]', { tags: ['x'] }, { tags: ['y'] }],
  ['each tags? starts with "r"', {}, { tags: ['y'] }],
  ['path within /srv/data', { path: '/srv/data/a' }, { path: '/srv/database' }],
  ['path within "/srv/a b+c@d~e=f(g)/"', { path: '/srv/a b+c@d~e=f(g)/x' }, { path: '/srv/x' }],
  ['hook url https://*.example.com:8443/v1', { hook: 'https://a.example.com:8443/v1/x' }, { hook: 'https://a.example.com/v1' }],
  ['hook url http://10.0.0.1/x%20y/', { hook: 'http://10.0.0.1/x%20y/z' }, { hook: 'http://10.0.0.2/x%20y/' }],
  ['hook? url https://[2001:db8::1]', {}, { hook: 'https://example.com/' }],
  ['ip network 2001:db8::/32', { ip: '2001:db8::1' }, { ip: '2001:db9::1' }],
  ['ip network 10.0.0.0/8', { ip: '10.1.2.3' }, { ip: '11.0.0.1' }],
  ['query required', { query: null }, {}],
  ['force absent', {}, { force: 1 }],
  ['only amount, level, force, "dry run"', { 'dry run': 1 }, { x: 1 }],
  ['no other arguments', {}, { other: 1 }],
  ['amount <= 5 or force == true or "a b" == "x or y"', { amount: 5 }, { amount: 6, force: false, 'a b': 1 }],
  ['the resource? within file:///srv/my%20data', {}, undefined],
];

test(`${CHAINS} chains whose hops either made are accepted by hardtack check, and narrow alike`, { ...options, timeout: 500_000 }, async () => {
  await writeFile(join(folder, 'root'), root, { mode: 0o600 });
  const { public: rootPublic } = await PrivateKey.load(root);
  const holders = await Promise.all(Array.from({ length: 8 }, (_, number) => holder(number)));
  const made = { typescript: 0, command: 0 };
  const verdicts = { allowed: 0, denied: 0 };

  async function chain(number) {
    const next = random(number);
    const pick = (list) => list[Math.floor(next() * list.length)];
    const scopes = [['*'], ['tools:call:*'], ['tools:call:pay', 'resources:*', 'a:b', 'tools:call:read'], ['tools:*', 'prompts:get:x']][number % 4];
    const audience = next() < 0.5 ? [AUDIENCE, 'other.mcp'] : [];
    const minted = await run(['mint', '--key', join(folder, 'root'), '--subject', 'user:alice', '--scope', ...scopes,
      ...(audience.length ? ['--audience', ...audience] : []), '--holder', holders[0].key.public.toString()]);
    assert.equal(minted.code, 0, minted.stderr);
    let token = minted.stdout;
    let at = 0;
    const good = {};
    const named = new Set();
    let line;
    // What closes the list of arguments leaves no room for a later hop's.
    const closes = /^(only|no)/.test(LINES[number]?.[0] ?? '');
    const hops = closes ? 1 : 1 + Math.floor(next() * 4);
    for (let hop = 0; hop < hops; hop++) {
      const to = (at + 1 + Math.floor(next() * 6)) % holders.length;
      const candidates = LINES.filter(([line, one, other]) =>
        Object.keys({ ...one, ...other }).every((name) => !named.has(name)) && line !== 'no other arguments' && !line.startsWith('only'));
      const allow = [];
      if (next() < 0.8 || closes) {
        const one = number < LINES.length && hop === 0 ? LINES[number] : pick(candidates);
        allow.push(one[0]);
        Object.assign(good, one[1]);
        for (const name of Object.keys({ ...one[1], ...one[2] })) named.add(name);
        line = one;
      }
      const ttl = Math.floor(next() * 300);
      const passed = hop === 0 && number % 4 !== 2 && next() < 0.5 ? ['tools:call:*', 'tools:call:pay'] : ['tools:call:pay'];
      const audiences = next() < 0.3 ? [AUDIENCE] : [];
      const reason = pick(['pay the bill', 'für Zoë — 支払い', 'x']);
      // Each ends well before its parent, and lives while this runs.
      const life = Math.floor(ttl / (3 * (hop + 1))) + 600 - 150 * hop;
      if (next() < 0.5) {
        const args = ['delegate', '--key', holders[at].path, '--to', `agent.${to}`, '--scope', ...passed, '--reason', reason,
          '--holder', holders[to].key.public.toString(), '--ttl', `${life}s`, ...allow.flatMap((line) => ['--allow', line]),
          ...audiences.flatMap((name) => ['--audience', name])];
        const delegated = await run(args, token);
        assert.equal(delegated.code, 0, `${args.join(' ')}: ${delegated.stderr}`);
        token = delegated.stdout;
        made.command += 1;
      } else {
        const capability = await Capability.parse(token);
        token = (await capability.delegate(holders[at].key, { to: `agent.${to}`, scopes: passed, reason, audiences,
          holder: holders[to].key.public, ttl: life, allow })).toBase64();
        made.typescript += 1;
      }
      const shown = (await Capability.parse(token)).inspect().hops.at(-1);
      assert.equal(shown.otherChecks, 0);
      assert.equal(shown.constraints.length, allow.length);
      at = to;
    }
    const present = async (call) => {
      if (next() < 0.5) {
        const args = ['present', '--key', holders[at].path, '--audience', AUDIENCE];
        const presented = await run([...args, ...(call ? ['--call', call.canonical()] : [])], token);
        assert.equal(presented.code, 0, presented.stderr);
        return presented.stdout;
      }
      return (await (await Capability.parse(token)).present(holders[at].key, AUDIENCE, call ? { call } : {})).bearer;
    };
    const decide = async (args, isBound) => {
      const bearer = await present(isBound ? Call.tool('pay', args) : undefined);
      const said = Object.entries(args).flatMap(([name, value]) => ['--arg', `${name}=${JSON.stringify(value)}`]);
      return run(['check', '--root', rootPublic.toString(), '--audience', AUDIENCE, '--operation', 'tools:call:pay', '--json', ...said], bearer);
    };
    const allowed = await decide(good, next() < 0.5);
    assert.equal(allowed.code, 0, `${number}: ${JSON.stringify(good)} ${allowed.stdout} ${allowed.stderr}`);
    verdicts.allowed += 1;
    if (line?.[2]) {
      const args = { ...good };
      for (const name of Object.keys(line[1])) delete args[name];
      const denied = await decide({ ...args, ...line[2] }, false);
      assert.equal(denied.code, 1, `${number}: ${line[0]} ${denied.stdout} ${denied.stderr}`);
      assert.match(denied.stdout, /check_failed|not_evaluable/);
      verdicts.denied += 1;
    }
  }

  const numbers = Array.from({ length: CHAINS }, (_, number) => number);
  await Promise.all([0, 1, 2, 3].map(async () => {
    for (let number = numbers.shift(); number !== undefined; number = numbers.shift()) await chain(number);
  }));
  console.log(JSON.stringify({ made, verdicts }));
  assert.ok(made.typescript > CHAINS / 2 && made.command > CHAINS / 2);
  assert.ok(verdicts.denied > CHAINS / 2);
});

test('each line becomes the same bytes as where the command writes it', options, async () => {
  await writeFile(join(folder, 'root'), root, { mode: 0o600 });
  const one = await holder(100);
  const two = await holder(101);
  const minted = await run(['mint', '--key', join(folder, 'root'), '--subject', 'user:alice', '--scope', '*', '--holder', one.key.public.toString()]);
  const { decode } = await import('../dist/proto.js');
  const { BISCUIT } = await import('../dist/schema.js');
  const { fromBase64, hex } = await import('../dist/bytes.js');
  const lines = [...LINES.map(([line]) => [line]), ['amount <= 5', 'note? length == 2', 'no other arguments'],
    ['a length <= 4096', 'b length <= 4097', 'c? length between 5 and 100000', 'each d length >= 5', 'e length <= 5 or f length >= 5000'], [' no arguments '],
    ['a = "\\u0000\\ud83d\\ude00"'], ['every item of a >= 2'], ['"no" present'], ['a in true, false'], ['the resource in ["https://a.example/", "file:///x"]'],
    ['a within file:///C:/docs'], ['a none of "b", "read", "a", "time", "\\uffff", "\\ud800\\udc00"'], ['a url https://*']];
  for (const allow of lines) {
    const now = Math.floor(Date.now() / 1000);
    const args = ['--to', 'agent.x', '--scope', 'tools:call:b', 'a:*', '*', 'tools:call:a', '--reason', 'why', '--holder', two.key.public.toString()];
    const theirs = await run(['delegate', '--key', one.path, ...args, ...allow.flatMap((line) => ['--allow', line])], minted.stdout);
    assert.equal(theirs.code, 0, `${allow}: ${theirs.stderr}`);
    const block = (token) => hex(decode(fromBase64(token), BISCUIT).blocks[0].block);
    const expires = (await Capability.parse(theirs.stdout)).inspect().hops[0].expires;
    const capability = await Capability.parse(minted.stdout);
    const ours = await capability.delegate(one.key, { to: 'agent.x', scopes: ['tools:call:b', 'a:*', '*', 'tools:call:a'], reason: 'why',
      holder: two.key.public, allow, now, ttl: expires - now });
    assert.equal(block(ours.toBase64()), block(theirs.stdout), allow.join('; '));
  }
});

test('lines that the command refuses are refused here', options, async () => {
  await writeFile(join(folder, 'root'), root, { mode: 0o600 });
  const one = await holder(102);
  const minted = await run(['mint', '--key', join(folder, 'root'), '--subject', 'user:alice', '--scope', '*', '--holder', one.key.public.toString()]);
  const capability = await Capability.parse(minted.stdout);
  const wrong = ['', 'amount', 'amount <= lots', 'amount <= 1.5', 'amount <= 9007199254740992', 'amount =< 5', 'a in []', 'a in [1, "x"]', 'a in [1,]',
    'a == null', 'a == a/b', 'a length < 0', 'a between 5 and 1', 'a? required', 'each a items < 5', 'a? absent', 'a.b == 1', 'a == 1 and b == 2',
    'a? == 1 or b == 2', 'a starts with "/srv"', 'a contains "x://y"', 'a within srv', 'a within /srv/../x', 'a within /srv//x', 'a within /srv/*',
    'a within /srv/x.', 'a within /srv/a;b', 'a within //srv', 'a url example.com', 'a url https://user@x.org', 'a url HTTPS://x.org', 'a url https://x.org/../y',
    'a url https://x_y.org', 'a url https://x.org:443', 'a url gopher://x.org', 'a url https://*.10.0.0.1', 'a network 10.0.0.1/8', 'a network 10.0.0.0/33', 'a network x',
    'a network ::1::', 'a network 1.2.3', 'a like "[ab]"', 'a like "***"', 'a like ""', 'a like "x://y"', 'the resource != "https://a.example/"', 'the resource like "*"',
    'the resource == "https://a.example"', 'the resource <= 5', 'the resource within /srv', 'The resource required', 'only', 'no other', 'a == "x" "y"', 'a\n== 1', 'a == 01', 'a == +1',
    'a == "\\ud800"', 'a in null, x', Array(5).fill('a == 1').join(' or '), `a == ${'x'.repeat(1025)}`, `a in ${Array.from({ length: 65 }, (_, n) => n)}`, ' '.repeat(4097)];
  for (const line of wrong) {
    const theirs = await run(['delegate', '--key', one.path, '--to', 'a', '--scope', 'a', '--reason', 'r', '--holder', one.key.public.toString(), '--allow', line], minted.stdout);
    assert.equal(theirs.code, 2, `${line}: ${theirs.stdout}`);
    await assert.rejects(
      capability.delegate(one.key, { to: 'a', scopes: ['a'], reason: 'r', holder: one.key.public, allow: [line] }),
      (error) => error instanceof HardtackError && ['malformed_constraint', 'malformed_operand', 'unsupported'].includes(error.code),
      line,
    );
  }
});

/** A JSON text of some value, not always of one that is taken. */
function json(next, depth) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  const kind = next();
  const space = () => pick(['', '', ' ', '\n\t']);
  if (depth > 0 && kind < 0.2) return `[${space()}${Array.from({ length: Math.floor(next() * 4) }, () => json(next, depth - 1)).join(`${space()},`)}]`;
  if (depth > 0 && kind < 0.45) {
    const members = Array.from({ length: Math.floor(next() * 5) }, () => `${text(next)}${space()}:${space()}${json(next, depth - 1)}`);
    return `{${space()}${members.join(`,${space()}`)}${space()}}`;
  }
  if (kind < 0.75) {
    const double = new DataView(new ArrayBuffer(8));
    double.setUint32(0, next() * 2 ** 32);
    double.setUint32(4, next() * 2 ** 32);
    const any = String(double.getFloat64(0)).replace('+', '').replace(/^(NaN|-?Infinity)$/, '7');
    return next() < 0.04 ? pick([any, '1e21', '9007199254740992', '-9007199254740993', '1e400', '01', '.5']) :
      pick([String(Math.abs(double.getFloat64(0)) < 2 ** 53 ? double.getFloat64(0) : next()), String(Math.floor((next() - 0.5) * 2 ** 40)), '-0', '-0.0',
        '9007199254740991', '9007199254740991.0', '1E2', '1.50', '0.1', '1e-7', '5e-324', '1e-400', '123456789.123456789', '100e-2',
        String((next() - 0.5) * 10 ** Math.floor(next() * 30 - 20))]);
  }
  return kind < 0.9 ? text(next) : next() < 0.1 ? pick(['nul', '"\\ud800"', '"\t"']) : pick(['true', 'false', 'null']);
}

function text(next) {
  const pick = (list) => list[Math.floor(next() * list.length)];
  const parts = ['a', 'b', 'Z', '1', ' ', 'é', 'e\\u0301', '\\u0041', '\\u00e9', '😀', '\\ud83d\\ude00', '\\/', '\\\\', '\\"', '__proto__', 'constructor', 'ﬁ', 'ß', 'ſ', 'K', '漢', '\u2028', '\\n', '\\u0000', '\ufb33', '\u{1d11e}', 'İ', 'ς', 'Σ'];
  const weights = next() < 0.9 ? parts.slice(0, 17) : parts;
  return `"${Array.from({ length: Math.floor(next() * 4) }, () => pick(weights)).join('')}"`;
}

test('1,000 random arguments have the digest that the command binds, or are refused by both', { ...options, timeout: 300_000 }, async () => {
  await writeFile(join(folder, 'root'), root, { mode: 0o600 });
  const one = await holder(103);
  const minted = await run(['mint', '--key', join(folder, 'root'), '--subject', 'user:alice', '--scope', '*', '--holder', one.key.public.toString()]);
  const next = random(7);
  const call = () => {
    const members = Array.from({ length: 1 + Math.floor(next() * 4) }, (_, at) => `"m${at}":${json(next, 3)}`);
    const wild = next() < 0.3 ? `,${text(next)}:${json(next, 2)}` : '';
    return `{"operation":"tools:call:pay","arguments":{${members.join(',')}${wild}}}`;
  };
  const count = { same: 0, refused: 0 };
  await Promise.all([0, 1, 2, 3].map(async () => {
    while (count.same < 1000) {
      const text = call();
      const presented = await run(['present', '--key', one.path, '--audience', AUDIENCE, '--call', text], minted.stdout);
      let digest;
      try {
        digest = Buffer.from(await Call.parse(text).digest()).toString('hex');
      } catch (error) {
        assert.ok(error instanceof HardtackError, String(error.stack));
      }
      assert.equal(presented.code === 0, digest !== undefined, `${text} ${presented.stderr}`);
      if (digest === undefined) {
        count.refused += 1;
        continue;
      }
      assert.ok(Buffer.from(presented.stdout, 'base64url').toString('hex').includes(digest), text);
      count.same += 1;
    }
  }));
  console.log(JSON.stringify(count));
  assert.ok(count.same >= 1000 && count.refused > 100);
});

test('300 tokens that somebody changed are read by both, or refused in the same words', { ...options, timeout: 200_000 }, async () => {
  const { readFile } = await import('node:fs/promises');
  const { fromBase64, toBase64 } = await import('../dist/bytes.js');
  const vectors = JSON.parse(await readFile(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));
  const tokens = vectors.testcases.map(({ bearer }) => fromBase64(bearer)).filter((bytes) => bytes?.length > 100);
  const next = random(11);
  const pick = (list) => list[Math.floor(next() * list.length)];
  const changes = Array.from({ length: Number(process.env.HARDTACK_TS_CHANGES ?? 300) }, () => {
    const bytes = pick(tokens).slice();
    for (let change = 0; change < 1 + next() * 2; change++) {
      const at = Math.floor(next() * bytes.length);
      // Small numbers stand for words, kinds and lengths.
      bytes[at] = next() < 0.5 ? bytes[at] ^ (1 << Math.floor(next() * 8)) : (bytes[at] + pick([1, 2, 255, 254])) & 0xff;
    }
    return toBase64(bytes);
  });
  const count = { read: 0, refused: 0 };
  await Promise.all([0, 1, 2, 3].map(async () => {
    for (let token = changes.pop(); token !== undefined; token = changes.pop()) {
      const theirs = await run(['inspect', '--json'], token);
      const ours = await Capability.parse(token).then(() => '', (error) => (assert.ok(error instanceof HardtackError, error.stack), error.message));
      const said = theirs.code === 0 ? '' : theirs.stderr.trim().replace(/^error: /, '').replace(/; perhaps some of it was changed on the way.*$/s, '');
      const isNone = (text) => /^this is no (token|Biscuit)/.test(text);
      if (isNone(said)) assert.ok(isNone(ours), `${token}: ${said} | ${ours}`);
      else assert.equal(ours, said, token);
      count[said ? 'refused' : 'read'] += 1;
    }
  }));
  console.log(JSON.stringify(count));
  assert.ok(count.read > 5 && count.refused > 100, JSON.stringify(count));
});
