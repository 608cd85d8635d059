"""A client of the official Python SDK 2, in the era HOUR_ERA, which does one thing of the hour: sys.argv[1] says which."""

import asyncio
import json
import os
import sys

import httpx2
import mcp_types as types
import roles
from common import note
from mcp.client import Client as Session
from mcp.client.streamable_http import streamable_http_client

ERA = os.environ["HOUR_ERA"]
heard = asyncio.Queue()


async def message(what):
    if isinstance(what, types.ToolListChangedNotification):
        heard.put_nowait(True)


class Client:
    def __init__(self, session):
        self.session = session

    async def tools(self):
        return [tool.name for tool in (await self.session.list_tools(cache_mode="bypass")).tools]

    async def call(self, name, arguments, seconds=None, progress=None):
        result = await self.session.call_tool(
            name, arguments, read_timeout_seconds=seconds, progress_callback=progress
        )
        return bool(result.is_error), result.content[0].text

    async def changes(self):
        if ERA == "legacy":
            await asyncio.sleep(1)
            note(listening=True)
            while True:
                yield await heard.get()
        async with self.session.listen(tools_list_changed=True) as changes:
            note(listening=True)
            async for change in changes:
                yield change


async def main():
    # An answer may take as long as it wants.
    async with (
        httpx2.AsyncClient(timeout=httpx2.Timeout(10, read=None)) as http,
        Session(streamable_http_client(os.environ["HOUR_URL"], http_client=http), mode=ERA, message_handler=message) as session,
    ):
        note(connected=True)
        await roles.play(sys.argv[1], Client(session), json.loads(sys.argv[2]))


asyncio.run(main())
