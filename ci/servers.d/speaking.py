"""How MCP is spoken to a server: over its standard input and output or over HTTP, in either era of the protocol.

Messages are read as they are, without an SDK, so that what is compared is what was sent.
"""

import http.client
import json
import queue
import subprocess
import threading
import urllib.parse

LEGACY, MODERN = "2025-11-25", "2026-07-28"
SECONDS = 60
CLIENT = {"name": "ci-servers", "version": "1"}


class Program:
    """A server that is a program; it ends with its standard input."""

    def __init__(self, command, folder, environment, stderr):
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        )
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, message):
        self.send(message)
        while True:
            if (line := self.lines.get(timeout=SECONDS)) is None:
                return {"error": {"code": 0, "message": "the program ended"}}
            answer = json.loads(line)
            if answer.get("id") == message["id"] and "method" not in answer:
                return answer

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(10)


class Endpoint:
    """A server over HTTP, with a bearer if it wants one."""

    def __init__(self, url, bearer=None):
        self.url, self.session = urllib.parse.urlsplit(url), None
        self.headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        if bearer:
            self.headers["Authorization"] = f"Bearer {bearer}"

    def post(self, message):
        """The connection and its response."""
        headers = dict(self.headers)
        params = message.get("params") or {}
        version = (params.get("_meta") or {}).get("io.modelcontextprotocol/protocolVersion")
        headers["MCP-Protocol-Version"] = version or LEGACY
        if version:
            headers["Mcp-Method"] = message["method"]
            if name := params.get("name") or params.get("uri"):
                headers["Mcp-Name"] = name
        elif message["method"] == "initialize":
            del headers["MCP-Protocol-Version"]
        if self.session:
            headers["Mcp-Session-Id"] = self.session
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=SECONDS)
        connection.request("POST", self.url.path, json.dumps(message).encode(), headers)
        response = connection.getresponse()
        self.session = response.getheader("Mcp-Session-Id") or self.session
        return connection, response

    def send(self, message):
        connection, response = self.post(message)
        response.read()
        connection.close()

    def ask(self, message):
        connection, response = self.post(message)
        try:
            kind = response.getheader("Content-Type") or ""
            texts = events(response) if kind.startswith("text/event-stream") else [response.read()]
            for text in texts:
                try:
                    answer = json.loads(text)
                except ValueError:
                    return {"error": {"code": response.status, "message": text.decode(errors="replace")[:200]}}
                if answer.get("id") == message["id"] and "method" not in answer:
                    return answer
            return {"error": {"code": response.status, "message": "no answer came"}}
        finally:
            connection.close()

    def close(self):
        if self.session:
            connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=SECONDS)
            connection.request("DELETE", self.url.path, headers={**self.headers, "Mcp-Session-Id": self.session})
            connection.getresponse().read()
            connection.close()


def events(response):
    data = b""
    for line in response:
        line = line.rstrip(b"\r\n")
        if line.startswith(b"data:"):
            data += line[5:].strip()
        elif not line and data:
            yield data
            data = b""


class Conversation:
    """A client's talk with a server, in one era."""

    def __init__(self, server, era, capabilities):
        self.server, self.era, self.number = server, era, 0
        self.capabilities = capabilities
        if era == LEGACY:
            params = {"protocolVersion": LEGACY, "capabilities": capabilities, "clientInfo": CLIENT}
            self.hello = self.ask("initialize", **params)
            server.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        else:
            self.hello = self.ask("server/discover")

    def ask(self, method, **params):
        self.number += 1
        if self.era == MODERN:
            about = {"protocolVersion": MODERN, "clientInfo": CLIENT, "clientCapabilities": self.capabilities}
            params["_meta"] = {f"io.modelcontextprotocol/{key}": value for key, value in about.items()}
        return self.server.ask({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})

    def list(self, kind):
        """What a list says, over all its pages: its entries, and the rest of the last answer. Or the error's code."""
        member, entries, cursor = LISTS[kind], [], {}
        while True:
            answer = self.ask(f"{kind}/list", **cursor)
            if "error" in answer:
                return {"error": answer["error"]["code"]}
            result = dict(answer["result"])
            entries += result.pop(member)
            if not (following := result.pop("nextCursor", None)):
                return {"entries": entries, "rest": result}
            cursor = {"cursor": following}


LISTS = {
    "tools": "tools",
    "resources": "resources",
    "resources/templates": "resourceTemplates",
    "prompts": "prompts",
}
