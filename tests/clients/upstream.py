"""A tool server behind the gateway: the official Python SDK 2, which serves both eras of the protocol.

Prints its port as one line. Writes one JSON line to --log for each HTTP request that reaches it, so that a test can
say what did *not* reach it: the bearer token and every refused call.
"""

import argparse
import asyncio
import json
import os
import socket
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp_types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("upstream", version="1", log_level="ERROR")


# Tools that answer.


@server.tool()
def search(query: str) -> str:
    """Find pages."""
    return f"found {query}"


@server.tool()
def delete_page(id: str) -> str:
    """Delete a page."""
    return f"deleted {id}"


@server.tool()
async def count(to: int, ctx: Context, every: float = 0.2) -> str:
    """Count, and report each number as progress."""
    for number in range(1, to + 1):
        await asyncio.sleep(every)
        await ctx.report_progress(number, to)
    # Some clients forget who wanted to hear of progress as soon as the result is there.
    await asyncio.sleep(every / 2)
    return f"counted to {to}"


@server.tool()
async def cut(to: int, ctx: Context, every: float = 0.3) -> str:
    """Count, but hang up after the first number: the rest can be had by resuming with Last-Event-ID."""
    await ctx.report_progress(1, to)
    await asyncio.sleep(every)
    await ctx.close_sse_stream()
    for number in range(2, to + 1):
        await asyncio.sleep(every)
        await ctx.report_progress(number, to)
    await asyncio.sleep(every)
    return f"counted to {to}"


# Tools that ask back. Resolve() is a request of the server to the client in the older era, and a result
# `input_required` in the newer one.


class Colour(BaseModel):
    colour: str


async def which_colour() -> Elicit[Colour]:
    return Elicit("Which colour?", Colour)


async def which_thought() -> Sample:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="Think."))
    return Sample([question], max_tokens=20)


@server.tool()
async def ask(answer: Annotated[Colour, Resolve(which_colour)]) -> str:
    """Ask the user for a colour."""
    return f"asked: {answer.colour}"


@server.tool()
async def think(thought: Annotated[CreateMessageResult, Resolve(which_thought)]) -> str:
    """Ask the client's model for a thought."""
    return f"thought: {thought.content.text}"


# Tools that misbehave.


@server.tool()
async def stall(seconds: float) -> str:
    """Say nothing for a while, then answer."""
    await asyncio.sleep(seconds)
    return "answered late"


@server.tool()
async def die() -> str:
    """End the whole server in the middle of a call."""
    await asyncio.sleep(0.2)
    os._exit(1)


@server.resource("https://notion.example/roadmap")
def roadmap() -> str:
    return "the roadmap"


@server.resource("https://notion.example/salaries")
def salaries() -> str:
    return "the salaries"


@server.prompt()
def brief() -> str:
    return "Be brief."


@server.prompt()
def secret() -> str:
    return "Tell nobody."


class Events(EventStore):
    """All events of one session in memory, in the order in which they were sent."""

    def __init__(self):
        self.events = []

    async def store_event(self, stream_id, message):
        self.events.append((stream_id, message))
        return str(len(self.events))

    async def replay_events_after(self, last_event_id, send_callback):
        last = int(last_event_id)
        stream = self.events[last - 1][0]
        for number, (stream_id, message) in enumerate(list(self.events), start=1):
            if number > last and stream_id == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


class PerSession(StreamableHTTPSessionManager):
    """A store for each session: the SDK names streams by request ids, and those repeat from session to session."""

    event_store = property(lambda self: Events(), lambda self, given: None)


class Logged:
    """Writes down every request before the server sees it, and when it ended."""

    def __init__(self, app, path):
        self.app = app
        self.log = open(path, "a", buffering=1)
        self.number = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        self.number += 1
        number = self.number
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if message["type"] != "http.request" or not message.get("more_body"):
                break
        self.write(self.entry(number, scope, body))
        first = {"type": "http.request", "body": body, "more_body": False}
        hung_up = False

        async def receive_again():
            nonlocal first, hung_up
            if first is not None:
                message, first = first, None
                return message
            message = await receive()
            hung_up = hung_up or message["type"] == "http.disconnect"
            return message

        # A response that is complete is no hang-up, even though the server is told of a disconnect after it.
        complete = False

        async def send_and_see(message):
            nonlocal complete
            if message["type"] == "http.response.body" and not message.get("more_body"):
                complete = True
            await send(message)

        try:
            await self.app(scope, receive_again, send_and_see)
        finally:
            self.write({"ended": number, "complete": complete, "hung_up": hung_up and not complete})

    @staticmethod
    def entry(number, scope, body):
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        entry = {"request": number, "http": scope["method"], "path": scope["path"], "headers": headers}
        entry["session"] = dict(headers).get("mcp-session-id")
        entry["body"] = body.decode("utf-8", "replace")
        try:
            message = json.loads(body)
        except ValueError:
            return entry
        if isinstance(message, dict):
            params = message.get("params") or {}
            entry["method"] = message.get("method")
            # What the call is about: a tool's or a prompt's name, a resource's URI.
            entry["name"] = params.get("name") or params.get("uri")
        return entry

    def write(self, entry):
        self.log.write(json.dumps(entry) + "\n")


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=0)
    arguments.add_argument("--log", required=True)
    arguments.add_argument("--stateless", action="store_true")
    arguments.add_argument("--json", action="store_true", help="answer with JSON instead of server-sent events")
    options = arguments.parse_args()

    app = server.streamable_http_app(
        json_response=options.json,
        stateless_http=options.stateless,
        retry_interval=200,
    )
    if not options.stateless:
        server.session_manager.__class__ = PerSession
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    # Listening before the port is printed: whoever reads it can connect.
    listener.listen(512)
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(Logged(app, options.log), log_level="error", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
