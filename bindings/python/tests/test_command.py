"""Against the command `hardtack`: what one makes, the other verifies."""

from __future__ import annotations

import json
import os
import random
import subprocess

import pytest

import hardtack
from conftest import AUDIENCE
from hardtack import Call, Capability, Guard, Issuer, PrivateKey

CHAINS = int(os.environ.get("HARDTACK_CHAINS", 36))
FORMS = [
    "amount <= 100", 'currency? in ["EUR", "USD"]', "path? within /srv/data", "note? contains \"x\"", "no other arguments",
    'to like "b*"', "limit? >= 1", 'to starts with "b"',
]


@pytest.fixture
def run(command, tmp_path):
    def run(*arguments: str, given: str = "") -> tuple[int, str]:
        done = subprocess.run([command, *arguments], input=given, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
        return done.returncode, done.stdout.strip()

    return run


def saved(key: PrivateKey, folder, name: str) -> str:
    path = folder / name
    key.save(path)
    return str(path)


def test_chains_that_both_make_are_decided_alike_by_both(run, tmp_path):
    dice = random.Random(20261129)
    root = PrivateKey.generate()
    root_file, verdicts = saved(root, tmp_path, "root.key"), []
    guard = Guard([root.public], AUDIENCE)
    for chain in range(CHAINS):
        keys = [PrivateKey.generate() for _ in range(dice.randint(1, 4))]
        files = [saved(key, tmp_path, f"{chain}-{at}.key") for at, key in enumerate(keys)]
        if dice.random() < 0.5:
            token = Issuer(root).mint(subject="user:alice", scopes=["tools:call:*"], holder=keys[0].public).to_base64()
        else:
            given = ("--subject", "user:alice", "--scope", "tools:call:*", "--holder", str(keys[0].public))
            token = run("mint", "--key", root_file, *given)[1]
        for at, key in enumerate(keys[1:]):
            allow = dice.sample(FORMS, dice.randint(0, 2))
            scope = dice.choice(["tools:call:*", "tools:call:pay"]) if at == 0 else "tools:call:pay"
            if dice.random() < 0.5:
                part = Capability.parse(token).delegate(
                    keys[at], to=f"agent.{at}", scopes=scope, reason=f"hop {at}", holder=key.public, allow=allow, ttl=300 - at
                )
                token = part.to_base64()
            else:
                given = ["--to", f"agent.{at}", "--scope", scope, "--reason", f"hop {at}", "--holder", str(key.public)]
                given += [part for one in allow for part in ("--allow", one)] + ["--ttl", f"{300 - at}s"]
                token = run("delegate", "--key", files[at], *given, given=token)[1]
        operation = dice.choice(["pay", "pay", "search"])
        arguments = {"amount": dice.choice([5, 100, 101]), "to": dice.choice(["bob", "B0B"])}
        if dice.random() < 0.4:
            arguments["path"] = dice.choice(["/srv/data/a", "/srv/data/../b", "/etc"])
        call = Call.tool(operation, arguments)
        if dice.random() < 0.5:
            bearer = Capability.parse(token).present(keys[-1], AUDIENCE).bearer
        else:
            bearer = run("present", "--key", files[len(keys) - 1], "--audience", AUDIENCE, given=token)[1]
        named = [part for name, value in arguments.items() for part in ("--arg", f"{name}={json.dumps(value)}")]
        given = ("--root", str(root.public), "--audience", AUDIENCE, "--operation", call.operation, "--json", *named)
        theirs = json.loads(run("check", *given, given=bearer)[1])
        try:
            guard.check(bearer, call)
            ours = ("allow", None, None)
        except hardtack.Denied as denied:
            ours = ("deny", denied.cause, denied.block)
        assert ours == (theirs["decision"], theirs["cause"], theirs["hop"]), (token, call.operation, arguments)
        verdicts.append(ours[0])
    assert len(verdicts) == CHAINS and {"allow", "deny"} <= set(verdicts)


def test_a_line_of_a_constraint_becomes_the_same_check_in_both(run, tmp_path, scene):
    key, token = saved(scene.orchestrator, tmp_path, "o.key"), scene.grant.to_base64()
    given = ("--to", "agent.a", "--scope", "tools:call:pay", "--reason", "r", "--holder", str(scene.researcher.public))
    for form in FORMS:
        theirs = Capability.parse(run("delegate", "--key", key, *given, "--allow", form, given=token)[1])
        ours = scene.grant.delegate(
            scene.orchestrator, to="agent.a", scopes="tools:call:pay", reason="r", holder=scene.researcher.public, allow=form
        )
        assert ours.inspect()["demands"] == theirs.inspect()["demands"] != [], form


def test_a_store_that_one_makes_the_other_reads(run, tmp_path, scene):
    path = tmp_path / "a.store"
    run("store", "create", str(path))
    with hardtack.Store.open(path) as store:
        Guard([scene.issuer.public], AUDIENCE, store).check(scene.bearer, scene.search)
        store.revoke(hardtack.Revocation.holder(scene.researcher.public), by="user:admin", reason="laptop stolen")
    assert run("audit", "verify", "--store", str(path))[0] == 0
    assert "laptop stolen" in run("revocations", "--store", str(path))[1]
    given = ("--root", str(scene.issuer.public), "--audience", AUDIENCE, "--operation", "tools:call:search")
    code, answer = run("check", *given, "--store", str(path), "--json", given=scene.bearer)
    assert code == 1 and json.loads(answer)["cause"] == "revoked"


def test_keys_of_one_are_keys_of_the_other(run, tmp_path):
    run("keygen", "--out", "theirs.key")
    theirs = PrivateKey.load(tmp_path / "theirs.key")
    assert run("pubkey", "theirs.key")[1] == str(theirs.public)
    ours = PrivateKey.generate()
    assert run("pubkey", saved(ours, tmp_path, "ours.key"))[1] == str(ours.public)
