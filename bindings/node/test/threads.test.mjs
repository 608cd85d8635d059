// Workers, processes and the event loop: no decision blocks it, and what is dropped is closed.

import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { Call, Guard, Permit, Forbidden, Revocation, Store, Unavailable } from '../dist/index.js';
import { AUDIENCE, inFolder, scene } from './support.mjs';

const here = await scene();
const worker = new URL('./worker.mjs', import.meta.url);

async function said(starting) {
  const [message] = await once(starting, 'message');
  return message;
}

test('decisions are awaited, and the event loop has its turns meanwhile', async () => {
  const store = Store.inMemory();
  const guard = new Guard([here.issuer.public], AUDIENCE, { store });
  const bearers = await Promise.all(Array.from({ length: 200 }, () => here.present()));
  let answered = 0;
  const asked = bearers.map((bearer, at) => {
    const answer = guard.check(bearer, at % 2 ? here.delete : here.search);
    const count = () => { answered += 1; };
    answer.then(count, count);
    return answer;
  });
  // Who blocked the loop would have all of them answered by now.
  assert.equal(answered, 0);
  let turns = 0;
  while (answered < 200) {
    await turn();
    turns += 1;
  }
  const kinds = (await Promise.allSettled(asked)).map(({ value, reason }) => (value ?? reason).constructor);
  assert.deepEqual(kinds, bearers.map((_, at) => (at % 2 ? Forbidden : Permit)));
  assert.equal((await store.records()).length, 200);
  assert.ok(turns >= 20, `${turns} turns`);
  await store.close();
});

test('stores and files are waited for without the loop', () => inFolder(async (folder) => {
  const opening = Array.from({ length: 8 }, (_, at) => Store.create(join(folder, `${at}.store`)));
  let [turns, open] = [0, 0];
  for (const one of opening) one.then(() => { open += 1; });
  assert.equal(open, 0);
  while (open < 8) {
    await turn();
    turns += 1;
  }
  assert.ok(turns >= 8, `${turns} turns`);
  await Promise.all((await Promise.all(opening)).map((store) => store.close()));
}));

test('more than are looked at are refused, and the places come back', async () => {
  const asked = Array.from({ length: 6000 }, () => here.guard.check(here.bearer, here.search));
  const answers = await Promise.allSettled(asked);
  const refused = answers.filter(({ status }) => status === 'rejected');
  assert.equal(refused.length, 6000 - 4096);
  assert.ok(refused.every(({ reason }) => reason instanceof Unavailable && reason.code === 'overloaded' && reason.status === 503));
  assert.equal((await here.guard.check(here.bearer, here.search)).subject, 'user:alice');
});

test('workers of one process share the store that one of them has open', () => inFolder(async (folder) => {
  const store = await Store.create(join(folder, 'a.store'));
  const guard = new Guard([here.issuer.public], AUDIENCE, { store });
  await guard.check(here.bearer, here.search);
  const given = { root: here.issuer.public.toString(), bearer: here.bearer, shared: store.share(), path: store.path, times: 50 };
  assert.equal(store.share(), given.shared);
  const workers = Array.from({ length: 4 }, () => new Worker(worker, { workerData: given }));
  const answers = await Promise.all(workers.map(said));
  for (const answer of answers) assert.deepEqual(answer, { allowed: 25, denied: 25, opened: 'store_in_use' });
  await Promise.all(workers.map((one) => one.terminate()));
  assert.equal((await store.records()).length, 201);
  await store.verify();
  await store.revoke(Revocation.agent('agent.researcher'), { by: 'user:admin', reason: 'lost' });
  const after = new Worker(worker, { workerData: given });
  assert.deepEqual(await said(after), { allowed: 0, denied: 50, opened: 'store_in_use' });
  await after.terminate();
  await store.close();
  assert.throws(() => Store.shared(4_000_000_000), { code: 'store_not_there' });
}));

test('a worker that is stopped while it waits hurts nobody', async () => {
  for (let round = 0; round < 5; round++) {
    const one = new Worker(worker, { workerData: { root: here.issuer.public.toString(), bearer: here.bearer, times: 100_000 } });
    await once(one, 'online');
    await sleep(60 * round);
    await one.terminate();
  }
  assert.equal((await here.guard.check(here.bearer, here.search)).subject, 'user:alice');
});

test('a process of its own decides, and finds a store that is open elsewhere in use', () => inFolder(async (folder) => {
  const store = await Store.create(join(folder, 'a.store'));
  const child = fork(fileURLToPath(worker));
  assert.equal(await said(child), 'ready');
  child.send({ root: here.issuer.public.toString(), bearer: here.bearer, path: store.path, shared: store.share(), times: 2 });
  const answer = await said(child);
  assert.deepEqual(answer, { shared: 'store_not_there', opened: 'store_in_use' });
  child.disconnect();
  await once(child, 'exit');
  await store.close();
}));

test('of the workers of a cluster one has the store, and the others are told so', () => inFolder(async (folder) => {
  cluster.setupPrimary({ exec: fileURLToPath(worker), args: [], silent: false });
  const path = join(folder, 'a.store');
  await (await Store.create(path)).close();
  const workers = Array.from({ length: 3 }, () => cluster.fork());
  const answers = await Promise.all(workers.map(async (one) => {
    assert.equal(await said(one), 'ready');
    one.send({ root: here.issuer.public.toString(), bearer: here.bearer, path, keep: true, times: 2 });
    return said(one);
  }));
  const opened = answers.map(({ opened }) => opened).sort();
  assert.deepEqual(opened, ['opened', 'store_in_use', 'store_in_use']);
  for (const one of workers) {
    one.disconnect();
    await once(one, 'exit');
  }
}));

async function collected() {
  for (let round = 0; round < 5; round++) {
    globalThis.gc();
    await turn();
  }
}

const noCollector = globalThis.gc === undefined && 'node runs without --expose-gc';

test('a store that is dropped with its guards is closed', { skip: noCollector }, () => inFolder(async (folder) => {
  const path = join(folder, 'a.store');
  const drop = async () => {
    const guard = await (async () => new Guard([here.issuer.public], AUDIENCE, { store: await Store.create(path) }))();
    await collected();
    // The guard alone keeps it open.
    assert.equal((await guard.check(here.bearer, here.search)).sequence, 1);
    guard.checkSync(here.bearer, here.search);
  };
  await drop();
  let again;
  for (let round = 0; round < 50 && again === undefined; round++) {
    await collected();
    again = await Store.open(path).catch(() => sleep(20));
  }
  assert.equal((await again.records()).length, 2);
  await again.close();
}));

test('checks without end take no more memory', { skip: noCollector, timeout: 300_000 }, async () => {
  const times = Number(process.env.HARDTACK_CHECKS ?? 5_000);
  const calls = [here.search, here.delete];
  const checks = async (times) => {
    for (let at = 0; at < times; at++) {
      const call = calls[at % 50 === 0 ? 1 : 0];
      try {
        if (at % 2) here.guard.checkSync(here.bearer, call);
        else await here.guard.check(here.bearer, call);
      } catch (error) {
        assert.ok(error instanceof Forbidden);
      }
    }
    await collected();
  };
  await checks(times);
  const before = process.memoryUsage().rss;
  await checks(times);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 8 * 1024 * 1024, `${grown} bytes`);
});
