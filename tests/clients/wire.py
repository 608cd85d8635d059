"""MCP by hand over HTTP, for what an official client would never send."""

import itertools
import json
import time

import httpx

BOTH = "application/json, text/event-stream"
OLD, NEW = "2025-11-25", "2026-07-28"
META = "io.modelcontextprotocol/"


class Wire:
    """One agent's connection. `old` speaks 2025-11-25 with sessions, `new` 2026-07-28 without."""

    def __init__(self, url, token, era="old", seconds=20):
        self.url, self.era, self.session = url, era, None
        headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
        # No proxy of the environment between two processes of this machine.
        self.http = httpx.Client(headers=headers, timeout=seconds, trust_env=False)
        self.ids = itertools.count(1)

    def headers(self, method=None, name=None):
        headers = {"Accept": BOTH, "Content-Type": "application/json"}
        headers["MCP-Protocol-Version"] = OLD if self.era == "old" else NEW
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        if self.era == "new" and method:
            headers["Mcp-Method"] = method
            if name is not None:
                headers["Mcp-Name"] = name
        return headers

    def message(self, method, params=None, id=None):
        params = dict(params or {})
        if self.era == "new":
            params["_meta"] = {
                META + "protocolVersion": NEW,
                META + "clientInfo": {"name": "wire", "version": "1"},
                META + "clientCapabilities": {},
                **params.get("_meta", {}),
            }
        return {"jsonrpc": "2.0", "id": next(self.ids) if id is None else id, "method": method, "params": params}

    def send(self, body, headers=None, method="POST"):
        """Sends exactly this body, with these headers on top of the usual."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return self.http.request(method, self.url, content=body, headers={**self.headers(), **(headers or {})})

    def request(self, method, params=None, id=None, headers=None):
        name = (params or {}).get("name") or (params or {}).get("uri")
        message = self.message(method, params, id)
        return self.send(message, {**self.headers(method, name), **(headers or {})})

    def stream(self, method, params=None, id=None):
        """The response as it comes: use with `with`, and read with `events`."""
        name = (params or {}).get("name") or (params or {}).get("uri")
        body = json.dumps(self.message(method, params, id)).encode()
        return self.http.stream("POST", self.url, content=body, headers=self.headers(method, name))

    def open(self):
        """Initializes a session (old era)."""
        hello = {"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "wire", "version": "1"}}
        response = self.request("initialize", hello)
        response.raise_for_status()
        self.session = response.headers.get("mcp-session-id")
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return self

    def call(self, name, arguments=None, **rest):
        return self.request("tools/call", {"name": name, "arguments": arguments or {}}, **rest)

    def get(self, headers=None):
        return self.http.stream(
            "GET", self.url, headers={**self.headers(), "Accept": "text/event-stream", **(headers or {})}
        )


def messages(response):
    """The JSON-RPC messages of a response that is complete, in JSON or as events."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        return [json.loads(event["data"]) for event in split(response.text) if event.get("data")]
    return [response.json()] if response.content else []


def answer(response):
    """The one message that is a result or an error."""
    answers = [message for message in messages(response) if "result" in message or "error" in message]
    if len(answers) != 1:
        raise AssertionError(f"one answer was expected: HTTP {response.status_code}, {response.text[:300]!r}")
    return answers[0]


def text(response):
    """The text of a tool's result."""
    return answer(response)["result"]["content"][0]["text"]


def split(body):
    return [fields(block) for block in body.replace("\r\n", "\n").split("\n\n") if block.strip()]


def fields(block):
    event = {}
    for line in block.split("\n"):
        name, _, value = line.partition(":")
        if name:
            value = value.removeprefix(" ")
            event[name] = event[name] + "\n" + value if name in event else value
    return event


def events(response, seconds=30):
    """The events of an open response, each with the moment at which it came. Looks no further after so many seconds."""
    end = time.monotonic() + seconds
    block = []
    for line in response.iter_lines():
        if line:
            block.append(line)
        elif block:
            yield time.monotonic(), fields("\n".join(block))
            block = []
        if time.monotonic() > end:
            return
