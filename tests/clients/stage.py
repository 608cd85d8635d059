"""What a run stands on: keys and tokens in a temporary folder, upstreams, gateways, and their end.

Everything listens on 127.0.0.1, every wait is bounded, and only what was started here is stopped.
"""

import atexit
import json
import os
import pathlib
import queue
import re
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
AUDIENCE = "notion.mcp"

# Who may do what. Everything below is delegated by alice's orchestrator.
AGENTS = {
    "researcher": [
        "tools:call:search",
        "tools:call:count",
        "tools:call:cut",
        "tools:call:ask",
        "tools:call:think",
        "tools:call:stall",
        "tools:call:die",
        "tools:call:liar",
        "resources:read",
        "prompts:get:brief",
    ],
    # Another agent, with the tool that the upstreams of others have too.
    "searcher": ["tools:call:search"],
    # May read, but one page only.
    "reader": ["tools:call:search", "resources:read"],
}
ONE_PAGE = 'check if operation($o), !$o.starts_with("resources:") or resource("https://notion.example/roadmap")'


class Tokens:
    """Makes keys and tokens with the binary under test."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.bearers = []
        self.root = self.run(["keygen", "--out", "root.key"]).strip()
        grant = ["mint", "--key", "root.key", "--subject", "user:alice", "--new-holder", "orchestrator.key"]
        self.grant = self.run([*grant, "--scope", "tools:call:*", "resources:read", "prompts:get:*"])
        self.capabilities = {}
        for agent, scopes in AGENTS.items():
            hop = ["delegate", "--key", "orchestrator.key", "--to", f"agent.{agent}"]
            hop += ["--reason", "find the roadmap page"]
            hop += ["--new-holder", f"{agent}.key", "--scope", *scopes]
            if agent == "reader":
                hop += ["--check", ONE_PAGE]
            self.capabilities[agent] = self.run(hop, self.grant)

    def bearer(self, agent, *options, audience=AUDIENCE):
        """A fresh bearer token; each is remembered, so that logs can be searched for it."""
        present = ["present", "--key", f"{agent}.key", "--audience", audience, *options]
        bearer = self.run(present, self.capabilities[agent]).strip()
        self.bearers.append(bearer)
        return bearer

    def run(self, arguments, stdin=""):
        result = subprocess.run(
            [self.binary, *arguments], input=stdin, cwd=self.folder, capture_output=True, text=True, timeout=20
        )
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(arguments[:2])} ended with {result.returncode}: {result.stderr.strip()}")
        return result.stdout


class Process:
    """A server that says on standard output, in one line, that it is ready."""

    def __init__(self, command, stderr, wanted, seconds=20):
        self.stderr = stderr
        with open(stderr, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True
            )
        started.append(self)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.seen = []
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                self.stop()
                raise RuntimeError(f"{command[0]} did not say within {seconds} s that it is ready: {self.tail()}")
            self.seen.append(line)
            if found := re.search(wanted, line):
                self.ready = found.group(0)
                return

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def alive(self):
        return self.process.poll() is None

    def tail(self):
        return pathlib.Path(self.stderr).read_text(errors="replace")[-500:].strip()

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL if that is not enough. Returns the exit code, None if it had to be killed."""
        if self in started:
            started.remove(self)
        self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5)
            return None


class Upstream(Process):
    """The tool server; `log()` is what reached it."""

    def __init__(self, python, folder, name, *options, program="upstream.py", port=0):
        self.arguments = (python, folder, name, *options)
        self.program = program
        self.path = folder / f"{name}.requests"
        command = [python, str(HERE / program), "--port", str(port), "--log", str(self.path), *options]
        super().__init__(command, folder / f"{name}.stderr", r"^\d+$")
        self.port = int(self.ready)
        self.url = f"http://127.0.0.1:{self.port}/mcp"

    def again(self):
        """A new process at the same port, which knows nothing of earlier sessions."""
        if self.alive():
            self.stop(5)
        return Upstream(*self.arguments, program=self.program, port=self.port)

    def log(self):
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def requests(self):
        return [entry for entry in self.log() if "request" in entry]


class Gateway(Process):
    """The gateway before one upstream."""

    def __init__(self, tokens, upstream, name, *options):
        self.tokens, self.upstream, self.name = tokens, upstream, name
        self.store = tokens.folder / f"{name}.store"
        if not self.store.exists():
            subprocess.run([tokens.binary, "store", "create", str(self.store)], check=True, stdout=subprocess.DEVNULL)
        command = [tokens.binary, "gateway", "--listen", "127.0.0.1:0", "--upstream", upstream.url]
        command += ["--audience", AUDIENCE, "--root", tokens.root, "--store", str(self.store), *options]
        super().__init__(command, tokens.folder / f"{name}.gateway.stderr", r"http://127\.0\.0\.1:\d+/mcp")
        self.url = self.ready


class Signer(Process):
    """`hardtack agent`: takes plain MCP, signs each request as the researcher, and sends it to a gateway."""

    def __init__(self, tokens, gateway, name, *options):
        (tokens.folder / "researcher.token").write_text(tokens.capabilities["researcher"])
        command = [tokens.binary, "agent", "--key", str(tokens.folder / "researcher.key"), "--audience", AUDIENCE]
        command += ["--capability", str(tokens.folder / "researcher.token"), "--to", gateway.url]
        command += ["--listen", "127.0.0.1:0", *options]
        super().__init__(command, tokens.folder / f"{name}.agent.stderr", r"http://127\.0\.0\.1:\d+/mcp")
        self.url, self.upstream = self.ready, gateway.upstream


class Direct:
    """No gateway: shows what the clients and the upstream do by themselves."""

    def __init__(self, upstream):
        self.upstream, self.url = upstream, upstream.url


started = []
driving = set()
stopping = threading.Event()


@atexit.register
def stop_everything():
    stopping.set()
    for process in list(driving):
        process.kill()
    for process in list(started):
        process.process.terminate()
    for process in list(started):
        process.stop(3)


def drive(program, url, token, seconds=60, **environment):
    """Runs a driver to its end, and returns what it saw."""
    interpreter = os.environ.get("CLIENT_NODE", "node") if program.suffix == ".mjs" else environment.pop("python")
    environment.pop("python", None)
    environment = {**os.environ, "URL": url, "TOKEN": token or "", **environment}
    # A proxy of the environment must not come between two processes of this machine.
    environment |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    if stopping.is_set():
        raise RuntimeError("not begun, since the run is ending")
    process = subprocess.Popen(
        [interpreter, str(program)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    driving.add(process)
    try:
        out, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        raise RuntimeError(f"still running after {seconds} s: …{errors.strip()[-500:]}") from None
    finally:
        driving.discard(process)
    if process.returncode != 0:
        raise RuntimeError(f"ended with {process.returncode}: …{errors.strip()[-1500:]}")
    return json.loads(out.splitlines()[-1])


if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed.")
