// Serves a page on loopback, has a browser open it, and waits for what the page says.
//   node browser.mjs BROWSER FOLDER        FOLDER has anywhere.mjs, data-made.mjs and the package's files in dist

import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [browser, folder] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), 'hardtack-browser-'));
const PAGE = `<!doctype html><script type="importmap">{"imports":{"@hardtack/agent":"/dist/index.js"}}</script><script type="module">
let said;
try {
  const { anywhere } = await import('/anywhere.mjs');
  const { data } = await import('/data-made.mjs');
  said = { holds: await anywhere(data) };
} catch (error) { said = { error: String(error?.stack ?? error) }; }
await fetch('/said', { method: 'POST', body: JSON.stringify({ ...said, agent: navigator.userAgent }) });
</script>`;
let child;
function end(code) {
  child.removeAllListeners('exit');
  child.on('exit', () => {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    process.exit(code);
  });
  child.kill('SIGKILL');
}
const server = createServer((request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  if (path === '/said') {
    let body = '';
    request.on('data', (data) => (body += data));
    request.on('end', () => {
      response.end();
      const { holds, error, agent } = JSON.parse(body);
      console.log(`${/Chrome\/[\d.]+/.exec(agent)?.[0] ?? agent}: ${holds ? `${holds} things hold` : error}`);
      end(holds ? 0 : 1);
    });
  } else if (path === '/') response.setHeader('content-type', 'text/html').end(PAGE);
  else if (!/^\/(dist\/)?[a-z-]+\.m?js$/.test(path)) response.writeHead(404).end();
  else response.setHeader('content-type', 'text/javascript').end(readFileSync(join(folder, path)));
});
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const flags = ['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--disable-background-networking', `--user-data-dir=${profile}`];
  child = spawn(browser, [...flags, url], { stdio: 'ignore' });
  child.on('exit', (code) => {
    console.log(`${browser} ended with ${code} and said nothing`);
    process.exit(1);
  });
  setTimeout(() => {
    console.log(`${browser} said nothing in a minute`);
    end(1);
  }, 60_000).unref();
});
