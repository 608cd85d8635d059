"""Takes each snippet out of docs/runtimes.md and runs it against a gateway, in four ways:

    hidden       a token without delete_page: the tool is not listed, and refused when called all the same
    conditional  a token with delete_page for one page only: listed, and refused for another page
    agent        the same through `hardtack agent --call-bound`, and no good token in the runtime's hands
    foreign      a token for another server: nothing may work, and nothing may hang

(the snippet that sends no token may work through the agent alone)

and looks that the allowed call's result and the refusal's reason arrive, and what reached the server behind.
"""

import atexit
import base64
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "shared"))

from processes import started

PAGE = HERE.parent.parent / "docs" / "runtimes.md"
BINARY, CACHE = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
ONLY = sys.argv[3:]
SECONDS = 90

FOUND = "found the page roadmap"
NOT_GRANTED = "the token does not grant tools:call:delete_page"
CONDITION = "conditions that this call of tools:call:delete_page does not meet"

# What a runtime says when its model asks for a tool that was not listed. The others have no model in their snippet.
NOT_LISTED = {
    "claude-agent-sdk": "No such tool available",
    "claude-mcp-add": "No such tool available",
    "claude-mcp-json": "No such tool available",
    "openai-agents": "Tool delete_page not found in agent",
    "langgraph": "delete_page is not a valid tool, try one of [search]",
    "llamaindex": "Tool delete_page not found",
    "vercel-ai": "Model tried to call unavailable tool 'delete_page'",
    "mastra": '"notion_delete_page\\" not found',
}
# Their snippets call through the model alone, so that what is not listed never reaches the gateway.
THROUGH_THE_MODEL = {"claude-agent-sdk", "claude-mcp-add", "claude-mcp-json", "mastra"}
VENVS = {"langgraph": "langgraph", "llamaindex": "llamaindex"}


# Servers, each of which says on standard output where it listens.


def serve(name, command, folder, wanted=r"http://127\.0\.0\.1:\d+\S*", environment=None):
    with open(folder / f"{name}.stderr", "ab") as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
    started.append(process)
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + 30
    while line := lines.get(timeout=max(0.01, end - time.monotonic())):
        if found := re.search(wanted, line):
            return found.group(0)
    sys.exit(f"{name} ended: {(folder / f'{name}.stderr').read_text()[-500:]}")


def hardtack(folder, *arguments, stdin=""):
    command = [BINARY, *arguments]
    result = subprocess.run(command, input=stdin, cwd=folder, capture_output=True, text=True, timeout=20)
    if result.returncode != 0:
        sys.exit(f"hardtack {arguments[0]} ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


class Tokens:
    def __init__(self, folder):
        self.folder = folder
        self.root = hardtack(folder, "keygen", "--out", "root.key").strip()
        grant = ["mint", "--key", "root.key", "--subject", "user:alice", "--scope", "tools:call:*", "--ttl", "2h"]
        self.grant = hardtack(folder, *grant, "--new-holder", "orchestrator.key")
        self.delegate("hidden", "tools:call:search")
        condition = 'check if operation($o), $o != "tools:call:delete_page" or arg("id", "draft")'
        self.delegate("conditional", "tools:call:search", "tools:call:delete_page", "--check", condition)
        self.bearers = set()

    def delegate(self, name, *scope):
        hop = ["delegate", "--key", "orchestrator.key", "--to", f"agent.{name}", "--reason", "a trial", "--ttl", "1h"]
        token = hardtack(self.folder, *hop, "--new-holder", f"{name}.key", "--scope", *scope, stdin=self.grant)
        (self.folder / f"{name}.token").write_text(token)

    def bearer(self, name, audience="notion.mcp"):
        capability = (self.folder / f"{name}.token").read_text()
        present = ["present", "--key", f"{name}.key", "--audience", audience]
        bearer = hardtack(self.folder, *present, stdin=capability).strip()
        self.bearers.add(bearer)
        return bearer


# Snippets.


def snippets():
    blocks = re.findall(r"^```(\w+) title=(\S+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return {title: (language, code) for language, title, code in blocks}


def run(title, language, code, folder, environment):
    """Runs one snippet to its end, and returns what it printed, or None if it had to be ended."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{title}.", dir=folder))
    if language == "js":
        # Where the modules are found.
        file = CACHE / "node" / f"{title}.{folder.name}.mjs"
        command = ["node", file]
    else:
        file = folder / ("snippet.py" if language == "python" else "snippet.sh")
        command = ["python" if language == "python" else "bash", file]
    file.write_text(code)
    if title == "claude-mcp-json":
        (folder / ".mcp.json").write_text(snippets()["mcp-json"][1])
    python = CACHE / VENVS.get(title, "python")
    claude = next((CACHE / "python").glob("lib/python*/site-packages/claude_agent_sdk/_bundled"))
    path = f"{python}/bin:{claude}:{os.environ['NODE_FOLDER']}:/usr/local/bin:/usr/bin:/bin"
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=folder,
        # Nothing of the caller's environment: no keys, no proxies, no settings.
        env={"PATH": path, "HOME": str(folder), **environment},
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None
    finally:
        if language == "js":
            file.unlink()


class Log:
    """A file to which a server writes one JSON line after another."""

    def __init__(self, path):
        self.path = path
        self.path.touch()

    def entries(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def since(self, number):
        return self.entries()[number:]


def calls(entries):
    """The names of the tools called in these requests."""
    for entry in entries:
        try:
            message = json.loads(entry["body"])
        except ValueError:
            continue
        if isinstance(message, dict) and message.get("method") == "tools/call":
            yield message["params"]["name"]


def judge(title, way, output, asked, reached):
    """What is wrong with a run, as a list of sentences."""
    if output is None:
        return [f"still running after {SECONDS} s"]
    faults = []

    def must(holds, sentence):
        if not holds:
            faults.append(sentence)

    told = "\n".join(result for request in asked for result in request["results"])
    offered = {name for request in asked for name in request["offered"]}
    plain = output.replace('\\\\"', '\\"')
    called = list(calls(reached))
    must("delete_page" not in called, "delete_page reached the server behind")
    if way == "foreign" or (title == "url-only" and way != "agent"):
        must(not reached, f"{len(reached)} requests reached the server behind")
        must(FOUND not in output, "the allowed call worked")
        return faults
    must(FOUND in output or FOUND in told, "the allowed call's result is missing")
    must("search" in called, "the allowed call did not reach the server behind")
    has_model = title in NOT_LISTED
    must(bool(asked) == has_model, "the model was asked" if asked else "the model was not asked")
    if way == "hidden":
        must(not any("delete_page" in name for name in offered), "delete_page was offered to the model")
        if has_model:
            words = NOT_LISTED[title]
            must(words in plain or words in told, f"the runtime did not say: {words}")
        if title not in THROUGH_THE_MODEL:
            must(NOT_GRANTED in output, "the refusal's reason is missing")
    else:
        must(CONDITION in output, "the refusal's reason is missing")
        if has_model:
            must(CONDITION in told, "the model was not told the refusal's reason")
    return faults


def in_history(program, address, tokens, folder):
    """What is wrong with what Temporal keeps of the last run."""
    show = [program, "workflow", "show", "--address", address, "--workflow-id", "tidy-roadmap", "--output", "json"]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin"}
    history = subprocess.run(show, capture_output=True, text=True, timeout=30, env=environment).stdout
    payloads = [base64.b64decode(data) for data in re.findall(r'"data": "([^"]*)"', history)]
    history += b"\n".join(payloads).decode("utf-8", "replace")
    faults = [] if '{"query":"roadmap"}' in history else ["Temporal's history could not be read"]
    return faults + ["a token is in Temporal's history"] * any(bearer in history for bearer in tokens.bearers)


def unnamed_versions():
    """Versions that are installed and not named in the page."""
    page = PAGE.read_text()
    pins = [line.split("==") for file in HERE.glob("*.txt") for line in file.read_text().split()]
    pins += json.loads((HERE / "package.json").read_text())["dependencies"].items()
    return [f"{name} {version}" for name, version in pins if name != "uvicorn" and f"{name} {version}" not in page]


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    began = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hardtack-runtimes."))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    tokens = Tokens(folder)
    upstream, model = Log(folder / "upstream.jsonl"), Log(folder / "model.jsonl")
    python = CACHE / "python" / "bin"
    behind = serve("upstream", [python / "python", HERE / "upstream.py", upstream.path], folder)
    subprocess.run([BINARY, "store", "create", folder / "store"], check=True, stdout=subprocess.DEVNULL)
    gateway = [BINARY, "gateway", "--listen", "127.0.0.1:0", "--upstream", behind, "--audience", "notion.mcp"]
    gateway = serve("gateway", [*gateway, "--root", tokens.root, "--store", folder / "store"], folder)
    thinking = serve("model", [python / "python", HERE / "model.py", model.path], folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    temporal = f"127.0.0.1:{port}"
    server = [python / "temporal", "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", port]
    serve("temporal", [*server, "--log-level", "error"], folder, "Metrics", {"HOME": str(folder), "PATH": "/usr/bin:/bin"})
    agent = [BINARY, "agent", "--key", folder / "conditional.key", "--capability", folder / "conditional.token"]
    agent += ["--audience", "notion.mcp", "--to", gateway, "--listen", "127.0.0.1:0", "--call-bound"]
    agent = serve("agent", agent, folder)

    environment = {
        "TEMPORAL_ADDRESS": temporal,
        # The model is on this machine, and nobody is told of anything.
        "OPENAI_BASE_URL": f"{thinking}/v1",
        "OPENAI_API_BASE": f"{thinking}/v1",
        "OPENAI_API_KEY": "none",
        "OPENAI_AGENTS_DISABLE_TRACING": "1",
        "ANTHROPIC_BASE_URL": thinking,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "MASTRA_TELEMETRY_DISABLED": "1",
    }
    passed, failed = 0, 0
    for title, (language, code) in snippets().items():
        if language == "json" or (ONLY and title not in ONLY):
            continue
        for way in ("hidden", "conditional", "agent", "foreign"):
            token = {"agent": "none", "foreign": tokens.bearer("hidden", "other.mcp")}.get(way) or tokens.bearer(way)
            access = {"HARDTACK_URL": agent if way == "agent" else gateway, "HARDTACK_TOKEN": token}
            asked, reached, start = len(model.entries()), len(upstream.entries()), time.monotonic()
            output = run(title, language, code, folder, environment | access)
            faults = judge(title, way, output, model.since(asked), upstream.since(reached))
            if title == "temporal":
                faults += in_history(python / "temporal", temporal, tokens, folder)
            print(f"{title:18} {way:12} {time.monotonic() - start:5.1f} s  {'; '.join(faults) or 'ok'}", flush=True)
            passed, failed = passed + (not faults), failed + bool(faults)
            if faults or os.environ.get("SHOW"):
                print("    " + (output or "").strip()[-4000:].replace("\n", "\n    "), flush=True)

    faults = [f"the page does not name {pin}" for pin in unnamed_versions()]
    seen = upstream.path.read_text()
    if "delete_page" in calls(upstream.entries()):
        faults.append("delete_page reached the server behind")
    if any(bearer in seen for bearer in tokens.bearers) or '"authorization"' in seen.lower():
        faults.append("a token reached the server behind")
    for fault in faults:
        print(fault)
    passed, failed = passed + (not faults), failed + len(faults)
    print(f"in {time.monotonic() - began:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


main()
