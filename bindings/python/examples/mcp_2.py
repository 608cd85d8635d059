"""The MCP SDK 2: each call goes with a presentation of its own, valid once, for these arguments alone."""

import asyncio
import os

import httpx2
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client

import hardtack
import hardtack.httpx2

URL = os.environ["HARDTACK_URL"]
with open(os.environ["HARDTACK_CAPABILITY"]) as file:
    capability = hardtack.Capability.parse(file.read().strip())
key = hardtack.PrivateKey.load(os.environ["HARDTACK_KEY"])
agent = hardtack.Agent(capability, key, "notion.mcp")


async def main():
    async with (
        httpx2.AsyncClient(auth=hardtack.httpx2.Auth(agent, URL)) as http,
        Client(streamable_http_client(URL, http_client=http)) as client,
    ):
        print("tools:", *sorted(tool.name for tool in (await client.list_tools()).tools))
        for name, arguments in [
            ("search", {"query": "roadmap"}),
            ("delete_page", {"id": "roadmap"}),
            ("search", {"query": "again"}),
        ]:
            result = await client.call_tool(name, arguments)
            print(f"{name}:", "refused:" if result.is_error else "allowed:", result.content[0].text)


asyncio.run(main())
