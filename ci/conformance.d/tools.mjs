// The tools that the suite calls by their names.
import { fromJsonSchema, inputRequired } from '@modelcontextprotocol/server';
import { callTask, isTaskTool, taskTools } from './tasks.mjs';

const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
// The header of a WAVE file, and no sample.
const silence = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=';

export const image = { type: 'image', data: pixel, mimeType: 'image/png' };
export const embedded = (uri, mimeType, text) => ({ type: 'resource', resource: { uri, mimeType, text } });
export const text = (text) => ({ content: [{ type: 'text', text }] });
export const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const elicit = (message, properties, required = Object.keys(properties)) =>
  inputRequired.elicit({ message, requestedSchema: { type: 'object', properties, required } });
const sample = (text, maxTokens) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text } }], maxTokens });

// The user's answer to one question of one text field, or the result that asks for it.
export function ask(context, key, { elicit: question, field }) {
  const value = context.mcpReq.inputResponses?.[key]?.content?.[field];
  if (typeof value === 'string') return { value };
  return { asking: inputRequired({ inputRequests: { [key]: elicit(question, { [field]: { type: 'string' } }) } }) };
}

// A tool that asks one question, in whichever way the protocol's version has, and says what was answered.
const asks = (key, request, prefix) => (args, context) => {
  const answer = context.mcpReq.inputResponses?.[key];
  if (answer === undefined) return inputRequired({ inputRequests: { [key]: request(args) } });
  return text(prefix(answer));
};

const completed = ({ action, content }) => `Elicitation completed: action=${action}, content=${JSON.stringify(content)}`;

const names = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
const enums = {
  untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
  titledSingle: {
    type: 'string',
    oneOf: ['First', 'Second', 'Third'].map((title, n) => ({ const: `value${n + 1}`, title: `${title} Option` })),
  },
  legacyEnum: {
    type: 'string',
    enum: ['opt1', 'opt2', 'opt3'],
    enumNames: ['Option One', 'Option Two', 'Option Three'],
  },
  untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
  titledMulti: {
    type: 'array',
    items: {
      anyOf: ['First', 'Second', 'Third'].map((title, n) => ({ const: `value${n + 1}`, title: `${title} Choice` })),
    },
  },
};

const schema2020 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

// Tools whose answer needs a signed state between the rounds.
function rounds(states) {
  const confirm = () => elicit('Please confirm', { ok: { type: 'boolean' } });
  const all = {
    user_name: () => elicit('What is your name?', { name: { type: 'string' } }),
    greeting: () => sample('Generate a greeting', 50),
    client_roots: () => inputRequired.listRoots(),
  };
  const asking = async (requests, state) =>
    inputRequired({ inputRequests: requests, requestState: await states.mint(state) });
  const build = (requests) => Object.fromEntries(Object.entries(requests).map(([key, request]) => [key, request()]));
  const confirmed = async (_, { mcpReq }) => {
    if (mcpReq.requestState()?.asked !== 'confirm') return asking({ confirm: confirm() }, { asked: 'confirm' });
    return text('state-ok');
  };
  return {
    test_input_required_result_request_state: confirmed,
    test_input_required_result_tampered_state: confirmed,
    test_input_required_result_multiple_inputs: async (_, { mcpReq }) => {
      const answers = mcpReq.inputResponses ?? {};
      if (Object.keys(all).every((key) => key in answers)) return text('all three were answered');
      return asking(build(all), { asked: 'all' });
    },
    test_input_required_result_multi_round: async (_, { mcpReq }) => {
      const state = mcpReq.requestState();
      const { step1, step2 } = mcpReq.inputResponses ?? {};
      if (state?.round === 2 && step2) return text(`${state.name} likes ${step2.content?.color}`);
      if (state?.round === 1 && step1) {
        const color = elicit('Step 2: What is your favorite color?', { color: { type: 'string' } });
        return asking({ step2: color }, { round: 2, name: step1.content?.name });
      }
      return asking({ step1: elicit('Step 1: What is your name?', { name: { type: 'string' } }) }, { round: 1 });
    },
  };
}

// Every tool: what it does and, where it takes arguments, their schema.
function tools({ states, change }) {
  const noSchema = {
    test_simple_text: () => text('This is a simple text response for testing.'),
    test_image_content: () => ({ content: [image] }),
    test_audio_content: () => ({ content: [{ type: 'audio', data: silence, mimeType: 'audio/wav' }] }),
    test_embedded_resource: () => ({
      content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
    }),
    test_multiple_content_types: () => ({
      content: [
        { type: 'text', text: 'Multiple content types test:' },
        image,
        embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
      ],
    }),
    test_tool_with_logging: async (_, { mcpReq }) => {
      await mcpReq.log('info', 'Tool execution started');
      await wait(50);
      await mcpReq.log('info', 'Tool processing data');
      await wait(50);
      await mcpReq.log('info', 'Tool execution completed');
      return text('logged three times');
    },
    test_tool_with_progress: async (_, { mcpReq }) => {
      const progressToken = mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        const params = { progressToken, progress, total: 100 };
        if (progressToken !== undefined) await mcpReq.notify({ method: 'notifications/progress', params });
        await wait(50);
      }
      return text('done');
    },
    test_error_handling: () => {
      throw new Error('This tool intentionally returns an error for testing');
    },
    test_reconnection: async (_, context) => {
      await wait(100);
      context.http?.closeSSE?.();
      await wait(300);
      return text('answered after the stream was closed');
    },
    test_elicitation_sep1034_defaults: asks(
      'person',
      () =>
        elicit(
          'Please look at these values',
          {
            name: { type: 'string', default: 'John Doe' },
            age: { type: 'integer', default: 30 },
            score: { type: 'number', default: 95.5 },
            status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
            verified: { type: 'boolean', default: true },
          },
          [],
        ),
      completed,
    ),
    test_elicitation_sep1330_enums: asks('choice', () => elicit('Please choose', enums, []), completed),
    test_input_required_result_elicitation: (_, context) => {
      const answer = ask(context, 'user_name', { elicit: 'What is your name?', field: 'name' });
      return answer.asking ?? text(`Hello, ${answer.value}!`);
    },
    test_input_required_result_sampling: asks(
      'capital_question',
      () => sample('What is the capital of France?', 100),
      ({ content }) => `The model said: ${content?.text}`,
    ),
    test_input_required_result_list_roots: asks(
      'client_roots',
      () => inputRequired.listRoots(),
      ({ roots }) => `The roots: ${roots?.map((root) => root.uri).join(', ')}`,
    ),
    test_input_required_result_capabilities: (_, { mcpReq }) => {
      const declared = mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities'] ?? {};
      const requests = {};
      if (declared.elicitation) requests.user_name = elicit('What is your name?', { name: { type: 'string' } });
      if (declared.sampling) requests.greeting = sample('Generate a greeting', 50);
      return Object.keys(requests).length > 0 ? inputRequired({ inputRequests: requests }) : text('nothing to ask');
    },
    test_missing_capability: asks('greeting', () => sample('Generate a greeting', 50), () => 'sampled'),
    test_streaming_elicitation: asks(
      'user_name',
      () => elicit('What is your name?', { name: { type: 'string' } }),
      ({ content }) => `Hello, ${content?.name}!`,
    ),
    test_logging_tool: async (_, { mcpReq }) => {
      await mcpReq.log('info', 'The tool runs');
      return text('logged');
    },
    test_trigger_tool_change: () => (change('tools'), text('the tools changed')),
    test_trigger_prompt_change: () => (change('prompts'), text('the prompts changed')),
    ...rounds(states),
  };
  const one = (name, more) => ({
    type: 'object',
    properties: { [name]: { type: 'string', ...more } },
    required: [name],
  });
  const withSchema = {
    test_sampling: [
      one('prompt'),
      asks(
        'sampled',
        ({ prompt }) => sample(prompt, 100),
        ({ content }) => `LLM response: ${content?.text}`,
      ),
    ],
    test_elicitation: [
      one('message'),
      asks(
        'user',
        ({ message }) =>
          elicit(message, {
            username: { type: 'string', description: "User's response" },
            email: { type: 'string', description: "User's email address" },
          }),
        ({ action, content }) => `User response: action=${action}, content=${JSON.stringify(content)}`,
      ),
    ],
    json_schema_2020_12_tool: [schema2020, () => text('the schema stands')],
    test_header_region: [
      one('region', { 'x-mcp-header': 'Region' }),
      ({ region }) => text(`in the region ${region}`),
    ],
    greet: [names, ({ name }) => text(`Hello, ${name}!`)],
  };
  const table = new Map(Object.entries(noSchema).map(([name, run]) => [name, { run }]));
  for (const [name, [schema, run]] of Object.entries(withSchema)) table.set(name, { schema, run });
  return table;
}

export function serveTools(mcp, around) {
  const table = tools(around);
  for (const [name, { schema }] of [...table, ...taskTools]) {
    const inputSchema = fromJsonSchema(schema ?? { type: 'object', properties: {} });
    // Called below, by the handler of all tools: what it throws with a code is the protocol's error, which
    // the SDK would make a result of.
    mcp.registerTool(name, { description: `The tool ${name}`, inputSchema }, () => text(''));
  }
  mcp.server.setRequestHandler('tools/call', async ({ params }, context) => {
    const { name } = params;
    const args = params.arguments ?? {};
    if (isTaskTool(name)) return callTask(mcp, name, args, context);
    try {
      return await table.get(name).run(args, context);
    } catch (error) {
      return { ...text(error.message), isError: true };
    }
  });
}
