"""OpenAI Agents SDK: `auth` of the server takes a presentation for each call. With MCP's SDK 2 beneath, it is that of httpx2."""

import asyncio
import os

from agents.mcp import MCPServerStreamableHttp

import hardtack
import hardtack.httpx2

URL = os.environ["HARDTACK_URL"]
with open(os.environ["HARDTACK_CAPABILITY"]) as file:
    capability = hardtack.Capability.parse(file.read().strip())
key = hardtack.PrivateKey.load(os.environ["HARDTACK_KEY"])
agent = hardtack.Agent(capability, key, "notion.mcp")


async def main():
    auth = hardtack.httpx2.Auth(agent, URL)
    async with MCPServerStreamableHttp({"url": URL, "auth": auth}) as notion:  # mcp_servers=[notion] of an Agent
        print("tools:", *sorted(tool.name for tool in await notion.list_tools()))
        for name, arguments in [
            ("search", {"query": "roadmap"}),
            ("delete_page", {"id": "roadmap"}),
            ("search", {"query": "again"}),
        ]:
            result = await notion.call_tool(name, arguments)
            print(f"{name}:", "refused:" if result.is_error else "allowed:", result.content[0].text)


asyncio.run(main())
