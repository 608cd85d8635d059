"""An hour of real calls through `hardtack agent` and `hardtack gateway`, with a restart in the middle: run by ci/hour.

    run.py HARDTACK MINUTES --python1 PY --python2 PY [--break WHAT]

Servers and clients are of the official Python SDKs: SDK 1 and 2 in the protocol up to 2025-11-25 ("old"), SDK 2 in
2026-07-28 ("new"). Each client does one thing (roles.py), and writes down what it saw; so do the servers. Here they are
started, disturbed, and judged. With --break something is broken on purpose, and a check must fail for it.
"""

import argparse
import atexit
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid

import judge
from judge import BACK_WITHIN

HERE = pathlib.Path(__file__).parent
# What can be broken, and words of the check that must fail for it.
BREAKS = {
    "no-renewal": "every call of a steady client is answered",
    "other-store": "its session goes on after the restart",
    "no-revocation": "is told so within",
    "quiet": "hears every change",
    "stray-call": "as many allowed records",
    "sockets": "open files do not grow",
    "leak": "no process is left",
}
# How many seconds the gateway is away: a little longer than the rhythm of the steady clients.
AWAY = 4
# Seconds in which all clients must be connected: a dozen of Python programs start at once.
CONNECTED_WITHIN = 60
# Seconds after the run's minutes in which it must be ready, the beginning, the judging and the waiting for clients included.
MORE = 240

MARK = f"hour-{uuid.uuid4()}"
started, results = [], []


def check(holds, sentence, figures=""):
    results.append((bool(holds), sentence))
    print(f"{'ok    ' if holds else 'FAILED'} {sentence}{': ' if figures else ''}{figures}", flush=True)


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


@atexit.register
def stop_everything():
    for process in reversed(started):
        stop(process, 5)


def stop(process, seconds=20):
    """SIGTERM, and SIGKILL if that is not enough. Returns the exit code, and None if it had to be killed."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
            return None
    return process.returncode


class Hour:
    def __init__(self, options):
        self.options, self.seconds = options, options.minutes * 60
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hardtack-hour."))
        # The gateway is started twice, and somebody may build in between.
        options.hardtack = shutil.copy(options.hardtack, self.folder / "hardtack")
        atexit.register(options.hardtack.unlink, missing_ok=True)
        self.environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": "1"}
        self.environment |= {"HOUR_FOLDER": str(self.folder), "HOUR_MARK": MARK, "RUST_LOG": "warn"}
        # Lists change once a minute, and often enough in a short run.
        self.every = min(60, self.seconds / 12)
        self.environment |= {"HOUR_EVERY": str(self.every), "HOUR_BREAK": options.broken or ""}
        # Progress, once in two seconds, for a little less than half of the time.
        self.count = {"every": 2, "to": int(self.seconds * 0.44 / 2)}
        self.measured, self.clients, self.windows = {}, {}, []

    # Processes.

    def command(self, *arguments, stdin=""):
        """The exit code of `hardtack` and the first line that it said."""
        done = self.hardtack(arguments, stdin)
        return done.returncode, (done.stdout + done.stderr).strip().split("\n")[0]

    def run(self, *arguments, stdin=""):
        done = self.hardtack(arguments, stdin)
        if done.returncode != 0:
            sys.exit(f"hardtack {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def hardtack(self, arguments, stdin):
        command = [self.options.hardtack, *map(str, arguments)]
        return subprocess.run(
            command, input=stdin, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=60
        )

    def start(self, name, command, wanted=None, **environment):
        out = subprocess.PIPE if wanted else subprocess.DEVNULL
        with open(self.folder / f"{name}.stderr", "ab") as errors:
            process = subprocess.Popen(
                [str(part) for part in command], stdout=out, stderr=errors, stdin=subprocess.DEVNULL, text=True,
                cwd=self.folder, env=self.environment | {"HOUR_NAME": name} | environment,
            )  # fmt: skip
        started.append(process)
        if not wanted:
            return process, None
        for line in process.stdout:
            if found := re.search(wanted, line):
                return process, found.group(0)
        sys.exit(f"{name} did not start: {(self.folder / f'{name}.stderr').read_text()[-800:]}")

    def say(self, name):
        (self.folder / name).touch()

    def client(self, name, sdk, era, url, role, **arguments):
        python = self.options.python1 if sdk == 1 else self.options.python2
        command = [python, HERE / f"client{sdk}.py", role, json.dumps(arguments)]
        self.clients[name], _ = self.start(name, command, HOUR_URL=url, HOUR_ERA=era)

    def notes(self, name):
        """What a program wrote down until now; of a line that is being written nothing."""
        file = self.folder / f"{name}.notes"
        text = file.read_text() if file.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def measure(self, when):
        """Resident memory in KiB and open files of the gateway and the agents that work for the whole hour."""
        for name, process in [("gateway", self.gateway), *self.agents.items()]:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
            rss = int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
            self.measured[name, when] = rss, len(os.listdir(f"/proc/{process.pid}/fd"))

    # What it stands on.

    def grant(self, seconds):
        """A grant by the same root, for the same subject and key, passed on to both agents' keys."""
        mint = ["mint", "--key", "root.key", "--subject", "user:alice", "--holder", "@orchestrator.pub"]
        mint += ["--scope", "tools:call:*", "tasks:get", "tasks:result", "--ttl", f"{int(seconds)}s"]
        grant = self.run(*mint)
        (self.folder / "grant.token").write_text(grant)
        for agent in ["researcher", "victim"]:
            hop = ["delegate", "--key", "orchestrator.key", "--to", f"agent.{agent}", "--reason", "an hour of work"]
            hop += ["--holder", f"@{agent}.pub", "--scope", "tools:call:*", "tasks:get", "tasks:result"]
            token = self.run(*hop, "--ttl", f"{int(seconds) - 1}s", stdin=grant)
            # In one step, since agents may read it at any time.
            (self.folder / f"{agent}.new").write_text(token)
            os.replace(self.folder / f"{agent}.new", self.folder / f"{agent}.token")
        return time.time() + seconds

    def settings(self):
        text = f'root = ["@root.pub"]\nrevocation-audience = "hour/revocations"\nstore = "{self.folder}/hour.store"\n'
        for name, port in self.ports.items():
            text += f'\n[[server]]\nname = "{name}"\npath = "/{name}/mcp"\naudience = "{name}.mcp"\n'
            text += f'upstream = "http://127.0.0.1:{port}/mcp"\nkeep-requests = "arguments"\n'
        (self.folder / "gateway.toml").write_text(text)

    def start_gateway(self, listen):
        store = ["--store", "other.store"] if listen != "127.0.0.1:0" and self.options.broken == "other-store" else []
        command = [self.options.hardtack, "gateway", "--config", "gateway.toml", "--listen", listen, *store]
        self.gateway, address = self.start("gateway", command, r"127\.0\.0\.1:\d+")
        return address

    def prepare(self):
        for name in ["root", "orchestrator", "researcher", "victim"]:
            (self.folder / f"{name}.pub").write_text(self.run("keygen", "--out", f"{name}.key"))
        self.run("store", "create", "hour.store")
        self.run("store", "create", "other.store")
        self.first_grant_ends = self.grant(self.seconds * 0.7)
        self.ports, self.upstreams = {}, {}
        for name, number in [("old", 1), ("new", 2)]:
            python = self.options.python1 if number == 1 else self.options.python2
            program = [python, HERE / f"upstream{number}.py"]
            self.upstreams[name], self.ports[name] = self.start(f"upstream-{name}", program, r"^\d+")
        self.settings()
        self.address = self.start_gateway("127.0.0.1:0")
        self.agents, self.urls, others = {}, {}, {}
        for key in ["researcher", "victim"]:
            for server in self.ports:
                agent = [self.options.hardtack, "agent", "--key", f"{key}.key", "--capability", f"{key}.token"]
                agent += ["--audience", f"{server}.mcp", "--to", f"http://{self.address}/{server}/mcp", "--listen", "127.0.0.1:0"]
                into = self.agents if key == "researcher" else others
                name = f"agent-{key}-{server}"
                into[name], self.urls[key, server] = self.start(name, agent, r"http://127\.0\.0\.1:\d+/mcp")
        self.others = others

    def start_clients(self):
        for name, sdk, era, server in KINDS:
            url = self.urls["researcher", server]
            # SDK 1 gives its session up at any HTTP status from 400 on, and a gateway that is away is a 502. So it pauses.
            self.client(f"{name}-steady", sdk, era, url, "steady", every=3, seconds=15, pauses=sdk == 1)
            self.client(f"{name}-long", sdk, era, url, "long", **self.count)
            self.client(f"{name}-listen", sdk, era, url, "listen")
            self.client(f"{name}-victim", sdk, era, self.urls["victim", server], "victim", **self.count)
        self.client("sdk1-task", 1, "legacy", self.urls["researcher", "old"], "task", seconds=self.seconds * 0.15)

    def wait_for_clients(self):
        """Until all of them are connected: on busy cores that takes much of a short run."""
        end = time.time() + CONNECTED_WITHIN
        while missing := [name for name in self.clients if not any("connected" in entry for entry in self.notes(name))]:
            if time.time() > end:
                sys.exit(f"not connected within {CONNECTED_WITHIN} s: {', '.join(missing)}")
            time.sleep(0.2)

    # The hour.

    def until(self, part, why):
        seconds = self.began + self.seconds * part - time.time()
        if seconds > 0:
            time.sleep(seconds)
        say(why)

    def hour(self):
        five = min(300 / self.seconds, 1 / 6)
        self.start_clients()
        self.wait_for_clients()
        self.began = time.time()
        say("clients have begun")
        self.until(five, "measured")
        self.measure("five minutes 1")
        self.until(0.25, "the victims' hop is revoked")
        self.revoke()
        self.until(0.4, "the grant is renewed")
        if self.options.broken != "no-renewal":
            self.grant(self.seconds * 0.6 + 120)
        self.until(0.45, "a task begins")
        self.say("begin-task")
        self.until(0.5, "the gateway is restarted")
        self.restart()
        restarted = (time.time() - self.began) / self.seconds
        self.until(restarted + five, "measured")
        self.measure("five minutes 2")
        if self.options.broken == "stray-call":
            self.stray_call()
        self.until(0.99, "the end")
        idle = []
        if self.options.broken == "sockets":
            idle = [socket.create_connection(("127.0.0.1", int(self.address.split(":")[1]))) for _ in range(10)]
            time.sleep(1)
        self.measure("end 2")
        self.say("end")
        for connection in idle:
            connection.close()
        self.codes = {}
        for name, process in self.clients.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.codes[name] = process.wait(30)
        agents = {**self.agents, **self.others}
        self.codes |= {name: stop(process) for name, process in agents.items()}
        self.codes["gateway, at the end"] = stop(self.gateway)
        for process in self.upstreams.values():
            stop(process)
        if self.options.broken == "leak":
            subprocess.Popen(["sleep", "60"], env=self.environment)

    def revoke(self):
        hop = json.loads(self.run("inspect", "--json", "victim.token"))["hops"][0]["revocation_id"]
        self.revoked = time.time()
        if self.options.broken == "no-revocation":
            return
        where = ["--at", f"http://{self.address}", "--audience", "hour/revocations", "--key", "orchestrator.key"]
        proof = ["--capability", "grant.token", "--proof", "victim.token", "--id", hop, "--reason", "the hour's trial"]
        self.run("revoke", *where, *proof)

    def restart(self):
        """On the same store and port, between two changes of the lists; one more change while the gateway is away."""
        first = next(entry for entry in self.notes("upstream-new") if "change" in entry)["t"]
        time.sleep((self.every / 2 - (time.time() - first)) % self.every)
        self.measure("end 1")
        self.say("restarting")
        # Calls of those that pause are answered.
        time.sleep(2)
        gone = time.time()
        self.codes_of_first = stop(self.gateway)
        away = time.time()
        self.say("change-1")
        while not all(any(entry.get("extra") for entry in self.notes(f"upstream-{name}")) for name in self.ports):
            time.sleep(0.05)
        # So long that each steady client calls meanwhile.
        time.sleep(max(0, away + AWAY - time.time()))
        self.start_gateway(self.address)
        back = time.time()
        self.windows.append((gone, back + BACK_WITHIN))
        say(f"it stopped in {away - gone:.1f} s, and was back after {back - gone:.1f} s")
        # Calls that begin from now on must be answered; those that were under way have their time limit.
        time.sleep(BACK_WITHIN)
        self.say("restarted")

    def stray_call(self):
        """A call that no client of the hour knows of."""
        self.client("stray", 2, "2026-07-28", self.urls["researcher", "new"], "stray")
        self.clients.pop("stray").wait(30)


# The SDKs' clients: name, SDK, era, and the server behind the gateway.
KINDS = [("sdk1", 1, "legacy", "old"), ("sdk2-old", 2, "legacy", "old"), ("sdk2-new", 2, "2026-07-28", "new")]


def left():
    """Processes that were started for this run and are still there."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and MARK.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:80])
    return found


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before it was done"))
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("took longer than it may"))
    arguments = argparse.ArgumentParser()
    arguments.add_argument("hardtack")
    arguments.add_argument("minutes", type=float)
    arguments.add_argument("--python1", required=True)
    arguments.add_argument("--python2", required=True)
    arguments.add_argument("--break", dest="broken", choices=BREAKS)
    options = arguments.parse_args()
    # Below, the parts of the run overlap. Above, a hop would have to live longer than an hour, which verifiers do not accept.
    if not 3 <= options.minutes <= 80:
        sys.exit("from 3 to 80 minutes")
    signal.alarm(int(options.minutes * 60) + MORE)
    hour = Hour(options)
    hour.prepare()
    hour.hour()
    judge.judge(hour, KINDS, check)
    found = left()
    check(not found, "no process is left", "; ".join(found))
    print(f"in {time.time() - hour.began:.0f} s")
    failed = [sentence for holds, sentence in results if not holds]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed", flush=True)
    noticed = options.broken and any(BREAKS[options.broken] in sentence for sentence in failed)
    if failed and not noticed:
        print(f"what everybody wrote down: {hour.folder}")
    else:
        shutil.rmtree(hour.folder)
    if options.broken:
        print(f"{options.broken} was {'noticed' if noticed else 'NOT noticed'}")
        sys.exit(not noticed)
    sys.exit(bool(failed))


main()
