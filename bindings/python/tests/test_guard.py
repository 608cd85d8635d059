"""The server's end: decisions, refusals, stores, revocations."""

from __future__ import annotations

import gc
import pickle

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call, Guard, Policy, Revocation, Revocations, Store


def denied(work) -> hardtack.Denied:
    with pytest.raises(hardtack.Denied) as caught:
        work()
    return caught.value


def test_what_is_covered_is_permitted_and_the_rest_is_refused_by_its_kind(scene):
    permit = scene.guard.check(scene.bearer, scene.search)
    assert (permit.subject, permit.agent, permit.depth) == ("user:alice", "agent.researcher", 1)
    assert permit.allowed_by.startswith("default.datalog:") and permit.sequence is None
    refusal = denied(lambda: scene.guard.check(scene.bearer, scene.delete))
    assert type(refusal) is hardtack.Forbidden and isinstance(refusal, hardtack.Error)
    assert (refusal.cause, refusal.block, refusal.status) == ("not_granted", 1, 403)
    beyond = denied(lambda: scene.guard.check(scene.bearer, Call.tool("search", {"limit": 11})))
    assert (beyond.cause, beyond.refused.arguments) == ("check_failed", ("limit",))
    elsewhere = Guard([scene.issuer.public], "mail.mcp")
    assert type(denied(lambda: elsewhere.check(scene.bearer, scene.search))) is hardtack.Unauthenticated
    assert denied(lambda: scene.guard.check(scene.part.to_base64(), scene.search)).cause == "not_presented"


def test_the_words_for_the_caller_are_not_those_for_operators(scene):
    policy = Policy.parse('deny if tool("search"); allow if granted($o);', "secret-policy.datalog")
    guard = Guard([scene.issuer.public], AUDIENCE, None, policy)
    refusal = denied(lambda: guard.check(scene.bearer, scene.search))
    assert refusal.place == "secret-policy.datalog:1" and refusal.cause == "policy_denied"
    told = f"{refusal} {refusal!r} {refusal.refused} {refusal.refused.body()} {refusal.args}"
    told += str(refusal.refused.challenge(AUDIENCE))
    assert "this call of tools:call:search is not allowed here" in str(refusal)
    copied = pickle.loads(pickle.dumps(refusal))
    assert (type(copied), copied.message, copied.refused) == (type(refusal), refusal.message, refusal.refused)
    for secret in ("secret-policy", refusal.message):
        assert secret not in str(refusal) and secret not in str(refusal.refused.body())
    challenge = denied(lambda: scene.guard.check(scene.bearer, scene.delete)).refused.challenge("a\"b", "https://m.example")
    assert challenge.startswith('Bearer realm="a\\"b", error="insufficient_scope"')
    assert challenge.endswith('resource_metadata="https://m.example"')


def test_an_explanation_says_what_would_help_and_records_nothing(scene):
    with Store.in_memory() as store:
        guard = Guard([scene.issuer.public], AUDIENCE, store)
        told = guard.explain(scene.bearer, Call.tool("search", {"limit": 50}))
        assert told["decision"] == "deny" and told["cause"] == "check_failed" and told["remedies"]
        assert store.records() == []


def test_a_store_records_revokes_and_is_one_process_at_a_time(scene, tmp_path):
    path = tmp_path / "a.store"
    with pytest.raises(hardtack.Error) as missing:
        Store.open(path)
    assert missing.value.cause == "store_not_there"
    with Store.create(path) as store:
        guard = Guard([scene.issuer.public], AUDIENCE, store)
        assert guard.check(scene.bearer, scene.search).sequence == 1
        assert denied(lambda: guard.check(scene.bearer, scene.delete)).cause == "not_granted"
        with pytest.raises(hardtack.Error) as used:
            Store.open(path)
        assert used.value.cause == "store_in_use"
        lost = Revocation.holder(scene.researcher.public)
        sequence = store.revoke(lost, by="user:admin", reason="laptop stolen")
        assert store.revoke(lost, by="user:admin", reason="again") == sequence
        refusal = denied(lambda: guard.check(scene.bearer, scene.search))
        assert (refusal.cause, refusal.block) == ("revoked", 1)
        assert [entry["kind"] for entry in store.revocations()] == ["holder"]
        store.verify()
        store.ready()
    assert type(denied(lambda: guard.check(scene.bearer, scene.search))) is hardtack.Unavailable
    with pytest.raises(hardtack.Error) as closed:
        store.revoke(lost, by="user:admin", reason="again")
    assert closed.value.cause in ("store_closed", "not_revoked")
    with Store.open(path) as again:
        decisions = [record.get("decision") for record in again.records()]
        assert decisions[:2] == ["allow", "deny"]


def test_a_store_that_is_dropped_with_its_guards_is_closed(scene, tmp_path):
    path = tmp_path / "a.store"
    store = Store.create(path)
    guard = Guard([scene.issuer.public], AUDIENCE, store)
    guard.check(scene.bearer, scene.search)
    del store
    gc.collect()
    guard.check(scene.bearer, scene.search)
    del guard
    gc.collect()
    with Store.open(path) as again:
        assert len(again.records()) == 2


def test_a_presentation_for_one_call_is_used_up_where_there_is_a_store(scene):
    once = scene.part.present(scene.researcher, AUDIENCE, scene.search)
    with Store.in_memory() as store:
        guard = Guard([scene.issuer.public], AUDIENCE, store)
        other = Call.tool("search", {"query": "roadmap", "limit": 4})
        assert denied(lambda: guard.check(once, other)).cause == "other_call"
        guard.check(once, scene.search)
        assert denied(lambda: guard.check(once, scene.search)).cause == "replayed"


def test_a_copy_of_revocations_stops_what_it_names_and_no_old_copy_allows(scene):
    with Store.in_memory() as store:
        copy = Revocations.copied(store.revocation_list())
        guard = Guard([scene.issuer.public], AUDIENCE, revocations=copy)
        guard.check(scene.bearer, scene.search)
        store.revoke(Revocation.agent("agent.researcher"), by="user:admin", reason="lost")
        copy.renew(store.revocation_list())
        assert denied(lambda: guard.check(scene.bearer, scene.search)).cause == "revoked"
        old = dict(store.revocation_list(), as_of="2026-01-01T00:00:00Z", revocations=[])
        stale = Guard([scene.issuer.public], AUDIENCE, revocations=Revocations.copied(old))
        assert denied(lambda: stale.check(scene.bearer, scene.search)).cause == "revocations_stale"
        both = Guard([scene.issuer.public], AUDIENCE, store, revocations=Revocations.copied(old))
        assert denied(lambda: both.check(scene.bearer, scene.search)).cause == "revoked"


def test_policies_and_roots_are_replaced_while_it_runs(scene, tmp_path):
    guard = Guard([scene.issuer.public], AUDIENCE)
    guard.replace_policies(Policy.parse('allow if tool("pay");'))
    assert denied(lambda: guard.check(scene.bearer, scene.search)).cause == "nothing_allows"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.datalog").write_text("allow if granted($operation);")
    guard.replace_policies(Policy.load(tmp_path / "set"))
    guard.check(scene.bearer, scene.search)
    guard.replace_roots([hardtack.PrivateKey.generate().public])
    assert denied(lambda: guard.check(scene.bearer, scene.search)).cause == "signature"
    for cause, work in [
        ("malformed_policy", lambda: Policy.parse('granted("tools:call:pay");')),
        ("no_policies", lambda: Policy.parse("deny if true;")),
        ("no_policies", lambda: Policy.load(tmp_path)),
        ("file_unavailable", lambda: Policy.load(tmp_path / "none")),
    ]:
        with pytest.raises(hardtack.Error) as error:
            work()
        assert error.value.cause == cause, error.value


def test_a_list_shows_what_could_be_called(scene):
    names = ["search", "delete_page", "pay"]
    calls = [Call.tool(name) for name in names]
    assert scene.guard.preview(scene.bearer, calls) == ["depends_on_arguments", "denied", "depends_on_arguments"]
    admitted = scene.guard.admit(scene.bearer)
    assert admitted.agent == "agent.researcher" and admitted.root == scene.issuer.public
    assert admitted.scopes == ["tools:call:search", "tools:call:pay"]
    too_long = denied(lambda: scene.guard.preview(scene.bearer, calls[:1] * 10_001))
    assert (too_long.cause, too_long.status) == ("list_too_long", 503)


def test_who_delegated_may_revoke_and_a_stranger_may_not(scene):
    issuer = scene.issuer
    governing = issuer.mint(subject="user:admin", scopes="hardtack:revoke", holder=scene.orchestrator.public)
    request = {"revocation": {"kind": "agent", "agent": "agent.researcher"}, "reason": "it was stolen"}
    bound = governing.present(scene.orchestrator, AUDIENCE, Call("hardtack:revoke", arguments=request))
    with Store.in_memory() as store:
        guard = Guard([issuer.public], AUDIENCE, store)
        stranger = scene.grant.present(scene.orchestrator, AUDIENCE)
        assert type(denied(lambda: guard.check_revocation(stranger, request))) is hardtack.Forbidden
        revoking = guard.check_revocation(bound, request)
        assert (revoking.by, revoking.reason) == ("user:admin", "it was stolen")
        store.revoke(revoking)
        assert denied(lambda: guard.check(scene.bearer, scene.search)).cause == "revoked"
