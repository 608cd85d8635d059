"""Puts tokens of the Python Biscuit library to Hardtack and tokens of Hardtack to it, and compares the verdicts.

    run.py HARDTACK VECTORS

What both enforce they must decide alike; what only Hardtack enforces it must refuse, for the cause that is expected; and what
Hardtack allows, a plain Biscuit verifier must never refuse. Fails on any difference, and with fewer verdicts than LEAST.
"""

import collections
import datetime
import json
import pathlib
import re
import sys
import tempfile
import time

import cases
import plain
from ours import Hardtack

# What must be there: equal verdicts over tokens that either side made, and those of them that are allowed and refused.
LEAST = {"equal": 300, "allowed": 100, "refused": 100, "only Hardtack refuses": 20, "vectors": 120}

# Where a plain verifier decides the vectors' cases otherwise. docs/vectors.md has the reasons.
NOT_PLAIN = {
    ("a check: alternatives", '{"a": "x", "b": 2}'),
    ("a check: what only Hardtack asserts", ""),
    ("a check: reject with alternatives", '{"a": 1}'),
    ("a check: reject with alternatives", '{"b": 1}'),
}

# The functions of the profile that the plain verifier here does not know.
UNKNOWN_FUNCTIONS = ("hardtack_url", "hardtack_network", "hardtack_glob")


class Count:
    def __init__(self):
        self.held = collections.defaultdict(collections.Counter)
        self.failed = []

    def note(self, kind, verdict):
        self.held[kind][verdict] += 1

    def fail(self, *what):
        self.failed.append(": ".join(map(str, what)))

    def total(self, *kinds):
        return sum(sum(self.held[kind].values()) for kind in kinds)


def verdict(allowed):
    return "allowed" if allowed else "refused"


def compare(count, cast, case):
    """One token, and all that is asked about it."""
    for request in case.requests:
        by_plain, why = plain.decide(case.bearer, cast.root, cast.now, request)
        by_ours, cause = cast.ours.decide(case.bearer, cast.root, cast.now, request, case.options)
        strict = case.kind == "only Hardtack refuses"
        if by_ours and not by_plain:
            count.fail(case.kind, case.title, request, "Hardtack allows what a plain verifier refuses", why)
        elif strict and (not by_plain or cause != case.title):
            count.fail(case.kind, case.title, request, f"plain {verdict(by_plain)} ({why}), Hardtack {cause or 'allowed'}")
        elif not strict and by_ours != by_plain:
            count.fail(case.kind, case.title, request, f"plain {verdict(by_plain)}, Hardtack {cause}")
        else:
            count.note(case.kind, verdict(by_ours))


def compare_vectors(count, vectors):
    """The committed vectors, as a plain verifier reads them."""
    root = plain.Key(vectors["root_private_key"])
    met = set()
    for case in vectors["testcases"]:
        stated = [(block["revocation_id"], block["id"]) for block in case["token"]]
        for title, validation in case["validations"].items():
            options = validation.get("options", {})
            if validation["call_digest"] is None or "revokes" in options:
                continue
            allowed = "Ok" in validation["result"]
            cause = "" if allowed else validation["result"]["Err"]["cause"]
            asks_functions = any(name in (block["code"] or "") for block in case["token"] for name in UNKNOWN_FUNCTIONS)
            if not (allowed or cause in ("check_failed", "signature", "unknown_root")) or asks_functions or "root_keys" in options:
                continue
            request = request_of(validation)
            now = seconds_of(validation["now"])
            by_plain, why = plain.decide(case["bearer"], root, now, request)
            if allowed != by_plain and (case["title"], title) in NOT_PLAIN:
                met.add((case["title"], title))
            elif allowed != by_plain:
                count.fail("vectors", case["title"], title, f"plain {verdict(by_plain)} ({why}), expected {cause or 'allowed'}")
            else:
                count.note("vectors", verdict(by_plain))
            if allowed:
                text = case["bearer"] + "=" * (-len(case["bearer"]) % 4)
                read = plain.biscuit.Biscuit.from_base64(text, root.public).revocation_ids
                if list(zip(read, plain.ids_of(text))) != stated:
                    count.fail("vectors", case["title"], title, "the ids differ")
    if met != NOT_PLAIN:
        count.fail("vectors", "a plain verifier decides alike by now", NOT_PLAIN - met)


def request_of(validation):
    """The call; its digest is calculated here too where the arguments are simple, and must be the stated one."""
    text = validation.get("arguments", "{}")
    request = plain.Request(validation["operation"], json.loads(text), validation.get("resource"), validation["audience"],
                            stated_digest=validation["call_digest"], params=json.loads(validation.get("params", "{}")))
    simple = text.isascii() and "\\" not in text and not re.search(r"\d[.eE]", text)
    if simple and request.digest() != request.stated_digest:
        raise SystemExit(f"another digest of {request}")
    return request


def seconds_of(moment):
    return int(datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).timestamp())


def main(binary, vectors):
    began = time.monotonic()
    count = Count()
    with tempfile.TemporaryDirectory() as folder:
        cast = cases.Cast(Hardtack(binary, pathlib.Path(folder)), int(time.time()))
        for family in (cases.by_python, cases.by_hardtack, cases.by_both, cases.attacks, cases.strict):
            for case in family(cast):
                compare(count, cast, case)
    compare_vectors(count, json.loads(pathlib.Path(vectors).read_text()))
    return report(count, time.monotonic() - began)


def report(count, seconds):
    for kind, verdicts in count.held.items():
        print(f"{kind:<24} {verdicts['allowed']:>4} allowed {verdicts['refused']:>4} refused")
    both = [kind for kind in count.held if kind not in ("only Hardtack refuses", "vectors")]
    reached = {
        "equal": count.total(*both),
        "allowed": sum(count.held[kind]["allowed"] for kind in both),
        "refused": sum(count.held[kind]["refused"] for kind in both),
        "only Hardtack refuses": count.total("only Hardtack refuses"),
        "vectors": count.total("vectors"),
    }
    print(f"{reached['equal']} equal verdicts over tokens of either side, in {seconds:.0f} s")
    for failure in count.failed:
        print(f"FAILED  {failure}")
    short = {name: reached[name] for name, least in LEAST.items() if reached[name] < least}
    if short:
        print(f"FAILED  fewer than {LEAST}: {short}")
    return 1 if count.failed or short else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
