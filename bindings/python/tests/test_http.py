"""Auth for httpx and httpx2: who gets a bearer, and which."""

from __future__ import annotations

import asyncio
import importlib
import json

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call

URL = "https://tools.example/mcp"


@pytest.fixture(params=["httpx", "httpx2"])
def client_of(request):
    """The library, and Auth for it."""
    library = pytest.importorskip(request.param)
    return library, importlib.import_module(f"hardtack.{request.param}").Auth


def called(name: str, **arguments) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


class Server:
    """Answers each request and keeps what came."""

    def __init__(self, library, redirect: str | None = None) -> None:
        self.library, self.redirect, self.seen = library, redirect, []

    def __call__(self, request):
        self.seen.append((str(request.url), request.headers.get("authorization")))
        if self.redirect and str(request.url) == URL:
            return self.library.Response(307, headers={"Location": self.redirect})
        return self.library.Response(200, json={})

    def bearers(self) -> list[str]:
        return [sent.removeprefix("Bearer ") for _, sent in self.seen]


def send(library, auth, server, *requests, **options) -> None:
    transport = library.MockTransport(server)
    with library.Client(transport=transport, auth=auth, **options) as client:
        for method, url, body in requests:
            client.request(method, url, content=body if isinstance(body, (bytes, type(None))) else json.dumps(body))


def agent_of(scene) -> hardtack.Agent:
    return hardtack.Agent(scene.part, scene.researcher, AUDIENCE)


def test_each_call_has_a_bearer_of_its_own_for_these_arguments_alone(scene, client_of):
    library, auth = client_of
    server = Server(library)
    search = called("search", query="roadmap", limit=3)
    send(library, auth(agent_of(scene), URL), server, ("POST", URL, search), ("POST", URL, search))
    first, second = server.bearers()
    assert first != second
    with hardtack.Store.in_memory() as store:
        guard = hardtack.Guard([scene.issuer.public], AUDIENCE, store)
        with pytest.raises(hardtack.Denied) as other:
            guard.check(first, Call.tool("search", {"query": "salaries"}))
        assert other.value.cause == "other_call"
        guard.check(first, scene.search)
        with pytest.raises(hardtack.Denied) as again:
            guard.check(first, scene.search)
        assert again.value.cause == "replayed"
        guard.check(second, scene.search)


def test_what_is_no_call_goes_with_a_bearer_that_is_good_for_none(scene, client_of):
    library, auth = client_of
    server = Server(library)
    listed = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    unreadable = b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "method": "tools/call"}'
    requests = [("POST", URL, listed), ("GET", URL, None), ("DELETE", URL, None), ("POST", URL, unreadable)]
    send(library, auth(agent_of(scene), URL), server, *requests)
    assert len(set(server.bearers())) == 1
    scene.guard.admit(server.bearers()[0])
    with pytest.raises(hardtack.Forbidden):
        scene.guard.check(server.bearers()[0], scene.search)


def test_a_call_that_is_not_covered_is_sent_for_the_server_to_refuse(scene, client_of):
    library, auth = client_of
    server = Server(library)
    send(library, auth(agent_of(scene), URL), server, ("POST", URL, called("delete_page", id="roadmap")))
    with pytest.raises(hardtack.Forbidden) as refusal:
        scene.guard.check(server.bearers()[0], scene.delete)
    assert refusal.value.cause == "not_granted"


def test_no_other_origin_and_no_other_path_gets_a_bearer(scene, client_of):
    library, auth = client_of
    server = Server(library)
    elsewhere = [
        "https://tools.example/.well-known/oauth-protected-resource", "https://tools.example/mcp/", "https://tools.example/MCP",
        "https://tools.example:8443/mcp", "http://tools.example/mcp", "https://tools.example.evil/mcp", "https://evil.example/mcp",
        "https://tools.example@evil.example/mcp", "https://sub.tools.example/mcp",
    ]
    auth = auth(agent_of(scene), URL)
    send(library, None, server)
    transport = library.MockTransport(server)
    with library.Client(transport=transport) as client:
        for url in elsewhere:
            client.post(url, content=json.dumps(called("search")), auth=auth)
        assert {sent for _, sent in server.seen if sent and not sent.startswith("Basic")} == set()
        server.seen.clear()
        for url in (URL + "?a=b", "https://TOOLS.example:443/mcp"):
            client.post(url, content=json.dumps(called("search")), auth=auth)
        assert all(sent.startswith("Bearer ") for _, sent in server.seen) and len(server.seen) == 2


def test_a_host_in_other_letters_is_the_same_host(scene, client_of):
    library, auth = client_of
    server = Server(library)
    url = "https://t\u00f6\u00f6ls.example/an mcp"
    send(library, auth(agent_of(scene), url), server, ("POST", url, called("search")))
    send(library, auth(agent_of(scene), url), server, ("POST", "https://xn--tls-snaa.example/an%20mcp", called("search")))
    assert [bool(sent) for _, sent in server.seen] == [True, True]


@pytest.mark.parametrize("to", ["https://evil.example/mcp", "http://tools.example/mcp", "https://tools.example:444/mcp"])
def test_a_redirect_to_another_origin_takes_no_bearer_along(scene, client_of, to):
    library, auth = client_of
    server = Server(library, redirect=to)
    send(library, auth(agent_of(scene), URL), server, ("POST", URL, called("search")), follow_redirects=True)
    assert [url for url, _ in server.seen] == [URL, to]
    assert server.seen[0][1].startswith("Bearer ") and server.seen[1][1] is None


def test_a_client_of_asyncio_sends_the_same(scene, client_of):
    library, auth = client_of
    server = Server(library)

    async def run() -> None:
        transport = library.MockTransport(server)
        async with library.AsyncClient(transport=transport, auth=auth(agent_of(scene), URL)) as client:
            await client.post(URL, json=called("search", query="roadmap", limit=3))

    asyncio.run(run())
    scene.guard.check(server.bearers()[0], scene.search)


def test_bearers_go_over_tls_or_stay_on_this_machine(scene, client_of):
    _, auth = client_of
    agent = agent_of(scene)
    for url in ("http://127.0.0.1:8080/mcp", "http://localhost/mcp", "http://[::1]:1/mcp", URL):
        auth(agent, url)
    auth(agent, "http://gateway:8080/mcp", allow_plain_http="gateway")
    for cause, url in [
        ("plain_http", "http://gateway:8080/mcp"), ("plain_http", "http://127.0.0.1.evil.example/mcp"),
        ("malformed_url", "ftp://tools.example/mcp"), ("malformed_url", "/mcp"), ("malformed_url", "https://a:b@tools.example/mcp"),
        ("malformed_url", "https://tools.example:port/mcp"),
    ]:
        with pytest.raises(hardtack.Error) as refused:
            auth(agent, url)
        assert refused.value.cause == cause, url


def test_with_sessions_a_call_goes_with_the_one_bearer_of_the_session(scene, client_of):
    library, auth = client_of
    server = Server(library)
    search = called("search", query="roadmap", limit=3)
    auth = auth(agent_of(scene), URL, call_bound=False)
    send(library, auth, server, ("POST", URL, search), ("POST", URL, search))
    assert len(set(server.bearers())) == 1
    scene.guard.check(server.bearers()[0], scene.search)


def test_a_renewed_capability_is_presented_at_once_and_an_expired_one_is_said_to_be(scene, client_of):
    library, auth = client_of
    server = Server(library)
    given = dict(subject="user:alice", scopes="tools:call:*", holder=scene.orchestrator.public, ttl=60)
    old = scene.issuer.mint(**given, now=1_700_000_000)
    agent = hardtack.Agent(old, scene.orchestrator, AUDIENCE)
    hook = auth(agent, URL)
    with pytest.raises(hardtack.Error) as expired:
        send(library, hook, server, ("POST", URL, called("search")))
    assert expired.value.cause == "expired" and server.seen == []
    agent.renew(scene.grant)
    send(library, hook, server, ("POST", URL, called("search")))
    scene.guard.check(server.bearers()[0], Call.tool("search", {}))
    assert server.bearers()[0][:40] not in repr(hook)
