"""Many sessions at once in one process, with the MCP Python SDK 1: each lists, calls, is refused, and calls again.

Takes URL, TOKEN and SESSIONS from the environment, and prints what it saw as JSON.
"""

import asyncio
import collections
import json
import os
import time
from datetime import timedelta

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

URL, TOKEN = os.environ["URL"], os.environ["TOKEN"]
SESSIONS = int(os.environ.get("SESSIONS", "100"))


async def one(number, everybody_is_connected):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(60)) as http,
        streamable_http_client(URL, http_client=http) as (read, write, _),
        ClientSession(read, write, read_timeout_seconds=timedelta(seconds=60)) as session,
    ):
        await session.initialize()
        await everybody_is_connected.wait()
        tools = [tool.name for tool in (await session.list_tools()).tools]
        first = await session.call_tool("search", {"query": f"{number}-one"})
        refused = await session.call_tool("delete_page", {"id": str(number)})
        second = await session.call_tool("search", {"query": f"{number}-two"})
        return {
            "delete_page is not listed": "delete_page" not in tools,
            "answers are its own": [first.content[0].text, second.content[0].text]
            == [f"found {number}-one", f"found {number}-two"],
            "delete_page is refused": refused.isError and "tools:call:delete_page" in refused.content[0].text,
        }


async def main():
    began = time.monotonic()
    everybody = asyncio.Barrier(SESSIONS)
    saw = collections.Counter()
    errors = []
    for outcome in await asyncio.gather(*(one(n, everybody) for n in range(SESSIONS)), return_exceptions=True):
        if isinstance(outcome, BaseException):
            errors.append(repr(outcome))
        else:
            saw.update(fact for fact, held in outcome.items() if held)
    seconds = round(time.monotonic() - began, 2)
    print(json.dumps({"sessions": SESSIONS, "held": saw, "errors": errors[:5], "seconds": seconds}))


asyncio.run(main())
