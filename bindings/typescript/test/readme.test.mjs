// The README's example runs as it stands there, and its names are those of the package.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { test } from 'node:test';
import * as agent from '../dist/index.js';
import { fromBase64, toBase64 } from '../dist/bytes.js';
import { decode, encode } from '../dist/proto.js';
import { BISCUIT } from '../dist/schema.js';

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');
const vectors = JSON.parse(await readFile(new URL('../../../tests/vectors/vectors.json', import.meta.url), 'utf8'));

test('the example of the README runs as it stands there', async () => {
  const [, example] = /```js\n([^]*?)```/.exec(readme);
  assert.ok(example.trim().split('\n').length <= 12, 'it is some ten lines');
  const folder = await mkdtemp(join(tmpdir(), 'hardtack-readme-'));
  try {
    const read = decode(fromBase64(vectors.testcases[0].bearer), BISCUIT);
    const grant = encode({ ...read, blocks: [], proof: { nextSecret: new Uint8Array(32).fill(0xf0) } }, BISCUIT);
    await writeFile(join(folder, 'grant.token'), `${toBase64(grant)}\n`);
    await writeFile(join(folder, 'orchestrator.key'), `${vectors.keys.orchestrator}\n`, { mode: 0o600 });
    // The vectors' grant is of a fixed day.
    await writeFile(join(folder, 'then.mjs'), 'Date.now = () => 1_795_428_000_000;');
    await writeFile(join(folder, 'example.mjs'), example);
    await mkdir(join(folder, 'node_modules/@hardtack'), { recursive: true });
    await symlink(fileURLToPath(new URL('..', import.meta.url)), join(folder, 'node_modules/@hardtack/agent'), 'dir');
    const run = promisify(execFile)(process.execPath, ['--import', './then.mjs', 'example.mjs'], { cwd: folder, timeout: 30_000 });
    assert.match((await run).stdout, /^\[ 'query length <= 80' \] \d{4}\n$/);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('what the README names is there', () => {
  const [, table] = readme.split('| Rust | TypeScript |');
  const rows = table.split('\n\n')[0].split('\n').slice(2);
  assert.ok(rows.length > 10);
  const { Capability, Call, Presentation, Presenter, PrivateKey, PublicKey } = agent;
  const has = (name) => [Capability, Call, Presentation, Presenter, PrivateKey, PublicKey].some((one) => name in one || name in one.prototype);
  const options = 'root subject publicKey capability key audience text delegator undefined true unbound uri name args grant hops caveats presentation bearer expires revocationId public code cause beyond_scope wrong_key new of'.split(' ');
  for (const row of rows) {
    const [, , typescript] = row.split('|');
    for (const [, code] of typescript.matchAll(/`([^`]+)`/g)) {
      const words = code.replace(/\{[^}]*\}/g, '').match(/[A-Za-z_0-9]{3,}/g) ?? [];
      for (const word of words) {
        assert.ok(has(word) || word in agent || options.includes(word) || ['await', 'Error'].includes(word), `${word} of ${code}`);
      }
    }
  }
});
