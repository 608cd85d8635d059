// Drives the MCP TypeScript client 2 through the scenario, in the era that ERA names, and prints what it saw as JSON.
// ERA is "legacy" (initialize), "auto" (server/discover first) or "2026-07-28" (no fallback).

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// The packages are kept outside the tree, in the folder that CLIENT_MODULES names.
const require = createRequire(process.env.CLIENT_MODULES + "/");
const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

// Without a token no header is sent: then something between here and the gateway signs.
const { URL: url, TOKEN: token } = process.env;
const era = process.env.ERA ?? "auto";
const steps = (process.env.STEPS ?? "tools resources prompts progress resume ask bad").split(" ");

async function connected(token) {
  const client = new Client(
    { name: "drive_ts2", version: "1" },
    {
      capabilities: { elicitation: { form: {} }, sampling: {} },
      versionNegotiation: { mode: ["legacy", "auto"].includes(era) ? era : { pin: era } },
    },
  );
  client.setRequestHandler("elicitation/create", () => ({ action: "accept", content: { colour: "blue" } }));
  client.setRequestHandler("sampling/createMessage", () => ({
    role: "assistant",
    content: { type: "text", text: "hm" },
    model: "none",
  }));
  const transport = new StreamableHTTPClientTransport(new URL(url), {
    requestInit: { headers: token ? { Authorization: `Bearer ${token}` } : {} },
  });
  try {
    await client.connect(transport, { timeout: 20_000 });
  } catch (error) {
    // A transport that failed to connect may hold timers that keep the process alive.
    await transport.close();
    throw error;
  }
  return { client, transport };
}

async function call(client, name, args, progress) {
  const heard = progress && (({ progress: number }) => progress.push(number));
  const result = await client.callTool({ name, arguments: args }, { timeout: 20_000, onprogress: heard || undefined });
  return { isError: result.isError ?? false, text: result.content[0].text };
}

const orError = (promise) => promise.catch((error) => ({ code: error.code, error: error.message }));

// The package's own package.json is not exported.
const package_json = `${process.env.CLIENT_MODULES}/node_modules/@modelcontextprotocol/client/package.json`;
const { version } = JSON.parse(readFileSync(package_json, "utf8"));
const saw = { client: `ts client ${version} ${era}` };
const { client, transport } = await connected(token);
saw.protocol = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;
if (steps.includes("tools")) {
  saw.tools = (await client.listTools()).tools.map((tool) => tool.name);
  saw.allowed = await call(client, "search", { query: "one" });
  saw.refused = await call(client, "delete_page", { id: "1" });
  saw.allowed_again = await call(client, "search", { query: "two" });
}
if (steps.includes("resources")) {
  saw.resources = (await client.listResources()).resources.map((resource) => resource.uri);
  saw.resource = (await client.readResource({ uri: "https://notion.example/roadmap" })).contents[0].text;
}
if (steps.includes("prompts")) {
  saw.prompts = (await client.listPrompts()).prompts.map((prompt) => prompt.name);
  saw.prompt = (await client.getPrompt({ name: "brief" })).messages[0].content.text;
  const refused = await orError(client.getPrompt({ name: "secret" }));
  saw.prompt_refused = refused.error ? refused : { error: null };
}
if (steps.includes("progress")) {
  saw.progress = [];
  saw.counted = await call(client, "count", { to: 3 }, saw.progress);
}
if (steps.includes("resume")) {
  saw.resumed_progress = [];
  saw.resumed = await call(client, "cut", { to: 3 }, saw.resumed_progress);
}
if (steps.includes("ask")) {
  saw.asked = await orError(call(client, "ask", {}));
  saw.thought = await orError(call(client, "think", {}));
}
saw.allowed_last = await call(client, "search", { query: "three" });
if (transport.sessionId) await transport.terminateSession();
await client.close();

if (steps.includes("bad")) {
  const began = performance.now();
  const error = await connected("bm9ib2R5")
    .then(async ({ client }) => {
      await client.listTools();
      await client.close();
      return null;
    })
    .catch(String);
  saw.bad_token = { error, seconds: Math.round(performance.now() - began) / 1000 };
}
console.log(JSON.stringify(saw));
