"""LangChain and LangGraph: `auth` of the connection takes a presentation for each call."""

import asyncio
import os

from langchain_mcp_adapters.client import MultiServerMCPClient
from langchain_mcp_adapters.tools import load_mcp_tools

import hardtack
import hardtack.httpx

URL = os.environ["HARDTACK_URL"]
with open(os.environ["HARDTACK_CAPABILITY"]) as file:
    capability = hardtack.Capability.parse(file.read().strip())
key = hardtack.PrivateKey.load(os.environ["HARDTACK_KEY"])
agent = hardtack.Agent(capability, key, "notion.mcp")
notion = {"transport": "streamable_http", "url": URL, "auth": hardtack.httpx.Auth(agent, URL)}


async def main():
    async with MultiServerMCPClient({"notion": notion}).session("notion") as session:
        tools = await load_mcp_tools(session)  # tools of create_agent(model, tools)
        print("tools:", *sorted(tool.name for tool in tools))
        for name, arguments in [
            ("search", {"query": "roadmap"}),
            ("delete_page", {"id": "roadmap"}),
            ("search", {"query": "again"}),
        ]:
            result = await session.call_tool(name, arguments)
            print(f"{name}:", "refused:" if result.isError else "allowed:", result.content[0].text)


asyncio.run(main())
