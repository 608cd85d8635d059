"""Runs the official MCP clients against the gateway before real upstreams, and says what held.

    run.py BINARY --python1 PY --python2 PY --modules DIR

PY are interpreters with requirements-mcp1.txt and requirements-mcp2.txt, DIR holds the node_modules of package.json.
This file itself needs httpx, which the first of them has. With --direct there is no gateway: then it shows that
clients and upstream are well by themselves. Ends with a table, and with 1 if anything did not hold.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile
import threading
import time

import cases_access
import cases_trouble
from report import Report, expect
from stage import HERE, Direct, Gateway, Process, Signer, Tokens, Upstream, drive, stop_everything
from wire import Wire

# Each driver, and the era in which it is asked to connect if its client lets one choose.
DRIVERS = [
    ("drive_mcp1.py", None),
    ("drive_mcp2.py", "legacy"),
    ("drive_mcp2.py", "auto"),
    ("drive_mcp2.py", "2026-07-28"),
    ("drive_ts1.mjs", None),
    ("drive_ts2.mjs", "legacy"),
    ("drive_ts2.mjs", "auto"),
    ("drive_ts2.mjs", "2026-07-28"),
]
STEPS = "tools resources prompts progress resume ask bad"
UPSTREAMS = {"stateful": [], "stateless": ["--stateless"], "json": ["--json"]}
POLICY = """
allow if operation($op), granted($op);
deny if tool("search"), arg("query", "forbidden");
deny if tool("count");
"""
# What clients send where there is no gateway, to see that the upstream's log would show a token.
DIRECT_TOKEN = "a-token-that-must-be-found-in-the-log"
ROADMAP = "https://notion.example/roadmap"


class Place:
    """Where a case is tried: a gateway, its upstream, and who may use it."""

    def __init__(self, gateway, tokens, strangers=None, others=None, late=3, long=6):
        self.gateway, self.upstream, self.url = gateway, gateway.upstream, gateway.url
        self.tokens, self.strangers, self.others = tokens, strangers, others
        self.late, self.long = late, long

    def wire(self, agent, era="old", open=True, seconds=20, tokens=None):
        wire = Wire(self.url, (tokens or self.tokens).bearer(agent), era, seconds)
        return wire.open() if era == "old" and open else wire


def what_a_driver_must_see(saw, kind, steps, judged):
    """The facts about one driver's run: (fact, whether it held, what came instead)."""
    new = saw["protocol"] >= "2026"

    def same(fact, name, wanted):
        return fact, saw.get(name) == wanted, f"{saw.get(name)} instead of {wanted}"

    def found(query):
        return {"isError": False, "text": f"found {query}"}

    yield same("an allowed call succeeds", "allowed", found("one"))
    yield same("a call after a refusal succeeds", "allowed_again", found("two"))
    yield same("the last call succeeds", "allowed_last", found("three"))
    yield same("a resource is read", "resource", "the roadmap")
    yield same("a prompt is had", "prompt", "Be brief.")
    counted = {"isError": False, "text": "counted to 3"}
    yield same("a call with progress succeeds", "counted", counted)
    yield same("a call that is cut off is resumed", "resumed", counted)
    numbers = [] if kind == "json" else [1, 2, 3]
    yield same("progress arrives", "progress", numbers)
    # Where resuming is slow, the last numbers come together with the result, and some clients then drop them.
    heard = saw.get("resumed_progress", [])
    yield "progress arrives after resuming", heard == numbers[: len(heard)] and heard[:2] == numbers[:2], heard
    if new or kind == "stateful":
        yield same("the server asks the user", "asked", {"isError": False, "text": "asked: blue"})
        yield same("the server asks the model", "thought", {"isError": False, "text": "thought: hm"})
    else:
        # This upstream has no way to ask; its own error must arrive.
        yield "the upstream's own error arrives", "back-channel" in str(saw.get("asked")), saw.get("asked")
    yield "the roadmap is listed", ROADMAP in saw.get("resources", []), saw.get("resources")
    if not judged:
        return

    refused = saw.get("refused", {})
    named = refused.get("isError") is True and "tools:call:delete_page" in refused.get("text", "")
    yield "a refused call is a result that names the right", named, refused
    yield "delete_page is not listed", "delete_page" not in saw["tools"] and "search" in saw["tools"], saw["tools"]
    yield same("only the granted prompt is listed", "prompts", ["brief"])
    prompt = saw.get("prompt_refused", {})
    yield "a refused prompt names the right", "prompts:get:secret" in str(prompt.get("error")), prompt
    if "bad" not in steps:
        return
    bad = saw.get("bad_token", {})
    yield "a bad token fails to connect", bool(bad.get("error")), bad
    yield "a bad token fails within 3 s", bad.get("seconds", 99) < 3, bad


def what_must_not_reach(upstream, bearers):
    """The facts about an upstream's log."""
    text = upstream.path.read_text()
    # A part of a token is as bad as the whole. All begin alike, so the end is searched for.
    leaked = [bearer[-24:] for bearer in bearers if bearer[-24:].rstrip("=") in text]
    yield "the upstream never sees a bearer token", not leaked, leaked
    headers = {name.lower() for entry in upstream.requests() for name, _ in entry["headers"]}
    secret = headers & {"authorization", "proxy-authorization", "cookie"}
    yield "the upstream never sees credentials", not secret, secret
    for name in ("delete_page", "secret"):
        seen = [entry for entry in upstream.requests() if name in json.dumps([entry["headers"], entry["body"]])]
        yield f"nothing about {name} reaches the upstream", not seen, seen[:2]


def run_driver(report, options, program, era, place, kind, token, steps=STEPS, judged=True):
    """One driver, to its end; `kind` is what stands behind it."""
    heading = f"{program}{' ' + era if era else ''}, {kind}"
    with report.timed(heading):
        python = options.python1 if program == "drive_mcp1.py" else options.python2
        environment = {"python": python, "CLIENT_MODULES": str(options.modules), "STEPS": steps}
        if era:
            environment["ERA"] = era
        saw = drive(HERE / program, place.url, token, **environment)
        for fact, held, detail in what_a_driver_must_see(saw, kind.split()[0], steps.split(), judged):
            report.fact(heading, fact, held, detail)


def run_drivers(report, options, places, tokens):
    """Every driver in every era before every upstream, a few at a time."""

    def one(run):
        kind, program, era = run
        token = tokens.bearer("researcher") if tokens else DIRECT_TOKEN
        run_driver(report, options, program, era, places[kind], kind, token, judged=bool(tokens))

    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(one, [(kind, program, era) for kind in places for program, era in DRIVERS]))

    if "stateful" in places:
        resumed = [
            entry
            for entry in places["stateful"].upstream.requests()
            if entry["http"] == "GET" and any(name.lower() == "last-event-id" for name, _ in entry["headers"])
        ]
        old = sum(1 for _, era in DRIVERS if era in (None, "legacy"))
        fact = "every client of the older era resumed with Last-Event-ID"
        report.fact("resumption, stateful", fact, len(resumed) >= old, f"{len(resumed)} of {old}")


def run_signers(report, options, gateway, tokens):
    """The drivers without a token, through `hardtack agent`: with a presentation a few minutes, and with one a call."""
    signers = {
        "stateful by an agent": Signer(tokens, gateway, "signer", "--drain", "2s"),
        "stateful by an agent, call-bound": Signer(tokens, gateway, "call-bound", "--drain", "2s", "--call-bound"),
    }
    steps = STEPS.replace(" bad", "")

    def one(run):
        kind, program, era = run
        run_driver(report, options, program, era, signers[kind], kind, None, steps)

    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(one, [(kind, program, era) for kind in signers for program, era in DRIVERS if era != "auto"]))
    for kind, signer in signers.items():
        code = signer.stop(8)
        report.fact(kind, "SIGTERM ends it with 0", code == 0, f"ended with {code}")


def run_crowd(report, options, place, tokens):
    heading = f"drive_crowd.py, {options.sessions} sessions"
    with report.timed(heading):
        environment = {"python": options.python1, "SESSIONS": str(options.sessions)}
        saw = drive(HERE / "drive_crowd.py", place.url, tokens.bearer("researcher"), 90, **environment)
        report.fact(heading, "no session fails", not saw["errors"], saw["errors"])
        for fact in ("delete_page is not listed", "answers are its own", "delete_page is refused"):
            held = saw["held"].get(fact, 0)
            report.fact(heading, f"{fact}, in every session", held == options.sessions, f"{held} sessions")
        print(f"{options.sessions} sessions at once took {saw['seconds']} s", flush=True)


def run_demo(report, options, folder):
    """The binary's own tool server, made with the Rust SDK, behind its own gateway."""
    command = [options.binary, "demo", "--mcp", "--keep"]
    try:
        demo = Process(command, folder / "demo.stderr", r"HARDTACK_TOKEN=\S+", seconds=30)
    except RuntimeError as error:
        print(f"skipped: no rmcp upstream, {error}", flush=True)
        return
    url = re.search(r"HARDTACK_URL=(\S+)", "".join(demo.seen)).group(1)
    token = demo.ready.removeprefix("HARDTACK_TOKEN=")

    def one(driver):
        program, era = driver
        heading = f"{program}{' ' + era if era else ''}, rmcp"
        with report.timed(heading):
            python = options.python1 if program == "drive_mcp1.py" else options.python2
            environment = {"python": python, "CLIENT_MODULES": str(options.modules), "STEPS": "tools bad"}
            if era:
                environment["ERA"] = era
            saw = drive(HERE / program, url, token, **environment)
            report.fact(heading, "search alone is listed", saw["tools"] == ["search"], saw["tools"])
            for name in ("allowed", "allowed_again", "allowed_last"):
                report.fact(heading, f"{name} call succeeds", saw[name]["isError"] is False, saw[name])
            refused = saw["refused"]
            named = refused["isError"] and "tools:call:delete_page" in refused["text"]
            report.fact(heading, "a refused call is a result that names the right", named, refused)
            bad = saw["bad_token"]
            report.fact(heading, "a bad token fails within 3 s", bool(bad["error"]) and bad["seconds"] < 3, bad)

    with concurrent.futures.ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(one, DRIVERS))
    code = demo.stop()
    # It is ended from outside, so anything but having to be killed is in order.
    report.fact("the demo, rmcp", "stops on SIGTERM", code is not None, "had to be killed")


def run_cases(report, heading, cases, place):
    for case in cases:
        report.case(heading, case.__name__.replace("_", " "), lambda case=case: case(place))
    report.fact(heading, "the gateway is still alive", place.gateway.alive(), place.gateway.tail())


def run_stop(report, upstream, tokens):
    """SIGTERM while a session's stream is open."""

    def check():
        gateway = Gateway(tokens, upstream, "stop", "--drain", "2s")
        wire = Wire(gateway.url, tokens.bearer("researcher")).open()
        with wire.get() as response:
            expect(response.status_code == 200, f"HTTP {response.status_code}")
            code = gateway.stop(8)
            expect(code == 0, "it had to be killed after 8 s" if code is None else f"it ended with {code}")

    report.case("the gateway's end", "SIGTERM ends it with 0 within 8 s, also while a stream is open", check)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("binary", help="the hardtack binary")
    arguments.add_argument("--python1", default=sys.executable)
    arguments.add_argument("--python2", default=sys.executable)
    arguments.add_argument("--modules", type=pathlib.Path, required=True, help="the folder that contains node_modules")
    arguments.add_argument("--direct", action="store_true", help="no gateway, only the drivers")
    arguments.add_argument(
        "--only", default="drivers signers crowd demo access policies trouble liar revoke stop", help="what to run"
    )
    arguments.add_argument("--upstreams", default=" ".join(UPSTREAMS), help="before which upstreams the drivers run")
    arguments.add_argument("--sessions", type=int, default=100)
    arguments.add_argument("--long", type=int, default=6, help="seconds for which the long stream streams")
    arguments.add_argument("--late", type=float, default=3, help="seconds after which the late answer comes")
    arguments.add_argument("--at-once", type=int, default=4, help="drivers that run at once")
    arguments.add_argument("--seconds", type=int, default=600, help="give up after so many seconds in all")
    arguments.add_argument("--keep", action="store_true", help="keep the temporary folder with all logs")
    options = arguments.parse_args()
    options.binary = str(pathlib.Path(options.binary).absolute())

    def give_up(why):
        print(f"gave up: {why}", flush=True)
        stop_everything()
        os._exit(3)

    watchdog = threading.Timer(options.seconds, give_up, [f"not done after {options.seconds} s"])
    watchdog.daemon = True
    watchdog.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: give_up("asked to stop"))

    began = time.monotonic()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hardtack-clients-"))
    report = Report()
    try:
        run(report, options, folder)
    finally:
        stop_everything()
        if options.keep or report.failed():
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)
    print(f"\n{report.table()}, in {time.monotonic() - began:.0f} s")
    sys.exit(1 if report.failed() else 0)


def run(report, options, folder):
    only = options.only.split()
    kinds = options.upstreams.split()
    upstreams = {kind: Upstream(options.python2, folder, kind, *UPSTREAMS[kind]) for kind in kinds}
    if options.direct:
        places = {kind: Direct(upstream) for kind, upstream in upstreams.items()}
        run_drivers(report, options, places, None)
        # The other way round, to know that these would be noticed.
        for fact, held, detail in what_must_not_reach(upstreams[kinds[0]], [DIRECT_TOKEN]):
            report.fact(
                "without a gateway", f"it is noticed that not: {fact}", not held or "credentials" in fact, detail
            )
        return

    # Three issuers: the gateway trusts the first. The second delegates under the same names, and is not trusted.
    # The third is trusted too, for a session's opener is more than a name.
    makers = {}
    for name in ("trusted", "strangers", "others"):
        (folder / name).mkdir()
        makers[name] = Tokens(options.binary, folder / name)
    tokens, strangers, others = makers["trusted"], makers["strangers"], makers["others"]
    roots = ["--root", others.root]
    gateways = {kind: Gateway(tokens, upstream, kind, *roots) for kind, upstream in upstreams.items()}
    places = {kind: Place(gateway, tokens, strangers, others) for kind, gateway in gateways.items()}

    if "drivers" in only:
        run_drivers(report, options, places, tokens)
    if "signers" in only:
        run_signers(report, options, gateways[kinds[0]], tokens)
    if "crowd" in only:
        run_crowd(report, options, places[kinds[0]], tokens)
    if "demo" in only:
        run_demo(report, options, folder)
    if "access" in only:
        run_cases(report, "access by hand", cases_access.CASES, places[kinds[0]])
    for kind, place in places.items():
        if place.upstream.requests():
            used = any(entry.get("method") == "tools/call" for entry in place.upstream.requests())
            report.fact(f"the upstream's log, {kind}", "the upstream was used at all", used)
            for fact, held, detail in what_must_not_reach(place.upstream, tokens.bearers):
                report.fact(f"the upstream's log, {kind}", fact, held, detail)
    if "revoke" in only:
        run_cases(report, "revocation", [cases_trouble.revocation_reaches_the_gateway_at_once], places[kinds[0]])

    # These bring their upstream down, so they have one of their own.
    if "trouble" in only:
        upstream = Upstream(options.python2, folder, "trouble")
        place = Place(Gateway(tokens, upstream, "trouble"), tokens, late=options.late, long=options.long)
        run_cases(report, "upstreams in trouble", cases_trouble.CASES, place)
    if "policies" in only:
        (folder / "policies").mkdir()
        (folder / "policies" / "one.datalog").write_text(POLICY)
        gateway = Gateway(tokens, upstreams[kinds[0]], "policies", "--policies", str(folder / "policies"))
        cases = [cases_access.a_policy_refuses_by_argument, cases_access.a_list_leaves_out_what_a_policy_never_allows]
        run_cases(report, "policies", cases, Place(gateway, tokens))
    if "liar" in only:
        upstream = Upstream(options.python2, folder, "liar", program="liar.py")
        run_cases(
            report, "an upstream that lies", cases_trouble.LIAR_CASES, Place(Gateway(tokens, upstream, "liar"), tokens)
        )
    if "stop" in only:
        run_stop(report, upstreams[kinds[0]], tokens)


if __name__ == "__main__":
    main()
