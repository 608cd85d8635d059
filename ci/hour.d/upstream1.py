"""A server of the official Python SDK 1: sessions, streams that can be resumed, tasks."""

import asyncio
import contextlib

import uvicorn
from common import EventsInMemory, Wire, change_lists, listening, note
from mcp import types
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.routing import Mount

server = Server("old")
server.experimental.enable_tasks()
sessions, minutes = [], []
ANYTHING = {"type": "object"}


@server.list_tools()
async def list_tools():
    session = server.request_context.session
    if session not in sessions:
        sessions.append(session)
    work = types.ToolExecution(taskSupport=types.TASK_REQUIRED)
    tools = [types.Tool(name=name, inputSchema=ANYTHING) for name in ["echo", "count", *minutes]]
    return [*tools, types.Tool(name="work", inputSchema=ANYTHING, execution=work)]


@server.call_tool()
async def call_tool(name, arguments):
    if name == "echo":
        return [types.TextContent(type="text", text=f"echo {arguments['key']}")]
    if name == "work":
        return await begin_work(arguments)
    context, key = server.request_context, arguments["key"]
    try:
        for number in range(1, arguments["to"] + 1):
            await asyncio.sleep(arguments["every"])
            await context.session.send_progress_notification(
                context.meta.progressToken, number, arguments["to"], related_request_id=str(context.request_id)
            )
        # Some clients forget who wanted to hear of progress as soon as the result is there.
        await asyncio.sleep(0.2)
        note(finished=key)
        return [types.TextContent(type="text", text=f"counted {key}")]
    except asyncio.CancelledError:
        note(cancelled=key)
        raise


async def begin_work(arguments):
    async def work(task):
        await asyncio.sleep(arguments["seconds"])
        note(worked=arguments["key"])
        return types.CallToolResult(content=[types.TextContent(type="text", text=f"worked {arguments['key']}")])

    return await server.request_context.experimental.run_task(work)


async def change(number, write, tells):
    minutes.append(f"minute_{number}")
    write()
    for session in list(sessions) if tells else []:
        try:
            await asyncio.wait_for(session.send_tool_list_changed(), 5)
        except Exception:
            # Its client is gone.
            sessions.remove(session)


class Events(EventsInMemory, EventStore):
    event = EventMessage


class PerSession(StreamableHTTPSessionManager):
    """A store for each session: the SDK names streams by request ids, and those repeat from session to session."""

    event_store = property(lambda self: Events(), lambda self, given: None)


manager = PerSession(server, retry_interval=500)
options = server.create_initialization_options
server.create_initialization_options = lambda *_: options(NotificationOptions(tools_changed=True))


@contextlib.asynccontextmanager
async def lifespan(app):
    async with manager.run():
        changing = asyncio.create_task(change_lists(change))
        yield
        changing.cancel()


app = Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=lifespan)
app.router.redirect_slashes = False


class NoSlash:
    """The SDK's manager is mounted, and so answers below the path only."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http" and scope["path"] == "/mcp":
            scope = {**scope, "path": "/mcp/", "raw_path": b"/mcp/"}
        await app(scope, receive, send)


uvicorn.Server(uvicorn.Config(Wire(NoSlash()), log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listening()])
