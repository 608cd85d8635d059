"""The test vectors: every token, every call, every verdict."""

from __future__ import annotations

import json

import pytest

import hardtack
from conftest import REPOSITORY
from hardtack import Call, Capability, Guard, Policy, Revocations, Store

VECTORS = json.loads((REPOSITORY / "tests/vectors/vectors.json").read_text(encoding="utf-8"))
PLAIN_POLICY = "allow if granted($operation);"


def moment(text: str) -> int:
    from datetime import datetime

    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())


def call_of(case: dict) -> Call:
    parts = {name: case.get(name) for name in ("resource", "arguments", "params")}
    large = bool((case.get("options") or {}).get("large_integers"))
    return Call(case["operation"], **parts, large_integers=large)


def guard_of(case: dict) -> Guard:
    options = case.get("options") or {}
    roots = [VECTORS["root_public_key"]]
    if (keys := options.get("root_keys")) is not None:
        roots = [key["key"] if key["id"] is None else (key["id"], key["key"]) for key in keys]
    copied = options.get("revocations")
    return Guard(
        roots,
        case["audience"],
        Store.in_memory() if options.get("accepted_before") else None,
        Policy.parse(case.get("policy") or PLAIN_POLICY),
        revocations=Revocations.copied(copied) if copied else None,
        lifetimes=options.get("lifetimes"),
        resource_schemes=options.get("resource_schemes"),
        directory=options.get("directory"),
        accept_unbound_hops=bool(options.get("accept_unbound_hops")),
    )


def verdict(bearer: str, case: dict) -> dict:
    options, now = case.get("options") or {}, moment(case["now"])
    try:
        call = call_of(case)
    except hardtack.Error as error:
        return {"Err": {"cause": error.cause, "block": None, "status": error.status}}
    guard = guard_of(case)
    try:
        if options.get("accepted_before"):
            guard.check(bearer, call, now=now)
        if options.get("revokes"):
            guard.check_revocation(bearer, case["arguments"], now=now)
            permit = guard.admit(bearer, now=now)
            return {"Ok": {"subject": permit.subject, "agent": permit.agent, "depth": len(permit.chain()["hops"])}}
        permit = guard.check(bearer, call, now=now)
    except hardtack.Denied as refusal:
        return {"Err": {"cause": refusal.cause, "block": refusal.block, "status": refusal.status}}
    return {"Ok": {"subject": permit.subject, "agent": permit.agent, "depth": permit.depth}}


CASES = [
    (f"{case['title']}: {title}", case["bearer"], validation)
    for case in VECTORS["testcases"]
    for title, validation in case["validations"].items()
]


def test_every_vector_has_its_verdict_and_every_call_its_digest():
    assert len(CASES) > 550 and len({title for title, _, _ in CASES}) == len(CASES)
    wrong, digests = [], 0
    for title, bearer, case in CASES:
        expected = case["result"]
        if (found := verdict(bearer, case)) != expected:
            wrong.append((title, found, expected))
        if case["call_digest"] is not None:
            digests += 1
            assert call_of(case).digest().hex() == case["call_digest"], title
    assert not wrong, wrong[:10]
    assert digests > 500


def test_every_token_that_is_refused_for_its_shape_is_refused_when_it_is_read():
    shapes = 0
    for case in VECTORS["testcases"]:
        found = [v["result"].get("Err", {}) for v in case["validations"].values()]
        try:
            Capability.parse(case["bearer"])
        except (hardtack.Error, UnicodeError) as error:
            shapes += 1
            if isinstance(error, hardtack.Error):
                assert {"cause": error.cause, "block": error.block, "status": 401} in found, case["title"]
    assert shapes > 100


def test_integers_of_64_bits_are_read_exactly_where_they_are_asked_for():
    digests = set()
    for number in (-(2**63), -(2**53) - 1, -(2**53), 2**53 - 1, 2**53, 2**53 + 1, 2**63 - 1):
        call = Call.tool("t", {"a": [number]}, large_integers=True)
        assert call.arguments == {"a": [number]}
        text = json.dumps({"operation": "tools:call:t", "arguments": {"a": [number]}})
        assert Call.parse(text, large_integers=True) == call
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t", "arguments": {"a": [number]}}}
        read = hardtack.Message.read(json.dumps(body).encode(), large_integers=True)
        assert read.calls() == [call]
        digests.add(call.digest())
    assert len(digests) == 7
    for number in (2**63, -(2**63) - 1, float(2**53)):
        with pytest.raises(hardtack.Error) as refused:
            Call.tool("t", {"a": number}, large_integers=True)
        assert refused.value.cause == "inexact_call"


def test_a_vector_is_decided_alike_when_it_is_awaited():
    import asyncio

    async def all_of() -> None:
        for title, bearer, case in CASES[::7]:
            options = case.get("options") or {}
            if options.get("revokes") or options.get("accepted_before"):
                continue
            try:
                call = call_of(case)
            except hardtack.Error:
                continue
            try:
                permit = await guard_of(case).check_async(bearer, call, now=moment(case["now"]))
                found = {"Ok": {"subject": permit.subject, "agent": permit.agent, "depth": permit.depth}}
            except hardtack.Denied as refusal:
                found = {"Err": {"cause": refusal.cause, "block": refusal.block, "status": refusal.status}}
            assert found == case["result"], title

    asyncio.run(all_of())


if not VECTORS["testcases"]:
    pytest.fail("there are no vectors")
