// The server behind the gateway: what the conformance suite asks of a server, in both eras of the protocol. On the
// official TypeScript SDK. Prints its URL as one line.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { toNodeHandler } from '@modelcontextprotocol/node';
import {
  completable,
  createMcpHandler,
  createRequestStateCodec,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  McpServer,
  originValidationResponse,
  ResourceTemplate,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server';
import { memorySkillFiles, SkillsExtension } from '@modelcontextprotocol/server/ext/skills';
import { z } from 'zod';
import { serveTasks, TASKS } from './tasks.mjs';
import { ask, embedded, image, serveTools } from './tools.mjs';

const states = createRequestStateCodec({ key: randomUUID() + randomUUID() });
const skills = await SkillsExtension.load(
  memorySkillFiles({
    'find-pages/SKILL.md': '---\nname: find-pages\ndescription: How pages are found.\n---\nAsk for the title.\n',
    'find-pages/references/TITLES.md': 'Titles are short.\n',
  }),
);

function build(change, era) {
  const mcp = new McpServer(
    { name: 'conformance-upstream', version: '1' },
    {
      capabilities: {
        logging: {},
        completions: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        ...(era === 'modern' && { extensions: { [TASKS]: {} } }),
      },
      requestState: { verify: states.verify },
      cacheHints: Object.fromEntries(
        ['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list', 'resources/read'].map((method) => [
          method,
          { ttlMs: 1000, cacheScope: 'private' },
        ]),
      ),
    },
  );
  serveTools(mcp, { states, change });
  serveResources(mcp);
  servePrompts(mcp);
  if (era === 'modern') {
    serveTasks(mcp);
    skills.attach(mcp);
  }
  return mcp;
}

function serveResources(mcp) {
  const resource = (name, uri, mimeType, contents) =>
    mcp.registerResource(name, uri, { description: `The resource ${name}`, mimeType }, () => ({
      contents: [{ uri, mimeType, ...contents }],
    }));
  resource('static-text', 'test://static-text', 'text/plain', {
    text: 'This is the content of the static text resource.',
  });
  resource('static-binary', 'test://static-binary', 'image/png', { blob: image.data });
  resource('watched-resource', 'test://watched-resource', 'text/plain', { text: 'Watched.' });
  mcp.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'Data by their id', mimeType: 'application/json' },
    (uri, { id }) => {
      const text = JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` });
      return { contents: [{ uri: uri.href, mimeType: 'application/json', text }] };
    },
  );
  mcp.server.setRequestHandler('resources/subscribe', () => ({}));
  mcp.server.setRequestHandler('resources/unsubscribe', () => ({}));
}

function servePrompts(mcp) {
  const says = (...contents) => ({ messages: contents.map((content) => ({ role: 'user', content })) });
  const text = (text) => ({ type: 'text', text });
  const prompt = (name, argsSchema, answer) =>
    mcp.registerPrompt(name, { description: `The prompt ${name}`, ...(argsSchema && { argsSchema }) }, answer);
  prompt('test_simple_prompt', undefined, () => says(text('This is a simple prompt for testing.')));
  const one = completable(z.string().describe('The first'), (begun) =>
    ['paris', 'park', 'party'].filter((value) => value.startsWith(begun)),
  );
  const both = z.object({ arg1: one, arg2: z.string().describe('The second') });
  prompt('test_prompt_with_arguments', both, ({ arg1, arg2 }) =>
    says(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  );
  prompt('test_prompt_with_embedded_resource', z.object({ resourceUri: z.string() }), ({ resourceUri }) =>
    says(
      embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
      text('Please process the embedded resource above.'),
    ),
  );
  prompt('test_prompt_with_image', undefined, () => says(image, text('Please analyze the image above.')));
  prompt('test_input_required_result_prompt', undefined, (context) => {
    const answer = ask(context, 'user_context', { elicit: 'What context should the prompt use?', field: 'context' });
    return answer.asking ?? says(text(`In this context: ${answer.value}`));
  });
}

// 2026-07-28: nothing lasts beyond a request but the streams that listen.
const changes = { tools: () => modern.notify.toolsChanged(), prompts: () => modern.notify.promptsChanged() };
const modern = createMcpHandler(({ era }) => build((what) => changes[what](), era), { legacy: 'reject' });

// Before: sessions, whose streams can be resumed.
const sessions = new Map();
const events = { kept: [], next: 0 };
const eventStore = {
  async storeEvent(stream, message) {
    const id = String(events.next++);
    events.kept.push({ id, stream, message });
    return id;
  },
  async getStreamIdForEventId(id) {
    return events.kept.find((event) => event.id === id)?.stream;
  },
  async replayEventsAfter(last, { send }) {
    const from = events.kept.findIndex((event) => event.id === last);
    const stream = events.kept[from]?.stream;
    for (const event of events.kept.slice(from + 1)) {
      if (event.stream === stream && Object.keys(event.message).length > 0) await send(event.id, event.message);
    }
    return stream;
  },
};

async function inSession(request) {
  const id = request.headers.get('mcp-session-id');
  if (id !== null) {
    return sessions.get(id)?.handleRequest(request) ?? failure(404, -32001, 'Session not found');
  }
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => void sessions.set(id, transport),
    onsessionclosed: (id) => void sessions.delete(id),
    eventStore,
    retryInterval: 200,
  });
  const mcp = build((what) => (what === 'tools' ? mcp.sendToolListChanged() : mcp.sendPromptListChanged()), 'legacy');
  await mcp.connect(transport);
  return transport.handleRequest(request);
}

function failure(status, code, message) {
  return Response.json({ jsonrpc: '2.0', id: null, error: { code, message } }, { status });
}

async function serve(request) {
  const rejected =
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins());
  if (rejected) return rejected;
  return (await isLegacyRequest(request)) ? inSession(request) : modern.fetch(request);
}

const http = createServer(toNodeHandler({ fetch: serve }, { onerror: (error) => console.error(error) }));
http.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${http.address().port}/mcp`));
