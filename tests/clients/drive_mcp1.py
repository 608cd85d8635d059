"""Drives the MCP Python SDK 1 (2025-11-25) through the scenario, and prints what it saw as JSON."""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import time
from datetime import timedelta

import httpx
from mcp import ClientSession, McpError, types
from mcp.client.streamable_http import streamable_http_client

# Without a token no header is sent: then something between here and the gateway signs.
URL, TOKEN = os.environ["URL"], os.environ.get("TOKEN")
STEPS = os.environ.get("STEPS", "tools resources prompts progress resume ask bad").split()


async def elicited(context, params):
    return types.ElicitResult(action="accept", content={"colour": "blue"})


async def sampled(context, params):
    thought = types.TextContent(type="text", text="hm")
    return types.CreateMessageResult(role="assistant", content=thought, model="none")


@contextlib.asynccontextmanager
async def connected(token):
    """A session that is initialized, and closed at the end."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(10, read=60)) as http,
        streamable_http_client(URL, http_client=http) as (read, write, _),
        ClientSession(
            read,
            write,
            read_timeout_seconds=timedelta(seconds=20),
            elicitation_callback=elicited,
            sampling_callback=sampled,
        ) as session,
    ):
        yield session, await session.initialize()


async def call(session, name, arguments, progress=None):
    async def heard(number, total, message):
        progress.append(number)

    result = await session.call_tool(name, arguments, progress_callback=heard if progress is not None else None)
    return {"isError": result.isError, "text": result.content[0].text}


async def or_error(awaitable):
    try:
        return await awaitable
    except McpError as error:
        return {"code": error.error.code, "error": error.error.message}


async def scenario():
    saw = {"client": "mcp " + importlib.metadata.version("mcp")}
    async with connected(TOKEN) as (session, hello):
        saw["protocol"] = hello.protocolVersion
        if "tools" in STEPS:
            saw["tools"] = [tool.name for tool in (await session.list_tools()).tools]
            saw["allowed"] = await call(session, "search", {"query": "one"})
            saw["refused"] = await call(session, "delete_page", {"id": "1"})
            saw["allowed_again"] = await call(session, "search", {"query": "two"})
        if "resources" in STEPS:
            saw["resources"] = [str(item.uri) for item in (await session.list_resources()).resources]
            read = await session.read_resource(types.AnyUrl("https://notion.example/roadmap"))
            saw["resource"] = read.contents[0].text
        if "prompts" in STEPS:
            saw["prompts"] = [prompt.name for prompt in (await session.list_prompts()).prompts]
            saw["prompt"] = (await session.get_prompt("brief")).messages[0].content.text
            refused = await or_error(session.get_prompt("secret"))
            saw["prompt_refused"] = refused if isinstance(refused, dict) else {"error": None}
        if "progress" in STEPS:
            saw["progress"] = []
            saw["counted"] = await call(session, "count", {"to": 3}, saw["progress"])
        if "resume" in STEPS:
            saw["resumed_progress"] = []
            saw["resumed"] = await call(session, "cut", {"to": 3}, saw["resumed_progress"])
        if "ask" in STEPS:
            saw["asked"] = await or_error(call(session, "ask", {}))
            saw["thought"] = await or_error(call(session, "think", {}))
        saw["allowed_last"] = await call(session, "search", {"query": "three"})
    return saw


async def bad_token():
    began = time.monotonic()
    try:
        async with asyncio.timeout(20):
            async with connected("bm9ib2R5") as (session, _):
                await session.list_tools()
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
