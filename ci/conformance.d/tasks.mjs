// Tools that go on after their answer: the tasks extension of 2026-07-28.
import { randomUUID } from 'node:crypto';
import { inputRequired, MissingRequiredClientCapabilityError, ProtocolError } from '@modelcontextprotocol/server';
import { z } from 'zod';

export const TASKS = 'io.modelcontextprotocol/tasks';

const INTERNAL_ERROR = -32603;
const INVALID_PARAMS = -32602;
const kept = new Map();
const over = ['completed', 'failed', 'cancelled'];

const text = (text) => ({ content: [{ type: 'text', text }] });
const wait = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => (clearTimeout(timer), resolve()));
  });
const wants = (name) => inputRequired.elicit({
  message: `Please say ${name}`,
  requestedSchema: { type: 'object', properties: { [name]: { type: 'boolean' } }, required: [name] },
});

// What each does, given its task. A task may ask its client; without a client that knows of tasks, it cannot.
const runs = {
  slow_compute: async ({ seconds = 1, label = '' }, { signal }) => {
    await wait(seconds * 1000, signal);
    return text(`computed ${label}`);
  },
  failing_job: async (_, { signal }) => {
    await wait(300, signal);
    return { ...text('the job failed'), isError: true };
  },
  protocol_error_job: async () => {
    throw new ProtocolError(INTERNAL_ERROR, 'the job broke');
  },
  confirm_delete: async ({ filename }, task) => {
    const { confirm } = await task.ask({ confirm: wants('confirm') });
    return text(confirm?.action === 'accept' ? `deleted ${filename}` : `kept ${filename}`);
  },
  multi_input: async (_, task) => {
    await task.ask({ first: wants('first'), second: wants('second') });
    return text('both were answered');
  },
  test_tool_with_task: async ({ name }) => text(`Hello, ${name}!`),
};
const alwaysTasks = ['failing_job', 'confirm_delete', 'multi_input', 'test_tool_with_task'];

const schema = { type: 'object', properties: {} };
const slow = { type: 'object', properties: { seconds: { type: 'number' }, label: { type: 'string' } } };
export const taskTools = Object.keys(runs).map((name) => [name, { schema: name === 'slow_compute' ? slow : schema }]);
export const isTaskTool = (name) => name in runs;

const capable = ({ mcpReq }) =>
  mcpReq.envelope?.['io.modelcontextprotocol/clientCapabilities']?.extensions?.[TASKS] !== undefined;
const incapable = () =>
  new MissingRequiredClientCapabilityError({ requiredCapabilities: { extensions: { [TASKS]: {} } } });

export async function callTask(_mcp, name, args, context) {
  if (!capable(context)) {
    if (alwaysTasks.includes(name)) throw incapable();
    return runs[name](args, { signal: context.mcpReq.signal });
  }
  if (name === 'test_tool_with_task') {
    const answer = context.mcpReq.inputResponses?.user_name?.content?.name;
    if (typeof answer !== 'string') {
      const requestedSchema = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'] };
      const user_name = inputRequired.elicit({ message: 'What is your name?', requestedSchema });
      return inputRequired({ inputRequests: { user_name } });
    }
    args = { name: answer };
  }
  return { resultType: 'task', ...start(name, args).seen() };
}

function start(name, args) {
  const stop = new AbortController();
  const now = () => new Date().toISOString();
  const task = {
    taskId: randomUUID(),
    status: 'working',
    createdAt: now(),
    lastUpdatedAt: now(),
    signal: stop.signal,
    asked: {},
    answers: {},
    to(status, more) {
      if (over.includes(task.status)) return;
      Object.assign(task, { status, lastUpdatedAt: now(), ...more });
    },
    ask(requests) {
      task.asked = Object.fromEntries(Object.entries(requests).map(([key, request]) => [key, request]));
      task.to('input_required');
      return new Promise((resolve) => (task.answered = resolve));
    },
    answer(responses) {
      for (const [key, response] of Object.entries(responses)) {
        if (!(key in task.asked)) continue;
        task.answers[key] = response;
        delete task.asked[key];
      }
      if (task.status !== 'input_required' || Object.keys(task.asked).length > 0) return;
      task.to('working');
      task.answered(task.answers);
    },
    cancel() {
      task.to('cancelled');
      stop.abort();
    },
    seen() {
      const { taskId, status, createdAt, lastUpdatedAt } = task;
      return { taskId, status, createdAt, lastUpdatedAt, ttlMs: 60_000, pollIntervalMs: 100 };
    },
    detailed() {
      const { status, result, error, asked } = task;
      return {
        ...task.seen(),
        ...(status === 'completed' && { result }),
        ...(status === 'failed' && { error }),
        ...(status === 'input_required' && { inputRequests: asked }),
      };
    },
  };
  kept.set(task.taskId, task);
  runs[name](args, task).then(
    (result) => task.to('completed', { result }),
    ({ code = INTERNAL_ERROR, message }) => task.to('failed', { error: { code, message } }),
  );
  return task;
}

export function serveTasks(mcp) {
  const params = z.looseObject({ taskId: z.string() });
  const handle = (method, answer) =>
    mcp.server.setRequestHandler(method, { params }, ({ taskId }, context) => {
      if (!capable(context)) throw incapable();
      const task = kept.get(taskId);
      if (task === undefined) throw new ProtocolError(INVALID_PARAMS, 'no such task', { taskId });
      return answer(task, context);
    });
  handle('tasks/get', (task) => task.detailed());
  handle('tasks/cancel', (task) => (task.cancel(), {}));
  handle('tasks/update', (task, { mcpReq }) => (task.answer(mcpReq.inputResponses ?? {}), {}));
}
