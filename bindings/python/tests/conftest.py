"""A scene: a root, an orchestrator, a researcher, and a guard that knows the root."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import hardtack

AUDIENCE = "notion.mcp"
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def scene() -> SimpleNamespace:
    root, orchestrator, researcher = (hardtack.PrivateKey.generate() for _ in range(3))
    issuer = hardtack.Issuer(root)
    grant = issuer.mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)
    part = grant.delegate(
        orchestrator,
        to="agent.researcher",
        scopes=["tools:call:search", "tools:call:pay"],
        reason="find the roadmap page",
        holder=researcher.public,
        allow=["limit? <= 10"],
    )
    return SimpleNamespace(
        root=root, orchestrator=orchestrator, researcher=researcher, issuer=issuer, grant=grant, part=part,
        bearer=part.present(researcher, AUDIENCE).bearer,
        guard=hardtack.Guard([issuer.public], AUDIENCE),
        search=hardtack.Call.tool("search", {"query": "roadmap", "limit": 3}),
        delete=hardtack.Call.tool("delete_page", {"id": "roadmap"}),
    )


@pytest.fixture(scope="session")
def command() -> str:
    """The command hardtack. ci/python builds it, and names it."""
    found = os.environ.get("HARDTACK_BINARY") or shutil.which("hardtack")
    if not found:
        if os.environ.get("HARDTACK_DEMAND_BINARY"):
            pytest.fail("HARDTACK_BINARY names no command")
        pytest.skip("HARDTACK_BINARY names no command hardtack")
    return found
