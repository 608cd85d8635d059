"""Upstreams that die, stall, forget, stream for long or lie: what arrives at the client, and how soon.

Each case is a function whose name is the fact; its argument is the `Place` in which it is tried, which is its own.
"""

import json
import time

import httpx

from report import expect
from wire import answer, events, messages, text


def a_call_during_which_the_upstream_dies_fails_soon(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era)
        began = time.monotonic()
        try:
            response = wire.call("die")
            outcome = f"HTTP {response.status_code} {response.text[:200]!r}"
            well = response.status_code < 400 and any("result" in message for message in messages(response))
        except httpx.HTTPError as error:
            outcome, well = repr(error), False
        took = time.monotonic() - began
        expect(not well, f"{era}: {outcome}")
        expect(took < 5, f"{era}: took {took:.1f} s: {outcome}")
        expect(place.gateway.alive(), "the gateway died, too")

        # While it is gone: an answer, soon.
        began = time.monotonic()
        response = wire.call("search", {"query": "x"})
        expect(
            response.status_code in (502, 503, 504),
            f"{era}, upstream gone: HTTP {response.status_code} {response.text[:200]!r}",
        )
        expect(time.monotonic() - began < 5, f"{era}, upstream gone: took {time.monotonic() - began:.1f} s")
        # A refusal needs no upstream in the era without sessions.
        if era == "new":
            expect(answer(wire.call("delete_page"))["result"]["isError"], "the refusal is not what it was")

        place.upstream = place.upstream.again()
        if era == "old":
            # The new process knows nothing of the session, and the client must hear that to begin anew.
            response = wire.call("search", {"query": "x"})
            expect(
                response.status_code == 404,
                f"a session that died with the upstream: HTTP {response.status_code} {response.text[:200]!r}",
            )
            wire.session = None
            wire.open()
        expect(text(wire.call("search", {"query": "x"})) == "found x", f"{era}: not well after the upstream's return")


def a_session_that_the_upstream_forgot_gets_404(place):
    wire = place.wire("researcher", "old")
    place.upstream = place.upstream.again()
    for attempt in range(2):
        response = wire.request("tools/list")
        expect(response.status_code == 404, f"attempt {attempt}: HTTP {response.status_code} {response.text[:200]!r}")


def an_answer_that_comes_late_still_comes(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era, seconds=place.late + 15)
        began = time.monotonic()
        expect(text(wire.call("stall", {"seconds": place.late})) == "answered late", era)
        expect(time.monotonic() - began >= place.late - 0.1, f"{era}: too early")


def others_are_served_while_one_waits(place):
    waiting, other = place.wire("researcher", "old"), place.wire("searcher", "old")
    params = {"name": "stall", "arguments": {"seconds": 2}}
    with waiting.stream("tools/call", params) as response:
        began = time.monotonic()
        expect(text(other.call("search", {"query": "x"})) == "found x", "another agent")
        expect(text(waiting_too(place, waiting).call("search", {"query": "y"})) == "found y", "the same session")
        expect(time.monotonic() - began < 1.5, f"took {time.monotonic() - began:.1f} s")
        list(events(response))


def waiting_too(place, waiting):
    """A second connection in the same session."""
    wire = place.wire("researcher", "old", open=False)
    wire.session = waiting.session
    return wire


def a_long_stream_is_not_cut(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era, seconds=30)
        arguments = {"to": place.long, "every": 1}
        params = {"name": "count", "arguments": arguments, "_meta": {"progressToken": "long"}}
        with wire.stream("tools/call", params) as response:
            came = [json.loads(event["data"]) for _, event in events(response, place.long + 20) if event.get("data")]
        numbers = [message["params"]["progress"] for message in came if "method" in message]
        expect(numbers == list(range(1, place.long + 1)), f"{era}: {numbers}")
        expect("result" in came[-1], f"{era}: the last message is {came[-1]}")


def an_open_session_stream_lives(place):
    wire = place.wire("researcher", "old")
    with wire.get() as response:
        expect(response.status_code == 200, f"HTTP {response.status_code}")
        expect(response.headers["content-type"].startswith("text/event-stream"), response.headers["content-type"])
        expect(text(wire.call("search", {"query": "x"})) == "found x", "a call beside it")


CASES = [
    an_answer_that_comes_late_still_comes,
    others_are_served_while_one_waits,
    a_long_stream_is_not_cut,
    an_open_session_stream_lives,
    a_session_that_the_upstream_forgot_gets_404,
    a_call_during_which_the_upstream_dies_fails_soon,
]


# The liar.

SOUND = ["json", "more_pages", "upper", "event", "no_space", "split", "crlf", "cr", "byte_by_byte", "escaped_result"]
UNSOUND = ["bom", "bom_event", "html", "no_type", "gzip", "twice", "escaped", "array", "garbage", "two_answers"]
UNSOUND += ["unfinished", "redirect", "bad_utf8", "bad_utf8_event", "surrogate", "surrogate_event"]
UNSOUND += ["infinite", "infinite_event", "deep", "deep_event", "array_event"]


def a_list_in_any_sound_form_is_filtered(place):
    wrong = []
    for era in ("old", "new"):
        wire = place.wire("searcher", era, seconds=10)
        for form in SOUND:
            response = wire.request("tools/list", {"cursor": form})
            names = [tool["name"] for tool in read_as_a_client(response)["result"]["tools"]]
            if names != ["search"]:
                wrong.append(f"{era}, {form}: {names}")
    expect(not wrong, "; ".join(wrong))


def read_as_a_client(response):
    """Like `answer`, but with the line ends that the standard for events allows."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        lines = response.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        return json.loads(data)
    return answer(response)


def a_list_in_no_unsound_form_passes_whole(place):
    wrong = []
    for era in ("old", "new"):
        wire = place.wire("searcher", era, seconds=5)
        for form in UNSOUND:
            try:
                response = wire.request("tools/list", {"cursor": form})
            except httpx.TimeoutException:
                wrong.append(f"{era}, {form}: no answer in 5 s")
                continue
            except httpx.HTTPError:
                continue  # Cut off, and nothing shown.
            # What is no JSON at all nobody can read, so there it is enough that nobody hangs.
            if form != "garbage" and "delete_page" in response.text.replace("\\u005f", "_"):
                wrong.append(f"{era}, {form}: HTTP {response.status_code} {response.text[:60]!r}…")
            if response.status_code // 100 == 3:
                wrong.append(f"{era}, {form}: sent on to {response.headers.get('location')}")
    elsewhere = [entry for entry in place.upstream.requests() if entry["path"] != "/mcp"]
    expect(not elsewhere, f"the redirection was followed: {elsewhere}")
    expect(not wrong, "; ".join(wrong))


def a_broken_answer_ends_the_call(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era, seconds=5)
        expect(text(wire.call("liar")) == "well", f"{era}: a sound answer")
        for how in ("half", "half_events", "nothing"):
            try:
                response = wire.call("liar", {"how": how})
            except httpx.TimeoutException:
                raise AssertionError(f"{era}, {how}: no end in 5 s") from None
            except httpx.HTTPError:
                continue  # Cut off, as the upstream did.
            expect("result" not in response.text, f"{era}, {how}: {response.text[:200]!r}")
        expect(text(wire.call("liar")) == "well", f"{era}: a sound answer afterwards")


LIAR_CASES = [
    a_list_in_any_sound_form_is_filtered,
    a_list_in_no_unsound_form_passes_whole,
    a_broken_answer_ends_the_call,
]


def revocation_reaches_the_gateway_at_once(place):
    """Asked of the gateway itself, by who delegated; an open stream ends, too."""
    tokens = place.tokens
    wire = place.wire("reader", "old")
    wire.call("search", {"query": "x"})
    (tokens.folder / "proof.token").write_text(tokens.capabilities["reader"])
    said = json.loads(tokens.run(["inspect", "--json"], tokens.capabilities["reader"]))
    (tokens.folder / "grant.token").write_text(tokens.grant)
    at = place.url.removesuffix("/mcp")
    with wire.get() as response:
        expect(response.status_code == 200, f"the session's stream: HTTP {response.status_code}")
        revoke = ["revoke", "--at", at, "--audience", "notion.mcp/hardtack", "--key", "orchestrator.key"]
        revoke += ["--capability", "grant.token", "--proof", "proof.token", "--id", last_id(said), "--reason", "test"]
        tokens.run(revoke)
        began = time.monotonic()
        refused = wire.call("search", {"query": "x"})
        expect(refused.status_code == 401, f"HTTP {refused.status_code} {refused.text[:200]!r}")
        try:
            list(events(response, 10))
        except httpx.HTTPError:
            pass
        expect(time.monotonic() - began < 8, f"the open stream still lived {time.monotonic() - began:.0f} s later")
    fresh = place.wire("reader", "old", open=False).call("search", {"query": "x"})
    expect(fresh.status_code == 401, f"a fresh token of the same agent: HTTP {fresh.status_code}")
    place.wire("searcher", "old")  # Others are not concerned.


def last_id(inspected):
    """The id of the last hop in what `inspect --json` says."""
    return inspected["hops"][-1]["revocation_id"]
