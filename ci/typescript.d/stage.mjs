// Runs the package's examples against a gateway with real MCP clients, and says what held.
//   node stage.mjs HARDTACK SCRATCH EXAMPLE...      SCRATCH has the examples and their node_modules

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [binary, scratch, ...examples] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'hardtack-stage-'));
const started = [];
const hardtack = (args, input = '') => execFileSync(binary, args, { cwd: folder, input, encoding: 'utf8', timeout: 20_000, stdio: ['pipe', 'pipe', 'inherit'] });

/** Starts a server, and gives back what it says first that matches. */
function start(command, args, wanted, options) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  started.push(child);
  return new Promise((resolve, reject) => {
    let said = '';
    const hear = (data) => {
      said += data;
      const found = wanted.exec(said);
      if (found) resolve(found[1]);
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    child.on('exit', () => reject(new Error(`${command} ended: ${said}`)));
    setTimeout(() => reject(new Error(`${command} did not begin: ${said}`)), 20_000).unref();
  });
}

const ALLOWED = /^search: allowed: found roadmap$/m;
const AGAIN = /^search: allowed: found again$/m;
const REFUSED = /^delete_page: refused: denied: the token does not grant tools:call:delete_page/m;
const EXPECTED = {
  'mcp-sdk-1.mjs': [/^tools: search read_page$/m, ALLOWED, REFUSED, AGAIN],
  'mcp-client-2.mjs': [/^tools: search read_page$/m, ALLOWED, REFUSED, AGAIN],
  'vercel-ai.mjs': [/^tools: search read_page$/m, ALLOWED, REFUSED, AGAIN],
  'mastra.mjs': [/^tools: search read_page$/m, ALLOWED, /^read_page: refused: .*denied/m, AGAIN],
  'sub-agent.mjs': [
    /^delegated: id in \["changes", "roadmap"\]; only id$/m, /^read_page roadmap: allowed: the page roadmap$/m, /^read_page salaries: refused: denied/m,
    /^search salaries: refused: denied: the token does not grant tools:call:search/m, /^read_page changes: allowed: the page changes$/m, /^beyond_scope: the scope tools:call:search is not covered/m,
  ],
};

let failed = 0;
try {
  const root = hardtack(['keygen', '--out', 'root.key']).trim();
  const grant = hardtack(['mint', '--key', 'root.key', '--subject', 'user:alice', '--scope', 'tools:call:*', '--new-holder', 'orchestrator.key']);
  const hop = ['delegate', '--key', 'orchestrator.key', '--to', 'agent.researcher', '--scope', 'tools:call:search', 'tools:call:read_page', '--new-holder', 'researcher.key'];
  writeFileSync(join(folder, 'researcher.token'), hardtack([...hop, '--reason', 'find the roadmap page', '--allow', 'id? in ["roadmap", "changes"]'], grant));
  hardtack(['store', 'create', 'hardtack.store']);
  const port = await start(process.execPath, ['upstream.mjs'], /^(\d+)$/m, { cwd: scratch });
  const gateway = ['gateway', '--listen', '127.0.0.1:0', '--upstream', `http://127.0.0.1:${port}/mcp`, '--audience', 'notion.mcp', '--root', root, '--store', 'hardtack.store', '--log-format', 'json'];
  const url = await start(binary, gateway, /(http:\/\/127\.0\.0\.1:\d+\/mcp|127\.0\.0\.1:\d+)/, { cwd: folder });
  const env = {
    ...process.env,
    HARDTACK_URL: url.startsWith('http') ? url : `http://${url}/mcp`,
    HARDTACK_CAPABILITY: join(folder, 'researcher.token'),
    HARDTACK_KEY: join(folder, 'researcher.key'),
  };
  for (const example of examples) {
    const child = spawn(process.execPath, [example], { cwd: scratch, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    let said = '';
    child.stdout.on('data', (data) => (said += data));
    child.stderr.on('data', (data) => (said += data));
    const code = await new Promise((resolve) => child.on('close', resolve));
    const missing = EXPECTED[example].filter((wanted) => !wanted.test(said));
    const token = readFileSync(join(folder, 'researcher.token'), 'utf8').trim();
    const leaks = said.includes(token.slice(-60));
    console.log(`${example}: ${code === 0 && missing.length === 0 && !leaks ? 'holds' : `does NOT hold (${code})`}`);
    if (code !== 0 || missing.length > 0 || leaks) {
      failed += 1;
      console.log(missing.map(String).join('\n'), said);
    }
  }
} catch (error) {
  failed += 1;
  console.log(error);
} finally {
  for (const child of started) {
    const ended = new Promise((resolve) => (child.exitCode === null ? child.on('exit', resolve) : resolve()));
    child.kill('SIGTERM');
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 15_000).unref())]);
    child.kill('SIGKILL');
  }
  rmSync(folder, { recursive: true });
}
process.exit(failed > 0 ? 1 : 0);
