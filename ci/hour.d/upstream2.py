"""A server of the official Python SDK 2: both eras of the protocol; here asked in 2026-07-28."""

import asyncio
import contextlib

import uvicorn
from common import Wire, change_lists, listening, note
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus, ToolsListChanged

bus = InMemorySubscriptionBus()
server = MCPServer("new", version="1", log_level="ERROR", subscriptions=bus)


@server.tool()
def echo(key: str) -> str:
    """Say it again."""
    return f"echo {key}"


@server.tool()
async def count(key: str, to: int, every: float, ctx: Context) -> str:
    """Count, and report each number as progress."""
    try:
        for number in range(1, to + 1):
            await asyncio.sleep(every)
            await ctx.report_progress(number, to)
        await asyncio.sleep(0.2)
        note(finished=key)
        return f"counted {key}"
    except asyncio.CancelledError:
        note(cancelled=key)
        raise


async def change(number, write, tells):
    server.add_tool(lambda: "", name=f"minute_{number}", description="one more")
    write()
    if tells:
        await bus.publish(ToolsListChanged())


app = server.streamable_http_app()
inner = app.router.lifespan_context


@contextlib.asynccontextmanager
async def lifespan(app):
    async with inner(app) as state:
        changing = asyncio.create_task(change_lists(change))
        yield state
        changing.cancel()


app.router.lifespan_context = lifespan
uvicorn.Server(uvicorn.Config(Wire(app), log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listening()])
