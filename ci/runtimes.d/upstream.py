"""The server behind the gateway: a tool to search, one to delete. Official Python SDK, both eras of MCP.

Prints its URL as one line, and writes every request that reaches it, whole, to the file named first.
"""

import json
import socket
import sys

import uvicorn
from mcp.server.mcpserver import MCPServer

server = MCPServer("notion", version="1", log_level="ERROR")


@server.tool()
def search(query: str) -> str:
    """Find pages."""
    return f"found the page {query}"


@server.tool()
def delete_page(id: str) -> str:
    """Delete a page."""
    return f"deleted {id}"


class Logged:
    def __init__(self, app, path):
        self.app = app
        self.log = open(path, "a", buffering=1)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        messages = [await receive()]
        while messages[-1]["type"] == "http.request" and messages[-1].get("more_body"):
            messages.append(await receive())
        body = b"".join(message.get("body", b"") for message in messages)
        entry = {"http": scope["method"], "path": scope["path"], "query": scope["query_string"].decode("latin-1")}
        entry["headers"] = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]]
        entry["body"] = body.decode("utf-8", "replace")
        self.log.write(json.dumps(entry) + "\n")

        async def receive_again():
            return messages.pop(0) if messages else await receive()

        await self.app(scope, receive_again, send)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(64)
print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
app = Logged(server.streamable_http_app(), sys.argv[1])
uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)).run(sockets=[listener])
