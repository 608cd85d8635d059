"""Drives the MCP Python SDK 2 through the scenario, in the era that ERA names, and prints what it saw as JSON.

ERA is "legacy" (initialize), "auto" (server/discover first, initialize if that fails) or "2026-07-28" (no fallback).
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import time

import httpx2
import mcp_types as types
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

# Without a token no header is sent: then something between here and the gateway signs.
URL, TOKEN = os.environ["URL"], os.environ.get("TOKEN")
ERA = os.environ.get("ERA", "auto")
STEPS = os.environ.get("STEPS", "tools resources prompts progress resume ask bad").split()


async def elicited(context, params):
    return types.ElicitResult(action="accept", content={"colour": "blue"})


async def sampled(context, params):
    thought = types.TextContent(type="text", text="hm")
    return types.CreateMessageResult(role="assistant", content=thought, model="none")


@contextlib.asynccontextmanager
async def connected(token):
    """A client that has agreed on an era, and is closed at the end."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=httpx2.Timeout(10, read=60)) as http,
        Client(
            streamable_http_client(URL, http_client=http),
            mode=ERA,
            read_timeout_seconds=20,
            elicitation_callback=elicited,
            sampling_callback=sampled,
        ) as client,
    ):
        yield client


async def call(client, name, arguments, progress=None):
    async def heard(number, total, message):
        progress.append(number)

    result = await client.call_tool(name, arguments, progress_callback=heard if progress is not None else None)
    return {"isError": bool(result.is_error), "text": result.content[0].text}


async def or_error(awaitable):
    try:
        return await awaitable
    except MCPError as error:
        return {"code": error.error.code, "error": error.error.message}


async def scenario():
    saw = {"client": f"mcp {importlib.metadata.version('mcp')} {ERA}"}
    async with connected(TOKEN) as client:
        saw["protocol"] = client.protocol_version
        if "tools" in STEPS:
            saw["tools"] = [tool.name for tool in (await client.list_tools()).tools]
            saw["allowed"] = await call(client, "search", {"query": "one"})
            saw["refused"] = await call(client, "delete_page", {"id": "1"})
            saw["allowed_again"] = await call(client, "search", {"query": "two"})
        if "resources" in STEPS:
            saw["resources"] = [str(item.uri) for item in (await client.list_resources()).resources]
            saw["resource"] = (await client.read_resource("https://notion.example/roadmap")).contents[0].text
        if "prompts" in STEPS:
            saw["prompts"] = [prompt.name for prompt in (await client.list_prompts()).prompts]
            saw["prompt"] = (await client.get_prompt("brief")).messages[0].content.text
            refused = await or_error(client.get_prompt("secret"))
            saw["prompt_refused"] = refused if isinstance(refused, dict) else {"error": None}
        if "progress" in STEPS:
            saw["progress"] = []
            saw["counted"] = await call(client, "count", {"to": 3}, saw["progress"])
        if "resume" in STEPS:
            saw["resumed_progress"] = []
            saw["resumed"] = await call(client, "cut", {"to": 3}, saw["resumed_progress"])
        if "ask" in STEPS:
            saw["asked"] = await or_error(call(client, "ask", {}))
            saw["thought"] = await or_error(call(client, "think", {}))
        saw["allowed_last"] = await call(client, "search", {"query": "three"})
    return saw


async def bad_token():
    began = time.monotonic()
    try:
        async with asyncio.timeout(20):
            # Without a fallback this client sends nothing to connect, so it must ask for something.
            async with connected("bm9ib2R5") as client:
                await client.list_tools()
                error = None
    except BaseException as caught:
        error = repr(caught)
    return {"error": error, "seconds": round(time.monotonic() - began, 2)}


async def main():
    saw = await scenario()
    if "bad" in STEPS:
        saw["bad_token"] = await bad_token()
    print(json.dumps(saw))


asyncio.run(main())
