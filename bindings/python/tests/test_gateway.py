"""Real MCP clients with Auth, through `hardtack gateway`: one call allowed, one refused, and the session goes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import hardtack
from conftest import AUDIENCE, REPOSITORY

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"

#: The interpreters that have the clients, by the name of the example: ci/python names them.
PYTHONS = dict(pair.split("=", 1) for pair in os.environ.get("HARDTACK_PYTHONS", "").split(",") if pair)

EXPECTED = [
    r"^tools: search$", r"^search: allowed: found the page roadmap$",
    r"^delete_page: refused: denied: the token does not grant tools:call:delete_page", r"^search: allowed: found the page again$",
]


class Servers:
    """Processes that are ended with the test."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str, until: str, cwd: Path) -> str:
        """Starts a server, and returns what it says first that matches."""
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd)
        self.started.append(process)
        said: list[str] = []
        found: list[str] = []
        ready = threading.Event()

        def hear() -> None:
            for line in process.stdout or ():
                said.append(line)
                if not found and (match := re.search(until, line)):
                    found.append(match.group(0))
                    ready.set()
            ready.set()

        threading.Thread(target=hear, daemon=True).start()
        assert ready.wait(40) and found, f"{arguments[0]} did not begin: {said}"
        return found[0]

    def end(self) -> None:
        for process in self.started:
            process.terminate()
        for process in self.started:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(15)
            process.stdout and process.stdout.close()


@pytest.fixture
def gateway(command, tmp_path):
    upstream_python = PYTHONS.get("mcp_2.py")
    if not upstream_python:
        if os.environ.get("HARDTACK_DEMAND_BINARY"):
            pytest.fail("HARDTACK_PYTHONS names no interpreter for mcp_2.py")
        pytest.skip("HARDTACK_PYTHONS names no interpreter with MCP clients")
    servers = Servers()
    try:
        root, orchestrator, researcher = (hardtack.PrivateKey.generate() for _ in range(3))
        grant = hardtack.Issuer(root).mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)
        part = grant.delegate(
            orchestrator, to="agent.researcher", scopes="tools:call:search", reason="find the roadmap page", holder=researcher.public
        )
        (tmp_path / "researcher.token").write_text(part.to_base64())
        researcher.save(tmp_path / "researcher.key")
        hardtack.Store.create(tmp_path / "hardtack.store").close()
        upstream = servers.start(
            upstream_python, str(REPOSITORY / "ci/runtimes.d/upstream.py"), str(tmp_path / "seen"), until=r"http://\S+", cwd=tmp_path
        )
        at = servers.start(
            command, "gateway", "--listen", "127.0.0.1:0", "--upstream", upstream, "--audience", AUDIENCE, "--root", str(root.public),
            "--store", "hardtack.store", "--log-format", "json", until=r"127\.0\.0\.1:\d+", cwd=tmp_path,
        )
        environment = {
            **os.environ,
            "HARDTACK_URL": f"http://{at}/mcp",
            "HARDTACK_CAPABILITY": str(tmp_path / "researcher.token"),
            "HARDTACK_KEY": str(tmp_path / "researcher.key"),
        }
        yield tmp_path, environment, part
    finally:
        servers.end()


def ran(python: str, example: str, environment: dict) -> str:
    done = subprocess.run(
        [python, str(EXAMPLES / example)], env=environment, capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_clients_of_mcp_call_through_the_gateway_and_a_refusal_ends_no_session(gateway):
    folder, environment, part = gateway
    examples = sorted(example for example in PYTHONS if example.startswith("mcp_"))
    assert examples
    for example in examples:
        said = ran(PYTHONS[example], example, environment)
        for expected in EXPECTED:
            assert re.search(expected, said, re.M), (example, expected, said)
        assert part.to_base64()[-60:] not in said
    # What stands behind the gateway has seen no bearer.
    seen = (folder / "seen").read_text()
    assert "roadmap" in seen and "delete_page" not in seen and "bearer" not in seen.lower()


def test_a_sub_agent_of_plain_functions_gets_no_more_than_its_part():
    said = ran(sys.executable, "sub_agent.py", dict(os.environ))
    for expected in [
        r"^pay bob 40 -> agent.payer: paid 40 to bob$", r"^pay bob 4000 -> refused: whoever delegated", r"^balance -> refused: the token does not grant",
        r"^pay carol 60 -> agent.payer: paid 60 to carol$", r"^beyond_scope: the scope tools:call:balance is not covered",
        r"^deny tools:call:balance pay the invoices of May$",
    ]:
        assert re.search(expected, said, re.M), (expected, said)


@pytest.mark.parametrize("example", sorted(example for example in PYTHONS if example.startswith("sub_agent_")))
def test_a_sub_agent_of_a_framework_gets_no_more_than_its_part(example):
    said = ran(PYTHONS[example], example, dict(os.environ))
    for expected in [r"paid 40 to bob", r"refused: whoever delegated", r"refused: the token does not grant tools:call:balance"]:
        assert re.search(expected, said), (expected, said)
