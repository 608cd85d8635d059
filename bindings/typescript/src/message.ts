/** Message: which calls does a message of the Model Context Protocol mean? Read as the gateway reads it. */

import { fromUtf8, type Bytes } from './bytes.js';
import { Call, exactly, MAX_ARGUMENT_DEPTH, MAX_ARGUMENT_VALUES } from './call.js';
import { refuse } from './error.js';
import { ambiguous, canonical, member, parseStrictly, type Json, type JsonObject } from './json.js';
import { operationOfPrompt } from './scope.js';

/** How deep a message may nest, how many values it may have, and to how many resources one may subscribe. */
const MAX_LEVELS = MAX_ARGUMENT_DEPTH + 4;
const MAX_VALUES = MAX_ARGUMENT_VALUES;
const MAX_SUBSCRIPTIONS = 32;

/** What the protocol itself keeps in `_meta`: how a request is carried, not what is to be done. */
const OF_THE_PROTOCOL = new Set([
  'progressToken', 'traceparent', 'tracestate', 'baggage', 'io.modelcontextprotocol/protocolVersion',
  'io.modelcontextprotocol/clientInfo', 'io.modelcontextprotocol/clientCapabilities',
]);

/** What a runtime waits for. */
export interface Envelope {
  /** The id of a request, as JSON; absent for what has no answer. */
  id: string | undefined;
  method: string | undefined;
}

function malformed(): never {
  return refuse('inexact_call', 'the parameters have not the form that the method has');
}

function text(params: JsonObject, name: string): string {
  const value = params.get(name);
  return typeof value === 'string' ? value : malformed();
}

function object(params: JsonObject, name: string, known?: readonly string[]): JsonObject {
  const value = params.get(name);
  if (!(value instanceof Map) || (known && ![...value.keys()].every((name) => known.includes(name)))) return malformed();
  return value;
}

/** All that parameters say besides what is judged. */
function further(params: JsonObject, judged: readonly string[]): JsonObject {
  const rest: JsonObject = new Map([...params].filter(([name]) => !judged.includes(name)));
  const meta = rest.get('_meta');
  if (meta instanceof Map) {
    const own: JsonObject = new Map([...meta].filter(([name]) => !OF_THE_PROTOCOL.has(name)));
    if (own.size > 0) rest.set('_meta', own);
    else rest.delete('_meta');
  }
  return rest;
}

const none = (): JsonObject => new Map();
const one = (name: string, value: Json): JsonObject => new Map([[name, value]]);

function named(operation: string, params: JsonObject): Call {
  const args = params.get('arguments') ?? none();
  if (!(args instanceof Map)) return malformed();
  return Call.made(operation, undefined, args, further(params, ['name', 'arguments']));
}

const about = (operation: string, params: JsonObject): Call =>
  Call.made(operation, text(params, 'uri'), none(), further(params, ['uri']));

const task = (operation: string, params: JsonObject): Call =>
  Call.made(operation, undefined, one('task', text(params, 'taskId')), further(params, ['taskId']));

function complete(params: JsonObject): Call {
  const reference = object(params, 'ref', ['type', 'name', 'uri', 'title']);
  const args = none();
  for (const [name, argument] of [['name', 'prompt'], ['uri', 'template']] as const) {
    if (reference.has(name)) args.set(argument, reference.get(name)!);
  }
  args.set('argument', object(params, 'argument', ['name', 'value']));
  return Call.made('completion:complete', undefined, args, further(params, ['ref', 'argument']));
}

function listen(params: JsonObject): Call[] {
  const said = further(params, ['notifications']);
  const calls: (() => Call)[] = [];
  for (const [name, value] of object(params, 'notifications')) {
    if (/^(tools|prompts|resources)ListChanged$/.test(name) && typeof value === 'boolean') continue;
    if ((name !== 'resourceSubscriptions' && name !== 'taskIds') || !Array.isArray(value)) return malformed();
    for (const item of value) {
      if (typeof item !== 'string') return malformed();
      calls.push(() =>
        name === 'taskIds'
          ? Call.made('tasks:get', undefined, one('task', item), said)
          : Call.made('resources:subscribe', item, none(), said),
      );
    }
  }
  return calls.length > MAX_SUBSCRIPTIONS ? malformed() : calls.map((make) => make());
}

function callsOf(method: string, params: JsonObject): Call[] {
  switch (method) {
    case 'tools/call':
      return [named(`tools:call:${text(params, 'name')}`, params)];
    case 'prompts/get':
      return [named(operationOfPrompt(text(params, 'name')), params)];
    case 'resources/read':
    case 'resources/subscribe':
    case 'resources/unsubscribe':
    case 'skills/get':
      return [about(method.replace('/', ':'), params)];
    case 'resources/directory/read':
      return [about('resources:readDirectory', params)];
    case 'tasks/get':
    case 'tasks/result':
    case 'tasks/update':
    case 'tasks/cancel':
      return [task(method.replace('/', ':'), params)];
    case 'subscriptions/listen':
      return listen(params);
    case 'completion/complete':
      return [complete(params)];
    case 'logging/setLevel':
      return [
        Call.made('logging:setLevel', undefined, one('level', params.get('level') ?? null), further(params, ['level'])),
      ];
    default:
      return [];
  }
}

/** The calls that a message means: none for a list, an answer, and what is not known. Refuses what is not exact. */
export function callsIn(body: Bytes): Call[] {
  return exactly(() => {
    const message = parseStrictly(fromUtf8(body) ?? ambiguous('json'), MAX_LEVELS, MAX_VALUES);
    const method = member(message, 'method');
    if (typeof method !== 'string' || !(message as JsonObject).has('id')) return [];
    const params = (message as JsonObject).get('params') ?? none();
    return params instanceof Map ? callsOf(method, params) : malformed();
  });
}

/** Who waits for an answer, of whatever the body is. Nothing else of it is acted on. */
export function envelopeOf(body: Bytes): Envelope {
  try {
    const message: unknown = JSON.parse(fromUtf8(body) ?? '');
    const { id, method } = (message ?? {}) as { id?: unknown; method?: unknown };
    const isId = typeof id === 'string' || Number.isSafeInteger(id);
    return { id: isId ? canonical(id as Json) : undefined, method: typeof method === 'string' ? method : undefined };
  } catch {
    return { id: undefined, method: undefined };
  }
}
