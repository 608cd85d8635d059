/** Lists: what of a server's list may the caller use? */

import { Call } from './call.js';
import { HardtackError } from './errors.js';
import type { Guard } from './guard.js';

interface Entry {
  readonly name?: unknown;
  readonly uri?: unknown;
  readonly uriTemplate?: unknown;
}

/** Each list's member, and the call that uses an entry of it. */
const LISTS: Readonly<Record<string, readonly [string, (entry: Entry, guard: Guard) => Call | undefined]>> = {
  'tools/list': ['tools', ({ name }) => Call.tool(name as string)],
  'prompts/list': ['prompts', ({ name }) => Call.prompt(name as string)],
  'resources/list': ['resources', ({ uri }, guard) => {
    const call = Call.read(uri as string);
    // Resources of schemes that the server's own list names may be read, from now on.
    guard.nameResourceScheme(call.resource!.slice(0, call.resource!.indexOf(':')));
    return call;
  }],
  'resources/templates/list': ['resourceTemplates', ({ uriTemplate }, guard) => {
    const [scheme, rest] = (uriTemplate as string).split('{')[0]!.split(':');
    return rest !== undefined && !guard.nameResourceScheme(scheme!) ? undefined : Call.of('resources:read');
  }],
};

/** The call that uses an entry. One whose name can be no part of a call can be granted to nobody. */
function callOf(entry: unknown, guard: Guard, find: (entry: Entry, guard: Guard) => Call | undefined): Call | undefined {
  try {
    return typeof entry === 'object' && entry !== null ? find(entry, guard) : undefined;
  } catch (error) {
    if (error instanceof HardtackError || error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The result of a request, without what its bearer may not use whatever the arguments. Throws `Denied` where that cannot be said. */
export async function filtered(guard: Guard, method: string, bearer: string, result: unknown): Promise<unknown> {
  const list = Object.hasOwn(LISTS, method) ? LISTS[method] : undefined;
  if (list === undefined) return result;
  const [member, find] = list;
  const entries: unknown = (result as Record<string, unknown>)[member];
  if (!Array.isArray(entries)) return { ...(result as object), [member]: [] };
  const known = entries.map((entry) => ({ entry: entry as unknown, call: callOf(entry, guard, find) })).filter(({ call }) => call !== undefined);
  const seen = await guard.preview(bearer, known.map(({ call }) => call!));
  return { ...(result as object), [member]: known.filter((_, at) => seen[at] !== 'denied').map(({ entry }) => entry) };
}
