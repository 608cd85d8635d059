"""A client of the official Python SDK 1, which does one thing of the hour: sys.argv[1] says which."""

import asyncio
import json
import os
import sys
from datetime import timedelta

import httpx
import roles
from common import note
from mcp import ClientSession, types
from mcp.client.streamable_http import streamable_http_client

heard = asyncio.Queue()


async def message(what):
    if isinstance(what, types.ServerNotification) and isinstance(what.root, types.ToolListChangedNotification):
        heard.put_nowait(True)


class Client:
    def __init__(self, session):
        self.session = session

    async def tools(self):
        return [tool.name for tool in (await self.session.list_tools()).tools]

    async def call(self, name, arguments, seconds=None, progress=None):
        limit = timedelta(seconds=seconds) if seconds else None
        result = await self.session.call_tool(name, arguments, read_timeout_seconds=limit, progress_callback=progress)
        return result.isError, result.content[0].text

    async def changes(self):
        """What this yields is a change of the list of tools; that the stream stands cannot be seen."""
        await asyncio.sleep(1)
        note(listening=True)
        while True:
            yield await heard.get()

    async def begin(self, arguments):
        return (await self.session.experimental.call_tool_as_task("work", arguments, ttl=7_200_000)).task.taskId

    async def status(self, task):
        return (await self.session.experimental.get_task(task)).status

    async def result(self, task):
        result = await self.session.experimental.get_task_result(task, types.CallToolResult)
        return result.content[0].text


async def main():
    # An answer may take as long as it wants.
    async with (
        httpx.AsyncClient(timeout=httpx.Timeout(10, read=None)) as http,
        streamable_http_client(os.environ["HOUR_URL"], http_client=http) as (read, write, _),
        ClientSession(read, write, message_handler=message) as session,
    ):
        await session.initialize()
        note(connected=True)
        await roles.play(sys.argv[1], Client(session), json.loads(sys.argv[2]))


asyncio.run(main())
