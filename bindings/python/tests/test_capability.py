"""The holder's end: what is made, what is refused, and under which names."""

from __future__ import annotations

import copy
import pickle
from datetime import datetime, timedelta, timezone

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call, Capability, Error, PrivateKey, PublicKey


def refused(work) -> Error:
    with pytest.raises(Error) as caught:
        work()
    return caught.value


def test_what_is_delegated_says_to_whom_what_and_why(scene):
    shown = scene.part.inspect()
    [hop] = shown["hops"]
    assert shown["grant"]["subject"] == "user:alice" and shown["depth"] == 1
    assert (hop["delegate"], hop["reason"]) == ("agent.researcher", "find the roadmap page")
    assert shown["scopes"] == ["tools:call:search", "tools:call:pay"]
    assert shown["demands"] == [[1, "limit? <= 10"]] or shown["demands"] == [(1, "limit? <= 10")]
    assert shown["holder"] == str(scene.researcher.public)
    assert scene.part.holder == scene.researcher.public


def test_what_is_wider_or_longer_or_by_another_key_is_refused_by_its_cause(scene):
    part, key = scene.part, scene.researcher
    given = dict(to="agent.helper", scopes="tools:call:search", reason="help", holder=key.public)
    for cause, of in [
        ("beyond_scope", dict(given, scopes="tools:call:delete_page")),
        ("beyond_expiry", dict(given, ttl=3000)),
        ("malformed_name", dict(given, to="an agent")),
        ("malformed_scope", dict(given, scopes="tools::call")),
        ("malformed_life", dict(given, ttl=timedelta(milliseconds=1500))),
        ("malformed_life", dict(given, ttl=-1)),
        ("malformed_constraint", dict(given, allow="limit <= a lot")),
        ("malformed_datalog", dict(given, checks="allow if true")),
        ("incomplete", dict(given, scopes=[])),
        ("incomplete", dict(given, holder=None)),
        ("malformed_key", dict(given, holder="ed25519/00")),
    ]:
        error = refused(lambda: part.delegate(key, **of))
        assert error.cause == cause, (of, error)
        assert error.message == str(error)
    assert refused(lambda: part.delegate(scene.orchestrator, **given)).cause == "wrong_key"
    assert refused(lambda: part.delegate(None, **given)).cause == "key_needed"
    assert refused(lambda: scene.part.present(key, "mail server")).cause == "malformed_name"
    assert refused(lambda: part.present(key, AUDIENCE, scene.delete)).cause == "not_granted"
    assert part.present(key, AUDIENCE, scene.delete, even_uncovered=True).bearer


def test_a_grant_needs_scopes_a_subject_and_a_holder_that_is_not_the_root(scene):
    mint = scene.issuer.mint
    holder = scene.orchestrator.public
    assert refused(lambda: mint(subject="alice", scopes="a:*", holder=holder)).cause == "malformed_name"
    assert refused(lambda: mint(subject="user:alice", scopes="a:*")).cause == "incomplete"
    root = scene.issuer.public
    assert refused(lambda: mint(subject="user:alice", scopes="a:*", holder=root)).cause == "holder_is_root"
    assert mint(subject="user:alice", scopes="a:*", unbound=True).holder is None


def test_a_token_is_accepted_from_whom_it_is_expected_and_from_nobody_else(scene):
    text, orchestrator = scene.part.to_base64(), scene.orchestrator.public
    assert Capability.accept(text, delegator=orchestrator).to_base64() == text
    assert refused(lambda: Capability.accept(text, delegator=scene.root.public)).cause == "unexpected_delegator"
    grant = scene.grant.to_base64()
    assert Capability.accept(grant, root=scene.issuer.public, subject="user:alice").holder == orchestrator
    wrong = [dict(root=orchestrator, subject="user:alice"), dict(root=scene.issuer.public, subject="user:bob")]
    causes = [refused(lambda: Capability.accept(grant, **of)).cause for of in wrong]
    assert causes == ["unexpected_root", "unexpected_subject"]
    with pytest.raises(ValueError):
        Capability.accept(grant)


def test_keys_are_read_written_and_never_shown(scene, tmp_path):
    key, path = PrivateKey.generate(), tmp_path / "a.key"
    key.save(path)
    assert PrivateKey.load(path).public == key.public == PrivateKey.parse(key.to_text()).public
    assert refused(lambda: key.save(path)).cause == "file_unavailable"
    path.chmod(0o644)
    assert refused(lambda: PrivateKey.load(str(path))).cause == "key_exposed"
    assert refused(lambda: PublicKey(key.to_text())).cause == "key_kind"
    secret = key.to_text().split("/")[1]
    for shown in (repr(key), str(key), repr(refused(lambda: PublicKey(key.to_text())))):
        assert secret not in shown
    for wrong in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            wrong(key)
    public = PublicKey(str(key.public))
    assert public == pickle.loads(pickle.dumps(public)) and hash(public) == hash(key.public)
    assert PublicKey.from_bytes(public.to_bytes()) == public != scene.root.public


def test_tokens_and_bearers_are_in_no_repr(scene):
    presented = scene.part.present(scene.researcher, AUDIENCE)
    agent = hardtack.Agent(scene.part, scene.researcher, AUDIENCE)
    for of in (scene.part, presented, agent, scene.guard, scene.search, hardtack.Presenter(scene.part, scene.researcher)):
        for secret in (presented.bearer[:40], scene.part.to_base64()[:40], "roadmap"):
            assert secret not in repr(of) + str(of)


def test_moments_and_lives_are_whole_and_no_naive_datetime_is_a_moment(scene):
    at = datetime(2026, 11, 23, 10, tzinfo=timezone.utc)
    given = dict(subject="user:alice", scopes="a:*", holder=scene.orchestrator.public, ttl=timedelta(minutes=5))
    minted = scene.issuer.mint(**given, now=at)
    assert minted.expires == at + timedelta(minutes=5)
    assert scene.issuer.mint(**given, now=int(at.timestamp())).expires == minted.expires
    assert refused(lambda: scene.issuer.mint(**given, now=at.replace(tzinfo=None))).cause == "malformed_time"
    for wrong in (-1, float("nan"), float("inf"), 1e300):
        assert refused(lambda: scene.issuer.mint(**given, now=float(wrong))).cause == "malformed_time"
    with pytest.raises(TypeError):
        scene.issuer.mint(**given, now="2026-11-23")


def test_arguments_are_what_json_has_as_it_is(scene):
    same = Call.tool("pay", {"to": "bob", "amount": 7, "tags": ("a", None, True, 1.5)})
    assert same == Call.tool("pay", '{"amount": 7, "to": "bob", "tags": ["a", null, true, 1.5]}')
    assert same.digest() == Call.parse('{"operation": "tools:call:pay", "arguments": %s}'
                                       % '{"to": "bob", "amount": 7, "tags": ["a", null, true, 1.5]}').digest()
    assert same.arguments["tags"] == ["a", None, True, 1.5] and same.operation == "tools:call:pay"
    assert Call.read("https://a.example/b").resource == "https://a.example/b"
    assert Call.prompt("greet", {"name": "Bob"}).operation == "prompts:get:greet"
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    circle: dict = {}
    circle["self"] = circle
    for cause, wrong in [
        ("inexact_call", {"a": float("nan")}), ("inexact_call", {"a": 2**53}), ("inexact_call", {"a": -(10**40)}),
        ("inexact_call", {"a": "\ud800"}), ("inexact_call", {"force": 1, "Force": 2}), ("inexact_call", {"\ud800": 1}),
        ("inexact_call", '{"a": 1, "a": 2}'), ("inexact_call", "[]"), ("call_too_large", {"a": deep}),
        ("call_too_large", circle), ("call_too_large", {"a": "x" * 4_200_000}), ("call_too_large", {"a": list(range(200_001))}),
    ]:
        assert refused(lambda: Call.tool("pay", wrong)).cause == cause, str(wrong)[:60]
    for wrong in ({1: "a"}, {"a": b"x"}, {"a": {1, 2}}, {"a": datetime.now()}, [], 7):
        with pytest.raises(TypeError):
            Call.tool("pay", wrong)


def test_a_presenter_keeps_a_session_and_makes_each_call_its_own(scene):
    presenter = hardtack.Presenter(scene.part, scene.researcher)
    assert presenter.session(AUDIENCE).bearer == presenter.session(AUDIENCE).bearer
    assert presenter.for_calls(AUDIENCE, [scene.search]).bearer != presenter.for_calls(AUDIENCE, [scene.search]).bearer
    assert presenter.for_no_call(AUDIENCE).bearer == presenter.for_calls(AUDIENCE, []).bearer
    assert refused(lambda: presenter.for_calls(AUDIENCE, [scene.delete])).cause == "not_granted"
    assert refused(lambda: presenter.replace(scene.grant)).cause == "wrong_key"
    agent = hardtack.Agent(scene.part, scene.researcher, AUDIENCE)
    bearer = agent.for_calls([scene.delete]).bearer
    with pytest.raises(hardtack.Forbidden) as refusal:
        scene.guard.check(bearer, scene.delete)
    assert refusal.value.cause == "not_granted"


def test_garbage_is_refused_as_garbage_and_nothing_breaks(scene):
    text = scene.bearer
    for garbage in ("", "x", "\ud800", "é" * 5000, "A" * 30_000, text[:-10], text + "A", text[:50] + "~" + text[51:], "\0"):
        with pytest.raises(hardtack.Unauthenticated):
            scene.guard.check(garbage, scene.search)
        with pytest.raises((Error, UnicodeError)):
            Capability.parse(garbage)
    for wrong in (None, 7, b"x", [], scene.part):
        with pytest.raises(TypeError):
            scene.guard.check(wrong, scene.search)
    with pytest.raises(TypeError):
        hardtack.Permit()
    with pytest.raises(TypeError):
        hardtack.Admitted()
