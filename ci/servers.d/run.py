"""Real servers, directly and behind `hardtack gateway`: are their lists the same, and do calls pass and not pass?

    run.py HARDTACK FOLDER NODE

FOLDER has the servers: node_modules and a virtual environment `python`. Each server is asked in each era of the protocol
that it knows, over each transport that it has. With a grant of everything each list must be the same behind the gateway,
member for member, unless a difference stands in `known`, under its reason; one that stands there and does not occur is a
fault, too. The reasons stand in docs/gateway.md in the same words. With a grant of one tool only this tool is listed. One
call passes, one is refused, and the records say both.
"""

import http.server
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from speaking import LEGACY, LISTS, MODERN, Conversation, Endpoint, Program

HERE = pathlib.Path(__file__).absolute().parent
sys.path.insert(0, str(HERE.parent / "shared"))

from known import reasons_in, written_reasons
from processes import started, stop_everything

PAGE = HERE.parent.parent / "docs" / "gateway.md"
HEADING = "## What lists of real servers show"
BINARY, FOLDER, NODE = (pathlib.Path(argument).absolute() for argument in sys.argv[1:4])
MODULES, PYTHON = FOLDER / "node_modules" / ".bin", FOLDER / "python" / "bin"
# What some servers show tools for. Without roots, for which others would ask in the middle of a call.
CAPABILITIES = {"sampling": {}, "elicitation": {"form": {}}}


class Server:
    """A server of somebody else: how it is started, a call that passes, and one that is refused."""

    def __init__(self, name, command, call, found, other, http=None, environment=None, may_fail=False):
        self.name, self.command, self.http, self.environment = name, command, http, environment or {}
        # A tool and its arguments; what its result has; another tool and its arguments.
        self.call, self.found, self.other = call, found, other
        # Whether the call may fail for what a machine does not have. Then the server must say the same behind the gateway.
        self.may_fail = may_fail

    def good(self, answer):
        fine = "result" in answer and (self.may_fail or not answer["result"].get("isError"))
        return fine and self.found in text_of(answer)


def servers(folder, page, port):
    """Each has a folder of its own. `port()` is one that is free."""
    (folder / "files").mkdir()
    (folder / "files" / "note.txt").write_text("a note of the trial")
    repository = folder / "repository"
    subprocess.run(["git", "init", "--quiet", repository], check=True)
    (repository / "new.txt").write_text("new")
    everything, playwright = MODULES / "mcp-server-everything", MODULES / "playwright-mcp"
    # No page of a browser reaches this port.
    headless = [playwright, "--headless", "--isolated", "--output-dir", folder / "playwright", "--allowed-hosts", "*"]
    duck = [PYTHON / "mcp-server-motherduck", "--db-path", ":memory:", "--read-write", "--home-dir", folder]
    ports = {name: port() for name in ["everything", "playwright", "motherduck"]}
    return [
        Server(
            "everything",
            [everything, "stdio"],
            ("echo", {"message": "one"}),
            "Echo: one",
            ("get-sum", {"a": 1, "b": 2}),
            http=(
                [NODE, "--require", HERE / "local.cjs", everything, "streamableHttp"],
                ports["everything"],
                {"PORT": str(ports["everything"])},
            ),
        ),
        Server(
            "filesystem",
            [MODULES / "mcp-server-filesystem", folder / "files"],
            ("read_text_file", {"path": str(folder / "files" / "note.txt")}),
            "a note of the trial",
            ("write_file", {"path": str(folder / "files" / "note.txt"), "content": "gone"}),
        ),
        Server(
            "memory",
            [MODULES / "mcp-server-memory"],
            ("read_graph", {}),
            "entities",
            ("create_entities", {"entities": [{"name": "a", "entityType": "b", "observations": []}]}),
            environment={"MEMORY_FILE_PATH": str(folder / "memory.jsonl")},
        ),
        Server(
            "sequential-thinking",
            [MODULES / "mcp-server-sequential-thinking"],
            (
                "sequentialthinking",
                {"thought": "first", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1},
            ),
            "thoughtNumber",
            ("nothing_else", {}),
        ),
        Server(
            "playwright",
            headless,
            ("browser_close", {}),
            "",
            ("browser_navigate", {"url": page}),
            http=([*headless, "--host", "127.0.0.1", "--port", str(ports["playwright"])], ports["playwright"], {}),
            # It wants a browser, which is not installed.
            may_fail=True,
        ),
        Server(
            "git",
            [PYTHON / "mcp-server-git", "--repository", repository],
            ("git_status", {"repo_path": str(repository)}),
            "new.txt",
            ("git_add", {"repo_path": str(repository), "files": ["new.txt"]}),
        ),
        Server(
            "time",
            [PYTHON / "mcp-server-time", "--local-timezone", "UTC"],
            ("get_current_time", {"timezone": "Europe/Vienna"}),
            "Europe/Vienna",
            ("convert_time", {"source_timezone": "UTC", "time": "10:00", "target_timezone": "Asia/Tokyo"}),
        ),
        Server(
            "fetch",
            [PYTHON / "mcp-server-fetch", "--ignore-robots-txt", "--allow-private-ips"],
            ("fetch", {"url": page, "raw": True}),
            "the page of the trial",
            ("nothing_else", {}),
        ),
        Server(
            "motherduck",
            duck,
            ("execute_query", {"sql": "SELECT 40 + 2 AS answer"}),
            "42",
            ("list_databases", {}),
            http=([*duck, "--transport", "http", "--port", str(ports["motherduck"])], ports["motherduck"], {}),
        ),
    ]


# Processes.

def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def environment(folder, more=()):
    # Nothing of the caller's: no proxies, no settings.
    return {"PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "NO_COLOR": "1", **dict(more)}


def start(name, command, folder, more=(), wanted=None):
    command = [str(part) for part in command]
    out = subprocess.PIPE if wanted else subprocess.DEVNULL
    with open(folder / f"{name}.stderr", "ab") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, more), stdin=subprocess.DEVNULL, stdout=out, stderr=errors, text=True
        )  # fmt: skip
    started.append(process)
    if wanted:
        for line in process.stdout:
            if found := re.search(wanted, line):
                return process, found.group(0)
        sys.exit(f"{name} did not start: {(folder / f'{name}.stderr').read_text()[-800:]}")
    return process, None


def wait_for(port, name):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"{name} does not listen at its port")


def hardtack(folder, *arguments, stdin=""):
    command = [str(BINARY), *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=60
    )
    if done.returncode != 0:
        sys.exit(f"hardtack {arguments[0]} ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<html><body><p>the page of the trial</p></body></html>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


# The trial.


class Behind:
    """One gateway in front of all servers, each once for each transport."""

    def __init__(self, folder, them):
        self.folder = folder
        self.root = hardtack(folder, "keygen", "--out", "root.key").strip()
        hardtack(folder, "store", "create", "hardtack.store")
        text = f'root = ["{self.root}"]\nrevocation-audience = "servers/revocations"\nstore = "hardtack.store"\n'
        more = {}
        for server in them:
            variables = json.dumps(sorted(server.environment))
            command = json.dumps([str(part) for part in server.command])
            text += self.section(server, "stdio") + f"upstream-command = {command}\nupstream-env = {variables}\n"
            more |= server.environment
            if server.http:
                text += self.section(server, "http") + f'upstream = "http://127.0.0.1:{server.http[1]}/mcp"\n'
        (folder / "gateway.toml").write_text(text)
        command = [BINARY, "gateway", "--config", "gateway.toml", "--listen", "127.0.0.1:0"]
        self.process, self.address = start("gateway", command, folder, more, r"127\.0\.0\.1:\d+")

    @staticmethod
    def section(server, transport):
        name = f"{server.name}-{transport}"
        return f'\n[[server]]\nname = "{name}"\npath = "/{name}/mcp"\naudience = "{name}.mcp"\n'

    def endpoint(self, server, transport, *scope):
        audience, key = f"{server.name}-{transport}.mcp", f"holder-{len(list(self.folder.glob('holder-*')))}.key"
        grant = ["mint", "--key", "root.key", "--subject", "user:alice", "--new-holder", key, "--scope", *scope]
        capability = hardtack(self.folder, *grant)
        bearer = hardtack(self.folder, "present", "--key", key, "--audience", audience, stdin=capability).strip()
        return Endpoint(f"http://{self.address}/{server.name}-{transport}/mcp", bearer)


def direct(server, transport, folder):
    if transport == "http":
        return Endpoint(f"http://127.0.0.1:{server.http[1]}/mcp")
    with open(folder / f"{server.name}.stderr", "ab") as errors:
        command = [str(part) for part in server.command]
        return Program(command, folder, environment(folder, server.environment), errors)


def identity(kind, entry):
    return entry.get("uriTemplate") or entry.get("uri") or entry["name"]


def differences(kind, before, after):
    """Each difference of two lists, by a word that names it."""
    if "error" in before or "error" in after:
        if before != after:
            yield f"error:{before.get('error', 'none')}:{after.get('error', 'none')}"
        return
    if before["rest"] != after["rest"]:
        yield "members"
    old = {identity(kind, entry): entry for entry in before["entries"]}
    new = {identity(kind, entry): entry for entry in after["entries"]}
    for name in old.keys() | new.keys():
        if old.get(name) != new.get(name):
            yield name.replace(" ", "%20")
    order = [identity(kind, entry) for entry in before["entries"] if identity(kind, entry) in new]
    if order != [identity(kind, entry) for entry in after["entries"] if identity(kind, entry) in old]:
        yield "order"


def text_of(answer):
    return json.dumps(answer.get("result", answer.get("error")), ensure_ascii=False)


class Trial:
    def __init__(self, folder, behind):
        self.folder, self.behind = folder, behind
        self.faults, self.found, self.lists, self.entries = [], set(), 0, 0
        # How many decisions of each verdict must be in the records, for an audience and an operation.
        self.wanted = {}

    def must(self, holds, sentence):
        if not holds:
            self.faults.append(sentence)

    def one(self, server, transport):
        for era in (LEGACY, MODERN):
            before = direct(server, transport, self.folder)
            try:
                talk = Conversation(before, era, CAPABILITIES)
                if "error" in talk.hello:
                    # It does not know this era. The older one it must know.
                    self.must(era == MODERN, f"{server.name} {transport} {era}: {text_of(talk.hello)[:200]}")
                    continue
                lists = {kind: talk.list(kind) for kind in LISTS}
                passed = talk.ask("tools/call", name=server.call[0], arguments=server.call[1])
                resource = next((entry["uri"] for entry in lists["resources"].get("entries", [])), None)
                read = resource and talk.ask("resources/read", uri=resource)
            finally:
                before.close()
            self.must(server.good(passed), f"{server.name} {transport} {era}: directly: {text_of(passed)[:300]}")
            self.compare(server, transport, era, lists, resource, read)
            self.only_one(server, transport, era, passed, resource)
            yield era, lists

    def compare(self, server, transport, era, lists, resource, read):
        """With a grant of everything, lists and a resource are the same."""
        where = f"{server.name} {transport} {era}"
        after = self.behind.endpoint(server, transport, "*")
        talk = Conversation(after, era, CAPABILITIES)
        self.must("result" in talk.hello, f"{where}: behind the gateway: {text_of(talk.hello)[:200]}")
        for kind, before in lists.items():
            self.lists, self.entries = self.lists + 1, self.entries + len(before.get("entries", []))
            listed = talk.list(kind)
            self.found |= {f"{where} {kind} {difference}" for difference in differences(kind, before, listed)}
        if resource:
            again = talk.ask("resources/read", uri=resource)
            same = "result" in read and again.get("result") == read["result"]
            self.must(same, f"{where}: {resource} says {text_of(again)[:200]}, and directly {text_of(read)[:200]}")
            self.count(server, transport, "allow", "resources:read")
        after.close()

    def count(self, server, transport, verdict, operation):
        key = (f"{server.name}-{transport}.mcp", operation, verdict)
        self.wanted[key] = self.wanted.get(key, 0) + 1

    def only_one(self, server, transport, era, passed, resource):
        """With a grant of one tool, another is neither listed nor called, and no resource is read."""
        where, tool = f"{server.name} {transport} {era}", server.call[0]
        after = self.behind.endpoint(server, transport, f"tools:call:{tool}")
        talk = Conversation(after, era, CAPABILITIES)
        tools = talk.list("tools")
        names = [entry["name"] for entry in tools.get("entries", [])]
        self.must(names == [tool], f"{where}: with a grant of {tool}, what is listed is {names}")
        allowed = talk.ask("tools/call", name=tool, arguments=server.call[1])
        fine = server.good(allowed) and (not server.may_fail or allowed["result"] == passed.get("result"))
        self.must(fine, f"{where}: {tool} says {text_of(allowed)[:300]}")
        other, arguments = server.other
        refused = talk.ask("tools/call", name=other, arguments=arguments)
        said = f"the token does not grant tools:call:{other}"
        self.must(said in text_of(refused), f"{where}: {other} says {text_of(refused)[:300]}")
        self.count(server, transport, "allow", f"tools:call:{tool}")
        self.count(server, transport, "deny", f"tools:call:{other}")
        if resource:
            shown = talk.list("resources").get("entries")
            self.must(shown == [], f"{where}: with a grant of {tool}, resources are listed: {shown}")
            refused = talk.ask("resources/read", uri=resource)
            said = "the token does not grant resources:read"
            self.must(said in text_of(refused), f"{where}: {resource} says {text_of(refused)[:300]}")
            self.count(server, transport, "deny", "resources:read")
        after.close()

    def records(self):
        seen = {}
        for line in hardtack(self.folder, "audit", "--store", "hardtack.store", "--json").splitlines():
            record = json.loads(line)
            key = (record["chain"]["audience"], record["operation"], record["decision"])
            seen[key] = seen.get(key, 0) + 1
        self.must(seen == self.wanted, f"the records have {seen}, and not {self.wanted}")
        said = hardtack(self.folder, "audit", "verify", "--store", "hardtack.store")
        self.must(said.startswith("unchanged"), said)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    began = time.monotonic()
    only = sys.argv[4:]
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="hardtack-servers.") as name:
        folder = pathlib.Path(name)
        them = servers(folder, f"http://127.0.0.1:{pages.server_port}/", free_port)
        them = [server for server in them if not only or server.name in only]
        for server in them:
            if server.http:
                command, port, more = server.http
                start(f"{server.name}-http", command, folder, more)
                wait_for(port, server.name)
        behind = Behind(folder, them)
        trial = Trial(folder, behind)
        for server in them:
            for transport in ["stdio", *(["http"] if server.http else [])]:
                for era, lists in trial.one(server, transport):
                    sizes = ", ".join(f"{len(said['entries'])} {kind}" for kind, said in lists.items() if said.get("entries"))
                    print(f"{server.name:20} {transport:5} {era}  {sizes}", flush=True)
        behind.process.terminate()
        behind.process.wait(20)
        trial.records()
        stop_everything()
        if os.environ.get("SHOW"):
            for file in folder.glob("*.stderr"):
                print(f"-- {file.name}\n{file.read_text()[-1500:]}")

    faults, reasons = trial.faults, reasons_in(HERE / "known")
    accounted = {entry for entries in reasons.values() for entry in entries}
    faults += [f"not the same behind the gateway: {difference}" for difference in sorted(trial.found - accounted)]
    if not only:
        faults += [f"stands in known, and is the same: {difference}" for difference in sorted(accounted - trial.found)]
    for reason in sorted(reasons.keys() ^ set(written_reasons(PAGE, HEADING))):
        where = "docs/gateway.md" if reason in reasons else "known"
        faults.append(f"a reason that {where} does not have: {reason}")
    print(f"{trial.lists} lists with {trial.entries} entries; {len(trial.found)} differences for {len(reasons)} known reasons")
    for fault in faults:
        print(fault)
    print(f"in {time.monotonic() - began:.0f} s")
    sys.exit(len(faults) > 0)


if __name__ == "__main__":
    main()
