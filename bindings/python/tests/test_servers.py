"""Guards in real servers: FastMCP, FastAPI, Starlette."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
from typing import Any

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call

uvicorn = pytest.importorskip("uvicorn")


@contextlib.contextmanager
def serving(app: Any):
    """The URL of an app that is served on this machine."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.fixture
def store():
    with hardtack.Store.in_memory() as store:
        yield store


@pytest.fixture
def guard(scene, store):
    return hardtack.Guard([scene.issuer.public], AUDIENCE, store)


@pytest.fixture
def tools(guard):
    fastmcp = pytest.importorskip("fastmcp")
    from hardtack.fastmcp import Guarded, Verifier

    server = fastmcp.FastMCP("notion", auth=Verifier(guard), middleware=[Guarded(guard)])
    done: list[str] = []

    @server.tool
    def search(query: str, limit: int = 3) -> str:
        done.append(f"search {query}")
        return f"found {query}"

    @server.tool
    def delete_page(id: str) -> str:
        done.append(f"delete {id}")
        return f"deleted {id}"

    @server.resource("notion://pages/{id}")
    def page(id: str) -> str:
        done.append(f"read {id}")
        return f"the page {id}"

    @server.prompt
    def greet(name: str) -> str:
        done.append(f"greet {name}")
        return f"Hello {name}"

    return server, done


def client_of(url: str, agent: hardtack.Agent, **options: Any):
    import httpx2
    from mcp.client import Client
    from mcp.client.streamable_http import streamable_http_client

    import hardtack.httpx2

    @contextlib.asynccontextmanager
    async def connected():
        auth = hardtack.httpx2.Auth(agent, url, **options)
        async with httpx2.AsyncClient(auth=auth) as http, Client(streamable_http_client(url, http_client=http)) as client:
            yield client

    return connected()


@pytest.mark.filterwarnings("ignore")
def test_resources_are_read_of_schemes_that_the_servers_own_list_has_named(scene, tools):
    server, done = tools
    reader = hardtack.PrivateKey.generate()
    grant = scene.issuer.mint(subject="user:alice", scopes="resources:read", holder=reader.public)
    agent = hardtack.Agent(grant, reader, AUDIENCE)

    async def run(url: str) -> None:
        async with client_of(url, agent) as client:
            with pytest.raises(Exception, match="resources/templates/list"):
                await client.read_resource("notion://pages/1")
            listed = (await client.list_resource_templates()).resource_templates
            assert [template.uri_template for template in listed] == ["notion://pages/{id}"]
            read = await client.read_resource("notion://pages/1")
            assert read.contents[0].text == "the page 1"
            for other in ["notion://pages/1#a", "notion://pages/%31"]:
                with pytest.raises(Exception, match="other spellings"):
                    await client.read_resource(other)

    with serving(server.http_app()) as url:
        asyncio.run(run(f"{url}/mcp"))
    assert done == ["read 1"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call_bound", [True, False])
def test_a_server_of_fastmcp_shows_and_does_what_is_granted_and_no_more(scene, store, tools, caplog, call_bound):
    server, done = tools
    agent = hardtack.Agent(scene.part, scene.researcher, AUDIENCE)

    async def run(url: str) -> None:
        async with client_of(url, agent, call_bound=call_bound) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["search"]
            assert (await client.list_prompts()).prompts == []
            assert (await client.list_resource_templates()).resource_templates == []
            found = await client.call_tool("search", {"query": "roadmap"})
            assert (found.is_error, found.content[0].text) == (False, "found roadmap")
            refused = await client.call_tool("delete_page", {"id": "roadmap"})
            assert refused.is_error and refused.content[0].text.startswith("denied: the token does not grant tools:call:delete_page")
            beyond = await client.call_tool("search", {"query": "roadmap", "limit": 11})
            assert beyond.is_error and "whoever delegated" in beyond.content[0].text
            with pytest.raises(Exception, match="denied|not"):
                await client.get_prompt("greet", {"name": "Bob"})
            with pytest.raises(Exception, match="denied|not"):
                await client.read_resource("notion://pages/1")
            again = await client.call_tool("search", {"query": "again"})
            assert again.content[0].text == "found again"

    with serving(server.http_app()) as url, caplog.at_level(logging.WARNING, logger="hardtack"):
        asyncio.run(run(f"{url}/mcp"))
    assert done == ["search roadmap", "search again"]
    decided = [(record["decision"], record["operation"]) for record in store.records()]
    assert decided.count(("allow", "tools:call:search")) == 2
    assert ("deny", "tools:call:delete_page") in decided and ("deny", "prompts:get:greet") in decided
    assert "the chain does not grant" in caplog.text and agent.session().bearer[:40] not in caplog.text


@pytest.mark.filterwarnings("ignore")
def test_a_server_of_fastmcp_lets_nobody_in_without_a_bearer_and_refuses_other_calls(scene, tools):
    httpx = pytest.importorskip("httpx")
    server, done = tools
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}

    def post(url: str, bearer: str | None, body: dict) -> Any:
        more = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return httpx.post(url, json=body, headers={**headers, **more})

    def called(**params: Any) -> dict:
        return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "a"}, **params}}

    once = lambda body: scene.part.present(scene.researcher, AUDIENCE, hardtack.Message.read(json.dumps(body).encode()).calls()[0])  # noqa: E731
    with serving(server.http_app(stateless_http=True, json_response=True)) as url:
        url += "/mcp"
        assert post(url, None, called()).status_code == 401
        assert post(url, scene.part.to_base64(), called()).status_code == 401
        other = called(_meta={"example/act": "as another"})
        bearer = once(called()).bearer
        # Stolen on its way and sent with more than was signed.
        assert "bound to another call" in post(url, bearer, other).text
        assert "found a" in post(url, bearer, called()).text
        assert "was made" in post(url, bearer, called()).text or post(url, bearer, called()).status_code == 401
        assert "found a" in post(url, once(other).bearer, other).text
    assert done == ["search a", "search a"]


@pytest.mark.filterwarnings("ignore")
def test_a_session_belongs_to_the_key_that_opened_it_and_tasks_to_nobody(scene, tools):
    httpx = pytest.importorskip("httpx")
    server, _ = tools
    other = hardtack.PrivateKey.generate()
    # The same name for the same subject, and another key.
    named = scene.grant.delegate(
        scene.orchestrator, to="agent.researcher", scopes="tools:call:search", reason="other", holder=other.public
    )
    own, strange = scene.bearer, named.present(other, AUDIENCE).bearer
    about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}
    opening = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    task = {"jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": {"taskId": "t"}}
    unknown = {"jsonrpc": "2.0", "id": 4, "method": "tools/delete"}

    with serving(server.http_app(json_response=True)) as url:

        def post(bearer: str, body: dict, **more: str):
            headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-11-25"}
            return httpx.post(f"{url}/mcp", json=body, headers={**headers, "Authorization": f"Bearer {bearer}", **more})

        session = {"Mcp-Session-Id": post(own, opening).headers["mcp-session-id"]}
        post(own, {"jsonrpc": "2.0", "method": "notifications/initialized"}, **session)
        assert "search" in post(own, listing, **session).text
        stolen = post(strange, listing, **session)
        assert stolen.status_code in (403, 404) and "search" not in stolen.text
        again = scene.part.present(scene.researcher, AUDIENCE).bearer
        assert "search" in post(again, listing, **session).text
        for body in (task, unknown):
            answer = post(own, body, **session).json()
            assert "result" not in answer or answer["result"].get("isError"), answer


def pages(guard):
    from hardtack.starlette import Guarded

    async def describe(request):
        if request.method == "POST":
            return Call("tools:call:search", arguments=(await request.body()).decode())
        return Call(f"tools:call:{request.path_params['name']}")

    return Guarded(guard, describe)


def fastapi_app(guard):
    fastapi = pytest.importorskip("fastapi")
    guarded = pages(guard)
    app = fastapi.FastAPI()

    @app.get("/tools/{name}")
    @app.post("/tools/{name}")
    async def tool(name: str, permit=fastapi.Depends(guarded)):  # noqa: ANN001
        return {"agent": permit.agent, "tool": name}

    return app


def starlette_app(guard):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    guarded = pages(guard)

    async def tool(request):
        permit = await guarded(request)
        return JSONResponse({"agent": permit.agent, "tool": request.path_params["name"]})

    return Starlette(routes=[Route("/tools/{name}", tool, methods=["GET", "POST"])])


@pytest.mark.parametrize("app_of", [fastapi_app, starlette_app])
def test_routes_are_reached_with_a_permit_and_refused_in_the_words_for_callers(scene, guard, app_of):
    httpx = pytest.importorskip("httpx")
    with serving(app_of(guard)) as url, httpx.Client(base_url=url) as client:
        bearer = {"Authorization": f"Bearer {scene.bearer}"}
        found = client.get("/tools/search", headers=bearer)
        assert (found.status_code, found.json()) == (200, {"agent": "agent.researcher", "tool": "search"})
        refused = client.get("/tools/delete_page", headers=bearer)
        assert refused.status_code == 403 and refused.headers["www-authenticate"].startswith(
            f'Bearer realm="{AUDIENCE}", error="insufficient_scope"'
        )
        assert "the token does not grant tools:call:delete_page" in refused.text and "the chain" not in refused.text
        assert client.post("/tools/search", headers=bearer, content='{"limit": 3}').status_code == 200
        assert client.post("/tools/search", headers=bearer, content='{"limit": 30}').status_code == 403
        twice = client.post("/tools/search", headers=bearer, content='{"limit": 3, "limit": 30}')
        assert twice.status_code == 400 and "have a member twice" in twice.text
        none = client.get("/tools/search")
        assert (none.status_code, none.headers["www-authenticate"]) == (401, f'Bearer realm="{AUDIENCE}"')
        for wrong in ("Basic abc", "Bearer", "Bearer a b", "Bearer " + "x" * 33_000):
            assert client.get("/tools/search", headers={"Authorization": wrong}).status_code in (400, 431)
        assert client.get("/tools/search", headers=[("Authorization", f"Bearer {scene.bearer}")] * 2).status_code == 400
        assert client.get(f"/tools/search?access_token={scene.bearer}").status_code == 400
        assert client.get("/tools/search", headers={"Authorization": "Bearer AAAA"}).status_code == 401
