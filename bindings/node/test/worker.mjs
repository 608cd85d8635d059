// A worker, or a process of its own: decides as often as it is told, and says what came of it.

import { once } from 'node:events';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { Call, Denied, Guard, Store } from '../dist/index.js';

async function told() {
  const message = once(process, 'message');
  // A process that is told before it listens hears nothing.
  process.send('ready');
  return (await message)[0];
}

const given = isMainThread ? await told() : workerData;
const tell = (message) => (isMainThread ? process.send(message) : parentPort.postMessage(message));

async function opened() {
  try {
    const store = await Store.open(given.path);
    if (given.keep) globalThis.kept = store;
    else await store.close();
    return 'opened';
  } catch (error) {
    return error.code;
  }
}

async function decide() {
  let store;
  try {
    store = given.shared === undefined ? undefined : Store.shared(given.shared);
  } catch (error) {
    return { shared: error.code };
  }
  const guard = new Guard([given.root], 'notion.mcp', store ? { store } : {});
  let [allowed, denied] = [0, 0];
  for (let at = 0; at < given.times; at++) {
    const call = Call.tool(at % 2 ? 'delete_page' : 'search', { query: String(at), limit: 3 });
    try {
      if (at % 4 < 2) await guard.check(given.bearer, call);
      else guard.checkSync(given.bearer, call);
      allowed += 1;
    } catch (error) {
      if (!(error instanceof Denied)) throw error;
      denied += 1;
    }
  }
  return { allowed, denied };
}

const answer = await decide();
tell(given.path === undefined ? answer : { ...answer, opened: await opened() });
