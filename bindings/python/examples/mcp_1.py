"""The MCP SDK 1: each call goes with a presentation of its own, valid once, for these arguments alone."""

import asyncio
import os

import httpx
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client

import hardtack
import hardtack.httpx

URL = os.environ["HARDTACK_URL"]
with open(os.environ["HARDTACK_CAPABILITY"]) as file:
    capability = hardtack.Capability.parse(file.read().strip())
key = hardtack.PrivateKey.load(os.environ["HARDTACK_KEY"])
agent = hardtack.Agent(capability, key, "notion.mcp")


async def main():
    async with (
        httpx.AsyncClient(auth=hardtack.httpx.Auth(agent, URL)) as http,
        streamable_http_client(URL, http_client=http) as (read, write, _),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        print("tools:", *sorted(tool.name for tool in (await session.list_tools()).tools))
        for name, arguments in [
            ("search", {"query": "roadmap"}),
            ("delete_page", {"id": "roadmap"}),
            ("search", {"query": "again"}),
        ]:
            result = await session.call_tool(name, arguments)
            print(f"{name}:", "refused:" if result.isError else "allowed:", result.content[0].text)


asyncio.run(main())
