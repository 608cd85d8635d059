"""Runs the conformance suite against a server directly and behind `hardtack agent` and `hardtack gateway`, and compares.

A check that passes directly and does not pass behind Hardtack is a fault, unless it stands in `known`, under its reason; so
is one that stands there and passes. The reasons stand in docs/gateway.md in the same words.
"""

import collections
import concurrent.futures
import json
import pathlib
import queue
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "shared"))

from known import reasons_in, written_reasons
from processes import started, stop_everything

PAGE = HERE.parent.parent / "docs" / "gateway.md"
HEADING = "## What the conformance suite finds"
BINARY, FOLDER, NODE = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
OF_GATEWAY = sys.argv[4:]

# What the gateway speaks, of the versions that a suite may know.
SPOKEN = ["2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"]
SUITES = {"released": "conformance-released", "next": "conformance-next"}
# What the suite has beyond the versions: it says "extension" where a version would stand.
EXTENSION = "extension"
# The suite itself gives a scenario half a minute; forty of them take five seconds.
SECONDS = 240
AUDIENCE = "conformance.mcp"
WAYS = ("direct", "standing", "call-bound")


# Servers, each of which says on standard output where it listens.


def serve(name, command, folder):
    errors_path = folder / f"{name}.stderr"
    with open(errors_path, "ab") as errors:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=environment(folder),
        )
    started.append(process)
    lines = queue.Queue()

    def read():
        for line in process.stdout:
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    end = time.monotonic() + 30
    try:
        while line := lines.get(timeout=max(0.01, end - time.monotonic())):
            if found := re.search(r"http://127\.0\.0\.1:\d+\S*", line):
                return found.group(0)
    except queue.Empty:
        pass
    sys.exit(f"{name} did not say where it listens: {errors_path.read_text()[-500:]}")


def environment(folder):
    # Nothing of the caller's: no proxies, no settings.
    return {"PATH": f"{NODE.parent}:/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "NO_COLOR": "1"}


def hardtack(folder, *arguments):
    command = [str(BINARY), *arguments]
    result = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=20, env=environment(folder)
    )
    if result.returncode != 0:
        sys.exit(f"hardtack {arguments[0]} ended with {result.returncode}: {result.stderr.strip()[-500:]}")
    return result.stdout


def keys_and_grant(folder):
    root = hardtack(folder, "keygen", "--out", "root.key").strip()
    hardtack(folder, "store", "create", "hardtack.store")
    grant = ["mint", "--key", "root.key", "--subject", "user:alice", "--scope", "*", "--ttl", "2h"]
    capability = hardtack(folder, *grant, "--new-holder", "holder.key")
    (folder / "capability.token").write_text(capability)
    return root


def upstream(name, folder):
    return serve(name, [NODE, FOLDER / "upstream.mjs"], folder)


def behind(way, root, folder):
    """An agent before a gateway before an upstream of its own, whose changes the other ways do not hear."""
    folder = folder / way
    folder.mkdir()
    for file in ["holder.key", "capability.token"]:
        (folder / file).write_bytes((folder.parent / file).read_bytes())
        (folder / file).chmod(0o600)
    hardtack(folder, "store", "create", "hardtack.store")
    gateway = ["gateway", "--listen", "127.0.0.1:0", "--audience", AUDIENCE, "--root", root]
    gateway += ["--upstream", upstream("upstream", folder)]
    gateway += ["--store", "hardtack.store", "--resource-scheme", "test,skill", *OF_GATEWAY]
    to = serve("gateway", [BINARY, *gateway], folder)
    # The suite sends requests as a page of the same origin would, which the agent takes from nobody by itself.
    listen = f"127.0.0.1:{free_port()}"
    agent = ["agent", "--listen", listen, "--allow-origin", f"http://{listen}", "--audience", AUDIENCE, "--to", to]
    agent += ["--key", "holder.key", "--capability", "capability.token"]
    return serve("agent", [BINARY, *agent, *(["--call-bound"] if way == "call-bound" else [])], folder)


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


# The suite.


def program(suite):
    return [str(NODE), str(FOLDER / "node_modules" / SUITES[suite] / "dist" / "index.js")]


def bounded(command, folder):
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=SECONDS,
            env=environment(folder),
        ).stdout
    except subprocess.TimeoutExpired:
        sys.exit(f"{' '.join(command[2:])} was still running after {SECONDS} s")


def rounds(folder):
    """What there is to run: a suite, a version of the protocol, the options that choose it."""
    for suite in SUITES:
        listed = bounded([*program(suite), "list", "--server"], folder)
        scenarios = re.findall(r"^ *- (\S+) \[(.*)\]$", listed, re.M)
        known = {version for _, versions in scenarios for version in versions.split(",")}
        if unexpected := known - set(SPOKEN) - {EXTENSION}:
            sys.exit(f"{suite}: the suite knows {', '.join(sorted(unexpected))}, about which this script says nothing")
        for version in SPOKEN:
            if version in known:
                yield suite, version, ["--suite", "all", "--spec-version", version]
        for scenario, versions in scenarios:
            if versions == EXTENSION:
                yield suite, EXTENSION, ["--scenario", scenario]


def results(way, url, plan, folder):
    """How often each check had which outcome."""
    found = collections.defaultdict(collections.Counter)
    for number, (suite, version, options) in enumerate(plan):
        out = folder / f"{way}.{number}"
        printed = bounded([*program(suite), "server", "--url", url, *options, "--output-dir", str(out)], folder)
        written = list(out.glob("server-*/checks.json"))
        if not written:
            sys.exit(f"{way}: {' '.join(options)} wrote no result: {printed[-500:]}")
        for path in written:
            # The folder's name ends with a moment: server-SCENARIO-2026-01-01T00-00-00-000Z.
            scenario = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT.*", path.parent.name).group(1)
            for check in json.loads(path.read_text()):
                key = f"{suite} {version} {scenario} {check['id']}"
                found[key][check["status"]] += 1
                if check["status"] in ("FAILURE", "WARNING"):
                    details.setdefault((way, key), check.get("errorMessage") or check["description"])
    return found


details = {}


def lost(direct, behind):
    """The checks of which fewer pass, or more fail, than directly."""

    def bad(outcomes):
        return outcomes["FAILURE"] + outcomes["WARNING"]

    for key in sorted(direct.keys() | behind.keys()):
        before, after = direct.get(key, collections.Counter()), behind.get(key, collections.Counter())
        if after["SUCCESS"] < before["SUCCESS"] or bad(after) > bad(before):
            yield key


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hardtack-conformance.") as name:
        folder = pathlib.Path(name)
        root = keys_and_grant(folder)
        urls = {way: behind(way, root, folder) if way != "direct" else upstream(way, folder) for way in WAYS}
        plan = list(rounds(folder))
        with concurrent.futures.ThreadPoolExecutor(len(WAYS)) as pool:
            running = {way: pool.submit(results, way, url, plan, folder) for way, url in urls.items()}
            found = {way: future.result() for way, future in running.items()}
        stop_everything()

    faults = []
    direct = found["direct"]
    for key, outcomes in sorted(direct.items()):
        if outcomes["FAILURE"]:
            faults.append(f"fails directly, so that nothing can be said of it: {key}: {details['direct', key]}")
    reasons = reasons_in(HERE / "known")
    accounted = {check for checks in reasons.values() for check in checks}
    differing = {f"{way} {key}" for way in WAYS[1:] for key in lost(direct, found[way])}
    for check in sorted(differing - accounted):
        way, key = check.split(" ", 1)
        faults.append(f"passes directly, not behind Hardtack: {check}: {details.get((way, key), 'is missing')}")
    for check in sorted(accounted - differing):
        faults.append(f"stands in known, and passes: {check}")
    for reason in sorted(reasons.keys() ^ set(written_reasons(PAGE, HEADING))):
        where = "docs/gateway.md" if reason in reasons else "known"
        faults.append(f"a reason that {where} does not have: {reason}")

    for way in WAYS:
        totals = sum(found[way].values(), collections.Counter())
        print(f"{way:11}", ", ".join(f"{totals[outcome]} {outcome.lower()}" for outcome in sorted(totals)))
    scenarios = {key.rsplit(" ", 1)[0] for key in direct}
    failing = {key.rsplit(" ", 1)[0] for key, outcomes in direct.items() if outcomes["FAILURE"]}
    print(f"{len(scenarios - failing)} of {len(scenarios)} scenarios pass directly")
    print(f"{len(accounted & differing)} checks do not pass behind Hardtack for {len(reasons)} known reasons")
    for fault in faults:
        print(fault)
    print(f"in {time.monotonic() - began:.0f} s")
    sys.exit(len(faults) > 0)


if __name__ == "__main__":
    main()
