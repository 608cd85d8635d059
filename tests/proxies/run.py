"""nginx, Caddy and Envoy in front of a service, with the configurations of docs/proxies.md, each asking `hardtack decide`.

Usage: run.py HARDTACK [nginx=PATH] [caddy=PATH] [envoy=PATH]. All of it runs on 127.0.0.1, in a folder of its own.
"""

import http.server
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

PATIENCE = 20


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Service(http.server.BaseHTTPRequestHandler):
    """The service that is guarded. It remembers what has reached it."""

    protocol_version = "HTTP/1.1"
    seen = []

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        Service.seen.append((self.requestline, self.headers, body))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass


def ask(port, method, target, headers=(), body=b"", host="pages.example"):
    """Status, headers and body of the answer to a request that is sent byte by byte as it is written."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    if body:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        answer = b""
        # Who refuses a long body may close while it is sent, and the answer is lost then: status 0.
        try:
            stream.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            while chunk := stream.recv(65536):
                answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            pass
    if not answer:
        return 0, [], b""
    head, _, rest = answer.partition(b"\r\n\r\n")
    status, *fields = head.decode("latin-1").split("\r\n")
    fields = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
    return int(status.split()[1]), [(name.lower(), value) for name, value in fields], rest


def over_http2(port, target, headers):
    """The bytes of the answer to a GET over HTTP/2, of which the target may be any bytes."""

    def text(value):
        length, first = len(value), b""
        if length < 127:
            return bytes([length]) + value
        first, length = b"\x7f", length - 127
        while length >= 128:
            first, length = first + bytes([length % 128 + 128]), length // 128
        return first + bytes([length]) + value

    def frame(kind, flags, stream, payload):
        return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload

    fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", target), (b":authority", b"pages.example"), *headers]
    block = b"".join(b"\0" + text(name) + text(value) for name, value in fields)
    answer = b""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as stream:
        stream.settimeout(PATIENCE)
        stream.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block))
        # Until the stream or the connection ends: frame by frame.
        try:
            while chunk := stream.recv(65536):
                answer += chunk
                at = 0
                while at + 9 <= len(answer):
                    kind, flags, number = answer[at + 3], answer[at + 4], int.from_bytes(answer[at + 5:at + 9], "big")
                    at += 9 + int.from_bytes(answer[at:at + 3], "big")
                    if kind == 7 or number == 1 and at <= len(answer) and (kind == 3 or flags & 1 and kind in (0, 1)):
                        return answer
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def blocks(page):
    """The blocks of the page, by their language, in their order."""
    found = {}
    for language, text in re.findall(r"```(\w+)\n(.*?)```", page, re.S):
        found.setdefault(language, []).append(text)
    return found


def until(what, is_so):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if is_so():
            return
        time.sleep(0.05)
    raise SystemExit(f"not in time: {what}")


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Scene:
    def __init__(self, hardtack, folder, page):
        self.hardtack, self.folder = hardtack, folder
        self.blocks = blocks(page)
        self.ports = {8080: free_port(), 8090: free_port(), 8091: free_port(), 8443: free_port(), 9000: free_port()}
        self.failures, self.checks = [], 0
        server = http.server.ThreadingHTTPServer(("127.0.0.1", self.ports[9000]), Service)
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def placed(self, text):
        """A configuration with the ports of this run, and with its files in this folder."""
        return re.sub(r"\b(8080|8090|8091|8443|9000)\b", lambda port: str(self.ports[int(port[0])]), text)

    def run(self, *words, text=""):
        done = subprocess.run([self.hardtack, *words], input=text, text=True, capture_output=True, cwd=self.folder)
        if done.returncode:
            raise SystemExit(f"{words}: {done.stderr}")
        return done.stdout

    def write(self, name, text):
        with open(os.path.join(self.folder, name), "w") as file:
            file.write(text)

    def token(self):
        for name in ("root", "alice", "agent"):
            self.run("keygen", "--out", f"{name}.key")
            self.write(f"{name}.pub", self.run("pubkey", f"{name}.key"))
        grant = self.run("mint", "--key", "root.key", "--subject", "user:alice", "--scope", "pages:*", "--holder", "@alice.pub")
        part = self.run(
            "delegate", "--key", "alice.key", "--to", "agent.researcher", "--scope", "pages:read", "--scope", "pages:write",
            "--allow", 'page in ["roadmap", "a b"]', "--reason", "read it", "--holder", "@agent.pub", text=grant)
        return self.run("present", "--key", "agent.key", "--audience", "pages.example", text=part).strip()

    def decide(self):
        self.write("decide.toml", self.placed(self.blocks["toml"][0]))
        said = self.run("decide", "--config", "decide.toml", "--check")
        assert "can be used" in said, said
        words = [self.hardtack, "decide", "--config", "decide.toml"]
        process = self.start("decide", words)
        until("decide is ready", lambda: answers(self.ports[8091]) and ask(self.ports[8091], "GET", "/readyz")[0] == 200)
        return process

    def start(self, name, words):
        log = open(os.path.join(self.folder, f"{name}.log"), "ab")
        return subprocess.Popen(words, cwd=self.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, "HOME": self.folder})

    def check(self, proxy, what, holds, found):
        self.checks += 1
        if not holds:
            self.failures.append(f"{proxy}: {what}: {found}")

    def is_refused(self, proxy, what, statuses, *request, **more):
        before = len(Service.seen)
        status, fields, body = ask(self.ports[8080], *request, **more)
        reached = [line for line, _, _ in Service.seen[before:]]
        # To clients of gRPC, Envoy says by a header of theirs that it refuses.
        grpc = dict(fields).get("grpc-status", "0") != "0"
        self.check(proxy, what, (status in statuses or grpc) and not reached, (status, reached, body[:300]))
        return [value for name, value in fields if name == "www-authenticate"]


# What a token holder could try, to have the page `salaries` or another server's page, or to be somebody else.
ATTACKS = [
    "/pages/salaries", "/pages/salarie%73", "/pages%2Fsalaries", "/pages/roadmap/../salaries", "/pages/roadmap/%2E%2E/salaries",
    "/pages/./salaries", "//pages/salaries", "/pages//salaries", "/pages/roadmap%2F..%2Fsalaries", "/pages/roadmap%252F..%252Fsalaries",
    "/pages/roadmap;/../salaries", "/pages/roadmap;x=y", "/pages/%FF", "/pages/%C0%AFx", "/pages/roadmap%00", "/pages/roadmap%5C..%5Csalaries",
    "/pages/roadmap?page=salaries", "/pages/roadmap?version=1&version=2", "/pages/roadmap?version=1;version=2",
    "/pages/roadmap?version=a+b", "/pages/roadmap?other=1", "/pages/roadmap?version", "/pages/roadmap?access_token=x",
    "/pages/%72oadmap", "/pages/road%6dap", "/Pages/roadmap", "/pages/roadmap/", "/nowhere", "/",
    # Paths at which the decision endpoint is asked itself, and locations of the proxy.
    "/hardtack", "/hardtack-refused", "/nginx", "/forward-auth", "/envoy/pages/roadmap", "/access/v1/evaluation",
]


def try_proxy(scene, proxy, bearer, sends_body):
    port, auth = scene.ports[8080], f"Authorization: Bearer {bearer}"
    refused = {400, 401, 403, 404, 405, 408, 413, 431}
    before = len(Service.seen)
    spoofed = ["X-Hardtack-Subject: user:root", "x-hardtack-agent: agent.root", "X-Hardtack-Subject: user:other"]
    for target in ("/pages/roadmap", "/pages/a%20b?version=2"):
        status, _, body = ask(port, "GET", target, [auth, *spoofed])
        seen = Service.seen[before:]
        scene.check(proxy, f"allowed {target}", status == 200 and len(seen) == 1, (status, body[:300]))
        for line, fields, _ in seen:
            told = fields.get_all("X-Hardtack-Subject"), fields.get_all("X-Hardtack-Agent"), fields.get_all("Authorization")
            scene.check(proxy, "what the service is told", told[:2] == (["user:alice"], ["agent.researcher"]) and not any(told[2] or []), told)
            scene.check(proxy, "the target is forwarded as it came", line.split()[1] == target, line)
        before = len(Service.seen)

    scene.is_refused(proxy, "no token, as a client of gRPC", {401}, "GET", "/pages/roadmap", ["Content-Type: application/grpc"])
    for headers in ([], spoofed):
        challenges = scene.is_refused(proxy, f"no token {headers}", {401}, "GET", "/pages/roadmap", headers)
        scene.check(proxy, "one challenge with 401", len(challenges) == 1 and challenges[0].startswith("Bearer realm="), challenges)
    challenges = scene.is_refused(proxy, "another operation", {403}, "DELETE", "/pages/roadmap", [auth])
    scene.check(proxy, "one challenge with 403", len(challenges) == 1 and 'scope="pages:delete"' in challenges[0], challenges)
    for target in ATTACKS:
        scene.is_refused(proxy, target, refused, "GET", target, [auth])
    for headers in (
        ["X-Original-URI: /pages/roadmap"], ["X-Forwarded-Uri: /pages/roadmap", "X-Forwarded-Method: GET", "X-Forwarded-Host: pages.example"],
        ["X-Original-Method: GET", "X-Original-URI: /pages/roadmap", "X-Original-Host: pages.example"],
        ["X-Envoy-Original-Path: /pages/roadmap"], ["Content-Type: application/grpc"],
    ):
        scene.is_refused(proxy, f"salaries with {headers}", {400, 403}, "GET", "/pages/salaries", [auth, *headers])
    overrides = ["X-HTTP-Method-Override: DELETE", *(f"{name}: /pages/salaries" for name in (
        "X-Original-URL", "X-Rewrite-URL", "X-Original-Path", "X-Rewrite-Path", "X-HTTP-Path-Override", "X-Forwarded-Path", "X-Forwarded-Prefix")),
        "Forwarded: host=other.example"]
    for header in (*overrides, auth, "Authorization: Basic eA=="):
        scene.is_refused(proxy, f"roadmap with {header[:30]}", {400, 401, 403}, "GET", "/pages/roadmap", [auth, header])
    # What a proxy takes out because the client names it, or reads under another spelling, is not to be what the service is told.
    for headers in (
        ["Connection: X-Hardtack-Agent, X-Hardtack-Subject"], ["Connection: x-hardtack-agent", "X-Hardtack-Agent: agent.root"],
        ["Connection: Upgrade, X-Hardtack-Agent", "Upgrade: websocket"],
        ["X_Hardtack_Agent: agent.root"], ["X-Hardtack_Subject: user:root"], ["X_HTTP_Method_Override: DELETE"],
    ):
        before = len(Service.seen)
        status, _, body = ask(port, "GET", "/pages/roadmap", [auth, *headers])
        for _, fields, _ in Service.seen[before:]:
            told = fields.get_all("X-Hardtack-Subject"), fields.get_all("X-Hardtack-Agent")
            scene.check(proxy, f"what the service is told with {headers}", told == (["user:alice"], ["agent.researcher"]), told)
            scene.check(proxy, f"no other spelling with {headers}", not any("_" in name for name in fields), fields.items())
        scene.check(proxy, f"answered with {headers}", status in refused | {200}, (status, body[:300]))
    if proxy.startswith("envoy"):
        held = [(b"authorization", f"Bearer {bearer}".encode())]
        before = len(Service.seen)
        answer = over_http2(port, b"/pages/roadmap", held)
        scene.check(proxy, "HTTP/2", len(Service.seen) == before + 1, answer[:300])
        for target in (b"/pages/roadmap\xff", b"/pages/roadmap\xc0\xaf..\xc0\xafsalaries", b"/pages/roadmap?version=\xff", b"/pages/caf\xc3\xa9"):
            before = len(Service.seen)
            answer = over_http2(port, target, held)
            scene.check(proxy, f"HTTP/2 {target}", len(Service.seen) == before and answer, Service.seen[before:])
    # Caddy has an empty answer of its own for a host that it does not have.
    strange = refused | ({200} if proxy == "caddy" else set())
    scene.is_refused(proxy, "another host", strange, "GET", "/pages/roadmap", [auth], host="other.example")
    scene.is_refused(proxy, "another host in absolute form", strange, "GET", "http://other.example/pages/roadmap", [auth])
    scene.is_refused(proxy, "POST", {403, 405}, "POST", "/pages/roadmap", [auth], b"{}")
    title = b'{"title": "T"}'
    if sends_body:
        before = len(Service.seen)
        status, _, body = ask(port, "PUT", "/pages/roadmap", [auth], title)
        had = [body for _, _, body in Service.seen[before:]]
        scene.check(proxy, "a body that is judged", status == 200 and had == [title], (status, had, body[:300]))
    else:
        scene.is_refused(proxy, "a body that is not sent on", {400, 403}, "PUT", "/pages/roadmap", [auth], title)
    for body in (b'{"title": "\xff"}', b'{"title": "\xc0\xa2"}', b'{"page": "roadmap"}', b'{"title": "a", "title": "b"}', b"[]", b'{"title": "' + b"x" * 150_000 + b'"}'):
        scene.is_refused(proxy, f"PUT {body[:30]}", {400, 403, 413} | ({0} if len(body) > 100_000 else set()), "PUT", "/pages/roadmap", [auth], body)
    scene.is_refused(proxy, "PUT without a body", {400, 403}, "PUT", "/pages/roadmap", [auth])


def configurations(scene, binaries):
    """Of each proxy its name, its command, and whether it sends bodies."""
    if "nginx" in binaries:
        here = scene.folder
        temporary = "".join(f"{kind}_temp_path {here}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        server = scene.placed(scene.blocks["nginx"][0])
        scene.write("nginx.conf", f"daemon off; master_process off; pid {here}/nginx.pid; error_log {here}/nginx.err;\n"
                    f"events {{}}\nhttp {{ access_log off;\n{temporary}{server} }}\n")
        yield "nginx", [binaries["nginx"], "-p", here, "-c", f"{here}/nginx.conf", "-e", f"{here}/nginx.err"], False
    if "caddy" in binaries:
        options = "{\n\tadmin off\n\tauto_https off\n}\n"
        scene.write("Caddyfile", options + scene.placed(scene.blocks["caddyfile"][0]))
        yield "caddy", [binaries["caddy"], "run", "--config", "Caddyfile", "--adapter", "caddyfile"], False
    if "envoy" in binaries:
        whole, over_http = scene.blocks["yaml"][:2]
        # The same place for the other filter, and no HTTP/2 to the cluster.
        pattern = r"( +)- name: envoy\.filters\.http\.ext_authz\n.*?(?=\1- name: )"
        other = re.sub(pattern, lambda at: re.sub("^", at[1], over_http, flags=re.M).rstrip(" "), whole, count=1, flags=re.S)
        other = re.sub(r"    typed_extension_protocol_options:\n.*?(?=    load_assignment)", "", other, flags=re.S)
        assert other.count("path_prefix") == 1 and "grpc_service" not in other and "http2" not in other
        for name, text in (("envoy-grpc", whole), ("envoy-http", other)):
            scene.write(f"{name}.yaml", scene.placed(text))
            yield name, [binaries["envoy"], "-c", f"{name}.yaml", "--log-level", "warning", "--concurrency", "1", "--disable-hot-restart"], True


def stop(process):
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main():
    hardtack, *rest = sys.argv[1:]
    binaries = dict(word.split("=", 1) for word in rest)
    page = open(os.path.join(os.path.dirname(__file__), "../../docs/proxies.md")).read()
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(os.path.abspath(hardtack), folder, page)
        bearer = scene.token()
        scene.run("store", "create", "decide.store")
        for name, words, sends_body in configurations(scene, binaries):
            decide, proxy = scene.decide(), scene.start(name, words)
            try:
                until(f"{name} listens", lambda: answers(scene.ports[8080]) or proxy.poll() is not None)
                if proxy.poll() is not None:
                    raise SystemExit(open(os.path.join(folder, f"{name}.log")).read())
                try_proxy(scene, name, bearer, sends_body)
                stop(decide)
                auth = f"Authorization: Bearer {bearer}"
                scene.is_refused(name, "nobody decides", {403, 500, 502, 503, 504}, "GET", "/pages/roadmap", [auth])
            finally:
                stop(proxy)
                stop(decide)
            print(f"{name}: tried")
        records = scene.run("audit", "--store", "decide.store")
        scene.check("store", "allowed and refused calls are recorded", "pages:read" in records and "pages:delete" in records, records[-500:])
    for failure in scene.failures:
        print(failure)
    print(json.dumps({"proxies": sorted(binaries), "checks": scene.checks, "failures": len(scene.failures)}))
    sys.exit(1 if scene.failures or not binaries else 0)


if __name__ == "__main__":
    main()
