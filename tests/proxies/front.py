"""nginx and Caddy in front of `hardtack gateway`, over TLS, with the configurations of docs/front.md.

Usage: front.py HARDTACK [nginx=PATH] [caddy=PATH]. All of it runs on 127.0.0.1, in a folder of its own.
"""

import http.server
import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

from run import PATIENCE, Scene, answers, stop, until

# Between two events of an answer: longer than a machine under load is late, and shorter than anybody waits.
PAUSE = 2.0


class ToolServer(http.server.BaseHTTPRequestHandler):
    """An MCP server whose tool answers by two events, with a pause between them."""

    protocol_version = "HTTP/1.1"
    calls = []

    def do_POST(self):
        ToolServer.calls.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        progress = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1}}
        result = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "found"}]}}
        for message, pause in ((progress, PAUSE), (result, 0)):
            self.wfile.write(f"event: message\ndata: {json.dumps(message)}\n\n".encode())
            self.wfile.flush()
            time.sleep(pause)
        self.close_connection = True

    def log_message(self, *_):
        pass


def call(port, trusted, tool, headers, host="tools.example"):
    """Status and body of a tool call over TLS, and after how long its first event and its end came."""
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
    head = [f"POST /mcp HTTP/1.1", f"Host: {host}", "Connection: close", "Content-Type: application/json",
            "Accept: application/json, text/event-stream", f"Content-Length: {len(body)}", *headers]
    context = ssl.create_default_context(cafile=trusted)
    began, first, answer = time.monotonic(), None, b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as plain:
        with context.wrap_socket(plain, server_hostname="tools.example") as stream:
            stream.sendall(("\r\n".join([*head, "", ""]) + body).encode())
            while chunk := stream.recv(65536):
                answer += chunk
                if first is None and b"progress" in answer:
                    first = time.monotonic() - began
    status = int(answer.split()[1]) if answer else 0
    return status, answer, first, time.monotonic() - began


def configurations(scene, binaries):
    if "nginx" in binaries:
        here = scene.folder
        temporary = "".join(f"{kind}_temp_path {here}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        scene.write("nginx.conf", f"daemon off; master_process off; pid {here}/nginx.pid; error_log {here}/nginx.err;\n"
                    f"events {{}}\nhttp {{ access_log off;\n{temporary}{scene.placed(scene.blocks['nginx'][0])} }}\n")
        yield "nginx", [binaries["nginx"], "-p", here, "-c", f"{here}/nginx.conf", "-e", f"{here}/nginx.err"]
    if "caddy" in binaries:
        options = "{\n\tadmin off\n\tauto_https disable_redirects\n}\n"
        scene.write("Caddyfile", options + scene.placed(scene.blocks["caddyfile"][0]))
        yield "caddy", [binaries["caddy"], "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


def tokens(scene):
    for name in ("root", "alice"):
        scene.run("keygen", "--out", f"{name}.key")
        scene.write(f"{name}.pub", scene.run("pubkey", f"{name}.key"))
    grant = scene.run("mint", "--key", "root.key", "--subject", "user:alice", "--scope", "tools:call:search", "--holder", "@alice.pub")
    return scene.run("present", "--key", "alice.key", "--audience", "tools.example", text=grant).strip()


def main():
    hardtack, *rest = sys.argv[1:]
    binaries = dict(word.split("=", 1) for word in rest)
    page = open(os.path.join(os.path.dirname(__file__), "../../docs/front.md")).read()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ToolServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(os.path.abspath(hardtack), folder, page)
        port = scene.ports[8443]
        bearer = tokens(scene)
        scene.run("store", "create", "gateway.store")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
                        "-subj", "/CN=tools.example", "-addext", "subjectAltName=DNS:tools.example", "-keyout", "server.key", "-out", "server.pem"],
                       cwd=folder, check=True, capture_output=True)
        trusted = os.path.join(folder, "server.pem")
        gateway = scene.start("gateway", [
            scene.hardtack, "gateway", "--listen", f"127.0.0.1:{scene.ports[8080]}", "--upstream", f"http://127.0.0.1:{server.server_port}/mcp",
            "--audience", "tools.example", "--root", "@root.pub", "--store", "gateway.store", "--allow-host", "tools.example"])
        try:
            until("the gateway listens", lambda: answers(scene.ports[8080]))
            for name, words in configurations(scene, binaries):
                proxy = scene.start(name, words)
                try:
                    until(f"{name} listens", lambda: answers(port) or proxy.poll() is not None)
                    if proxy.poll() is not None:
                        raise SystemExit(open(os.path.join(folder, f"{name}.log")).read())
                    try_front(scene, name, port, trusted, bearer)
                finally:
                    stop(proxy)
                print(f"{name}: tried")
        finally:
            stop(gateway)
    for failure in scene.failures:
        print(failure)
    print(json.dumps({"fronts": sorted(binaries), "checks": scene.checks, "failures": len(scene.failures)}))
    sys.exit(1 if scene.failures or not binaries else 0)


def try_front(scene, name, port, trusted, bearer):
    auth = f"Authorization: Bearer {bearer}"
    before = len(ToolServer.calls)
    status, answer, first, end = call(port, trusted, "search", [auth])
    scene.check(name, "a call", status == 200 and b"found" in answer and len(ToolServer.calls) == before + 1, (status, answer[:300]))
    scene.check(name, "the first event comes before the second", first is not None and first < PAUSE <= end, (first, end))
    before = len(ToolServer.calls)
    status, answer, _, _ = call(port, trusted, "delete", [auth])
    scene.check(name, "another tool", status == 200 and b"tools:call:delete" in answer, (status, answer[:300]))
    status, answer, _, _ = call(port, trusted, "search", [])
    scene.check(name, "no token", status == 401 and b"www-authenticate: bearer" in answer.lower(), (status, answer[:300]))
    status, answer, _, _ = call(port, trusted, "search", [f"Authorization: Bearer {'A' * 21_000}"])
    scene.check(name, "a head as long as a bearer can be", status == 401 and b"www-authenticate: bearer" in answer.lower(), (status, answer[:300]))
    status, answer, _, _ = call(port, trusted, "search", [auth], host="evil.example")
    scene.check(name, "another host", status != 200 or not answer.partition(b"\r\n\r\n")[2], (status, answer[:300]))
    scene.check(name, "what is refused reaches nobody", len(ToolServer.calls) == before, len(ToolServer.calls) - before)


main()
