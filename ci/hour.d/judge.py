"""What must have held in the hour: judged by what clients and servers wrote down, by the store, and by what was measured."""

import collections
import json

# Seconds from the revocation until the client must have been told. docs/gateway.md: a token is checked every 0.4 seconds
# while an answer flows. The rest is for the revoking command, three processes on the way, and busy cores.
ENDED_WITHIN = 3
# Seconds after the gateway is back in which the agents may still be opening connections again. Listening streams are
# opened again within half a minute (docs/agent.md); calls are not held that long.
BACK_WITHIN = 5
# Resident memory at a process's end, as a multiple of what it had after five minutes. What a process keeps for each
# call, session or presentation would show: an hour has thousands of calls. Page caches of the store may grow a little.
RSS_FACTOR = 1.25
# Open files more at the end than after five minutes: connections to servers come and go.
MORE_FILES = 3
# Seconds between a change of a list and the client's hearing of it, while the gateway runs.
HEARD_WITHIN = 5
# The agent renews its presentation after five minutes (docs/agent.md).
RENEWED_AFTER = 300


def judge(hour, kinds, check):
    notes = {name: hour.notes(name) for name in [*hour.clients, "upstream-old", "upstream-new"]}
    calls = [{"client": name, **entry} for name in hour.clients for entry in notes[name] if "call" in entry]
    gone, back = hour.windows[0]
    ends = hour.began + hour.seconds * 0.99
    for name, _, _, server in kinds:
        steady(hour, check, name, [call for call in calls if call["client"] == f"{name}-steady"], gone, back, ends)
        long(hour, check, name, notes[f"{name}-long"])
        listen(check, name, notes[f"{name}-listen"], notes[f"upstream-{server}"], gone, back, ends)
        victim(hour, check, name, notes[f"{name}-victim"], notes[f"upstream-{server}"])
    task(check, notes["sdk1-task"], gone)
    sessions(check, kinds, notes)
    streams(hour, check, notes["upstream-old"], notes["upstream-new"], back)
    records(hour, check, calls, notes, gone, back)
    measures(hour, check)
    ended(hour, check)


def steady(hour, check, name, calls, gone, back, ends):
    bad = [call for call in calls if not call["ok"]]
    outside = [call for call in bad if not gone - 15 <= call["began"] <= back]
    # A rhythm of three seconds without those of the restart, in which some pause; less what the answers took.
    enough = (hour.seconds * 0.99 - (back - gone)) / 3 * 0.8
    figures = f"{len(calls)} calls, {len(bad)} of them not, {len(outside)} outside of the restart's seconds"
    check(len(calls) >= enough and not outside, f"{name}: every call of a steady client is answered", figures)
    for call in outside[:3]:
        print(f"       {call['call']} after {call['began'] - hour.began:.0f} s: {call['text'][:160]}")
    if bad and not outside:
        print(f"       in the restart's seconds: {sorted({call['text'][:160] for call in bad})}")
    if name != "sdk1":
        check(any(gone <= call["began"] <= back for call in bad), f"{name}: a call falls into the restart, and fails")
    later = [call for call in calls if call["ok"] and call["began"] > back]
    check(later and later[-1]["t"] > ends - 10, f"{name}: its session goes on after the restart, until the end", f"{len(later)} calls")
    slowest = max((call["t"] - call["began"] for call in calls if call["ok"]), default=0)
    print(f"       the slowest answer took {slowest:.2f} s")


def long(hour, check, name, notes):
    for number in (1, 2):
        key = f"{name}-long-{number}"
        heard = [entry["progress"] for entry in notes if entry.get("call_of") == key]
        call = next((entry for entry in notes if entry.get("call") == key), None)
        answered = bool(call) and call["ok"]
        whole = heard == list(range(1, hour.count["to"] + 1))
        when = "before" if number == 1 else "after"
        figures = f"{len(heard)} of {hour.count['to']} notifications" + (f", {call['t'] - call['began']:.0f} s" if call else "")
        sentence = f"{name}: a long call {when} the restart tells all progress in order, and is answered"
        check(answered and whole, sentence, figures)
        if call and not answered:
            print(f"       {call['text'][:200]}")


def listen(check, name, notes, upstream, gone, back, ends):
    begun = next((entry["t"] for entry in notes if entry.get("listening")), float("inf"))
    changes = [entry for entry in upstream if "change" in entry and begun < entry["t"] < ends - 10]
    heard = [entry for entry in notes if "heard" in entry]
    missed, late = [], []
    for change in changes:
        # In 2026-07-28 a server tells nobody afterwards what changed while no stream was open.
        away = gone <= change["t"] <= back
        if away and name == "sdk2-new":
            continue
        first = min((entry["at"] for entry in heard if entry["heard"] >= change["change"]), default=None)
        if first is None:
            missed.append(change["change"])
        elif not away and first - change["t"] > HEARD_WITHIN:
            late.append(change["change"])
    figures = f"{len(changes)} changes, {len(heard)} times told, missed {missed}, late {late}"
    check(len(changes) >= 8 and not missed and not late, f"{name}: a listening client hears every change", figures)
    broken = [entry for entry in notes if "stream_ended" in entry or "stream_failed" in entry]
    check(not broken, f"{name}: its stream is one stream to the client", str(broken[:1]) if broken else "")


def victim(hour, check, name, notes, upstream):
    key = f"{name}-victim-1"
    call = next((entry for entry in notes if entry.get("call") == key), None)
    took = call["t"] - hour.revoked if call else None
    heard = [entry for entry in notes if entry.get("call_of") == key]
    cut = bool(call) and not call["ok"] and 0 <= took <= ENDED_WITHIN and bool(heard)
    figures = f"after {took:.2f} s and {len(heard)} notifications: {call['text'][:150]}" if call else "it never ended"
    check(cut, f"{name}: the client whose hop was revoked is told so within {ENDED_WITHIN} s", figures)
    cancelled = [entry for entry in upstream if entry.get("cancelled") == key]
    took = cancelled[0]["t"] - hour.revoked if cancelled else None
    finished = any(entry.get("finished") == key for entry in upstream)
    figures = f"after {took:.2f} s" if cancelled else "nothing was cancelled"
    check(cancelled and took <= ENDED_WITHIN and not finished, f"{name}: the server cancels the revoked call", figures)


def task(check, notes, gone):
    begun = next((entry for entry in notes if entry.get("operation") == "work"), None)
    result = next((entry for entry in notes if entry.get("operation") == "tasks:result"), None)
    good = begun and result and begun["t"] < gone < result["began"] and result["text"] == "worked sdk1-task-1"
    figures = f"{result['t'] - begun['t']:.0f} s later" if begun and result else str(notes[-1:])
    check(good, "sdk1: a task that was begun before the restart gives its result after it", figures)


def sessions(check, kinds, notes):
    """Nobody had to open a session again, and no bearer came through."""
    for server in ("old", "new"):
        entries = notes[f"upstream-{server}"]
        opened = sum(entry.get("method") == "initialize" for entry in entries)
        wanted = 4 * sum(kind[3] == server and kind[2] == "legacy" for kind in kinds) + (server == "old")
        check(opened == wanted, f"{server}: sessions were opened once, and never again", f"{opened} of {wanted}")
        tokens = sum(entry.get("token", False) for entry in entries)
        check(not tokens, f"{server}: no bearer reached the server", f"in {sum('request' in entry for entry in entries)} requests")


def streams(hour, check, old, new, back):
    gets = [entry for entry in old if entry.get("http") == "GET"]
    after = [entry for entry in gets if entry["after"] and entry["t"] > hour.windows[0][0]]
    figures = f"{len(gets)} in the hour, {sum(bool(entry['after']) for entry in gets)} with Last-Event-ID"
    check(len(after) >= 2, "old: after the restart streams are opened again with Last-Event-ID", figures)
    listens = [entry for entry in new if entry.get("method") == "subscriptions/listen"]
    again = [entry for entry in listens if entry["t"] > hour.windows[0][0]]
    check(len(again) >= 1, "new: after the restart the stream is opened again", f"{len(listens)} in the hour")


def records(hour, check, calls, notes, gone, back):
    lines = [json.loads(line) for line in hour.run("audit", "--store", "hour.store", "--json").splitlines()]
    decisions = [line for line in lines if line["event"] == "decision"]
    # Besides the clients' calls there is the one by which the hop was revoked.
    allowed = [line for line in decisions if line["decision"] == "allow" and line["operation"] != "hardtack:revoke"]
    # What may be unanswered fell into the restart: it has a record if the gateway still saw it, and not if not.
    lost = {call["call"] for call in calls if not call["ok"] and call["began"] >= gone - 15 and call["began"] <= back}
    counted = collections.Counter(line["operation"] for line in allowed if key_of(line) not in lost)
    wanted = collections.Counter()
    for call in calls:
        if call["call"] is None or call["call"] not in lost:
            wanted[call["operation"] if call["operation"].startswith("tasks:") else f"tools:call:{call['operation']}"] += 1
    figures = f"{sum(counted.values())} and {sum(wanted.values())}" + ("" if counted == wanted else f": {counted - wanted}, {wanted - counted}")
    check(counted == wanted, "there are as many allowed records as calls that clients made", figures)
    keys = collections.Counter(key_of(line) for line in allowed)
    twice = [key for key, number in keys.items() if key and number > 1]
    check(not twice, "no call has two records that allow it", str(twice[:5]) if twice else f"{len(keys)} keys")
    reached = {entry["call"] for entry in notes["upstream-old"] + notes["upstream-new"] if entry.get("method") == "tools/call"}
    check(not reached - set(keys), "no call reached a server without a record", f"{len(reached)} calls")
    cut = [line for line in decisions if line["cause"] == "revoked"]
    numbers = {line["sequence"] for line in allowed if key_of(line) and "-victim-" in key_of(line)}
    named = {number for number in numbers for line in cut if str(number) in line["message"]}
    figures = f"{len(cut)} records, such as: {cut[0]['message'][:160]}" if cut else "none"
    check(len(numbers) == 3 and named == numbers, "the records say which answers of the revoked hop were cut", figures)
    others = [line for line in decisions if line["decision"] != "allow" and line["cause"] != "revoked"]
    check(not others, "nothing else was refused", "; ".join(f"{line['cause']}: {line['message']}" for line in others[:3])[:300])
    presented(hour, check, decisions)
    for name, wanted in [("audit verify --store", "unchanged"), ("store check", "whole")]:
        code, said = hour.command(*name.split(), "hour.store")
        check(code == 0 and said.startswith(wanted), f"{name} passes", said)


def key_of(line):
    return (line.get("request", {}).get("arguments") or {}).get("key")


def presented(hour, check, decisions):
    """The agents made new presentations meanwhile, and from a grant that was renewed."""
    ids, grants = collections.defaultdict(set), set()
    for line in decisions:
        if line["decision"] == "allow" and [hop["delegate"] for hop in line["chain"]["hops"]] == ["agent.researcher"]:
            ids[line["chain"]["audience"]].add(line["chain"]["presentation_id"])
            grants.add(line["chain"]["grant_id"])
    least = max(1, int(hour.seconds * 0.99 / (RENEWED_AFTER + 30)))
    figures = ", ".join(f"{len(each)} at {audience}" for audience, each in ids.items())
    check(len(ids) == 2 and all(len(each) >= least for each in ids.values()), f"at least {least} presentations were used", figures)
    check(len(grants) == 2, "calls were made by the first grant and by the one that renewed it", f"{len(grants)} grants")


def measures(hour, check):
    for name in ["gateway", *hour.agents]:
        for part in (1, 2):
            if part == 1 and name != "gateway":
                continue
            # An agent is one process for the whole hour.
            early = hour.measured[name, "five minutes 2" if name == "gateway" and part == 2 else "five minutes 1"]
            late = hour.measured[name, f"end {part}"]
            of = f"{name}, {'before' if part == 1 else 'after'} the restart" if name == "gateway" else name
            figures = f"{early[0] / 1024:.1f} and {late[0] / 1024:.1f} MiB"
            check(late[0] <= early[0] * RSS_FACTOR, f"{of}: memory stays within {RSS_FACTOR} times that after five minutes", figures)
            files = f"{early[1]} and {late[1]}"
            check(late[1] <= early[1] + MORE_FILES, f"{of}: open files do not grow", files)


def ended(hour, check):
    check(hour.codes_of_first == 0, "the gateway that was restarted ended with 0", str(hour.codes_of_first))
    wrong = {name: code for name, code in hour.codes.items() if code != 0}
    running = [name for name in hour.clients if name not in hour.codes]
    check(not wrong and not running, "every process ended by itself and with 0", f"{wrong or ''} {running or ''}".strip())
