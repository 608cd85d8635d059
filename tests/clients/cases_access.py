"""By hand, what no official client sends: bad tokens, other people's sessions, messages that say two things at once.

Each case is a function whose name is the fact; its argument is the `Place` in which it is tried.
"""

import gzip
import json
import socket
import time
from urllib.parse import urlsplit

import httpx

from report import expect
from wire import BOTH, OLD, Wire, answer, events, split, text

REFUSED = "tools:call:delete_page"


def reached(place):
    """How many requests reached the upstream so far."""
    return len(place.upstream.requests())


def refused_at_the_door(place, wire, method="POST", **more):
    before = reached(place)
    body = wire.message("tools/call", {"name": "search", "arguments": {"query": "x"}})
    response = (
        wire.send(body, method=method, **more)
        if method == "POST"
        else wire.http.request(method, wire.url, headers=wire.headers())
    )
    expect(response.status_code == 401, f"{method}: HTTP {response.status_code} {response.text[:200]!r} instead of 401")
    challenge = response.headers.get("www-authenticate", "")
    expect(challenge.startswith("Bearer"), f"{method}: WWW-Authenticate is {challenge!r}")
    expect(reached(place) == before, f"{method}: the request reached the upstream")
    return challenge


def without_a_token_every_method_gets_401(place):
    for method in ("POST", "GET", "DELETE"):
        refused_at_the_door(place, Wire(place.url, None), method)


def a_bad_token_gets_401_invalid_token(place):
    expired = place.tokens.bearer("researcher", "--ttl", "1s")
    bad = {
        "garbage": "bm9ib2R5",
        "another audience's": place.tokens.bearer("researcher", audience="other.mcp"),
        "a capability that was not presented": place.tokens.capabilities["researcher"].strip(),
        "one with a byte changed": flipped(place.tokens.bearer("researcher")),
        "another root's": place.strangers.bearer("researcher"),
    }
    time.sleep(1.5)
    bad["an expired one"] = expired
    for name, bearer in bad.items():
        challenge = refused_at_the_door(place, Wire(place.url, bearer))
        expect('error="invalid_token"' in challenge, f"{name}: WWW-Authenticate is {challenge!r}")


def flipped(bearer):
    middle = len(bearer) // 2
    return bearer[:middle] + ("A" if bearer[middle] != "A" else "B") + bearer[middle + 1 :]


def a_token_in_the_query_string_does_not_count(place):
    before = reached(place)
    wire = Wire(f"{place.url}?access_token={place.tokens.bearer('researcher')}", None)
    response = wire.call("search", {"query": "x"})
    # 401 for the token that is missing, or 400 (RFC 6750, 3.1) for the one that is where it must not be.
    expect(response.status_code in (400, 401), f"HTTP {response.status_code} {response.text[:200]!r}")
    expect(reached(place) == before, "the request reached the upstream")


def a_refused_call_echoes_its_id_and_type(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era)
        for id in (7, "seven", "7"):
            response = wire.call("delete_page", {"id": "1"}, id=id)
            expect(response.status_code == 200, f"{era}: HTTP {response.status_code} {response.text[:200]!r}")
            said = answer(response)
            expect(
                said["id"] == id and type(said["id"]) is type(id), f"{era}: id {id!r} was answered with {said['id']!r}"
            )
            expect(said["result"]["isError"] is True, f"{era}: {said}")
            expect(REFUSED in said["result"]["content"][0]["text"], f"{era}: the right is not named: {said}")


def a_method_without_the_right_is_a_json_rpc_error(place):
    for era in ("old", "new"):
        wire = place.wire("searcher", era)
        before = reached(place)
        asked = [
            ("resources/read", {"uri": "https://notion.example/roadmap"}),
            ("prompts/get", {"name": "brief"}),
        ]
        if era == "old":
            asked.append(("resources/subscribe", {"uri": "https://notion.example/roadmap"}))
        for method, params in asked:
            response = wire.request(method, params, id="mine")
            said = answer(response)
            expect(
                response.status_code == 200 and "error" in said, f"{era} {method}: HTTP {response.status_code} {said}"
            )
            expect(said["id"] == "mine", f"{era} {method}: id is {said['id']!r}")
        expect(reached(place) == before, f"{era}: a refused request reached the upstream")


def lists_show_what_the_token_may_use(place):
    for era in ("old", "new"):
        wire = place.wire("searcher", era)
        tools = [tool["name"] for tool in answer(wire.request("tools/list"))["result"]["tools"]]
        expect(tools == ["search"], f"{era}: tools {tools}")
        for kind in ("resources", "prompts"):
            said = answer(wire.request(f"{kind}/list"))
            # An empty list or a refusal: both show nothing.
            expect(not said.get("result", {}).get(kind), f"{era}: {kind} {said}")
        reader = place.wire("reader", era)
        uris = [item["uri"] for item in answer(reader.request("resources/list"))["result"]["resources"]]
        expect(uris == ["https://notion.example/roadmap"], f"{era}: a token for one page lists {uris}")
        read = answer(reader.request("resources/read", {"uri": "https://notion.example/roadmap"}))
        expect("result" in read, f"{era}: the one page cannot be read: {read}")
        other = answer(reader.request("resources/read", {"uri": "https://notion.example/salaries"}))
        expect("error" in other, f"{era}: another page can be read: {other}")


def a_filtered_list_is_private(place):
    result = answer(place.wire("searcher", "new").request("tools/list"))["result"]
    expect(result.get("cacheScope") == "private", f"cacheScope is {result.get('cacheScope')!r}")
    expect(result.get("ttlMs", 0) <= 600_000, f"ttlMs is {result.get('ttlMs')}, longer than the token lives")


def an_unknown_session_gets_404(place):
    wire = place.wire("researcher", "old")
    wire.session = "00000000000000000000000000000000"
    response = wire.request("tools/list")
    expect(response.status_code == 404, f"HTTP {response.status_code} {response.text[:200]!r}")


def a_session_belongs_to_who_opened_it(place):
    owner = place.wire("researcher", "old")
    before = reached(place)
    for thief in (
        place.wire("searcher", "old", open=False),
        place.wire("researcher", "old", open=False, tokens=place.others),
    ):
        thief.session = owner.session
        for response in (
            thief.request("tools/list"),
            thief.call("search", {"query": "x"}),
            thief.http.request("DELETE", thief.url, headers=thief.headers()),
        ):
            expect(response.status_code == 404, f"HTTP {response.status_code} {response.text[:200]!r} instead of 404")
        with thief.get() as response:
            expect(response.status_code == 404, f"GET: HTTP {response.status_code} instead of 404")
    expect(reached(place) == before, "another agent's request reached the upstream")
    expect(text(owner.call("search", {"query": "x"})) == "found x", "the owner lost its session")
    # The same agent with a fresh presentation is still the opener: tokens live shorter than sessions.
    renewed = place.wire("researcher", "old", open=False)
    renewed.session = owner.session
    response = renewed.call("search", {"query": "y"})
    expect(
        response.status_code == 200,
        f"the opener with a fresh token: HTTP {response.status_code} {response.text[:200]!r}",
    )


def an_ended_session_gets_404(place):
    wire = place.wire("researcher", "old")
    gone = wire.http.request("DELETE", wire.url, headers=wire.headers())
    expect(gone.status_code in (200, 204), f"DELETE: HTTP {gone.status_code}")
    response = wire.request("tools/list")
    expect(response.status_code == 404, f"HTTP {response.status_code} {response.text[:200]!r}")


def a_refusal_that_ends_the_connection_says_so(place):
    # Clients send headers and body in two pieces. Who answers after the first and then hangs up without
    # "Connection: close" makes the client's next request fail, which it sends over the same connection.
    address = urlsplit(place.url)
    bearer = place.tokens.bearer("searcher")
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'
    unknown = f"Authorization: Bearer {bearer}\r\nMcp-Session-Id: {'0' * 32}\r\n"
    for name, more in (("a bad token", "Authorization: Bearer bm9ib2R5\r\n"), ("an unknown session", unknown)):
        head = f"POST /mcp HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
        head += f"Accept: {BOTH}\r\nMCP-Protocol-Version: {OLD}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
        with socket.create_connection((address.hostname, address.port), 5) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for _ in range(2):
                    connection.sendall(head.encode())
                    time.sleep(0.3)
                    connection.sendall(body)
                    time.sleep(0.1)
                    received = connection.recv(65536)
                    expect(received.startswith(b"HTTP/1.1 4"), f"{name}: {received[:100]!r}")
                    if b"connection: close" in received.lower():
                        break
            except OSError as error:
                raise AssertionError(f"{name}: answered, and hung up without saying so: {error}") from None


def a_batch_cannot_carry_a_refused_call(place):
    wire = place.wire("researcher", "old")
    allowed = wire.message("tools/call", {"name": "search", "arguments": {"query": "x"}})
    refused = wire.message("tools/call", {"name": "delete_page", "arguments": {"id": "batch"}})
    response = wire.send([allowed, refused])
    expect(400 <= response.status_code < 500, f"HTTP {response.status_code} {response.text[:200]!r}")


def what_can_be_read_two_ways_is_refused(place):
    wire = place.wire("researcher", "old")
    before = reached(place)
    whole = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%s}'
    search, delete = '"name":"search"', '"name":"delete_page"'
    bodies = {
        "two names": whole % ("{" + f'{search},{delete},"arguments":{{}}' + "}"),
        "two names, one escaped": whole % ("{" + f'{search},"n\\u0061me":"delete_page","arguments":{{}}' + "}"),
        "two params": (whole % ("{" + search + "}"))[:-1] + ',"params":{' + delete + "}}",
        "two methods": '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{' + delete + "}}",
        "something after the end": (whole % ("{" + search + "}")) + (whole % ("{" + delete + "}")),
        "a byte order mark": "\ufeff" + whole % ("{" + search + "}"),
        "UTF-16": (whole % ("{" + search + "}")).encode("utf-16"),
        "a name that is no text": whole % '{"name":["search"],"arguments":{}}',
        "no name": whole % '{"arguments":{}}',
        "arguments that are no object": whole % ("{" + f'{search},"arguments":["x"]' + "}"),
        "nothing": "",
        "no JSON": "tools/call",
    }
    for name, body in bodies.items():
        response = wire.send(body if isinstance(body, bytes) else body.encode())
        done = response.status_code >= 400 or "error" in answer(response) or answer(response)["result"].get("isError")
        expect(done, f"{name}: HTTP {response.status_code} {response.text[:200]!r}")
    packed = gzip.compress(json.dumps(wire.message("tools/call", {"name": "delete_page"})).encode())
    response = wire.send(packed, headers={"Content-Encoding": "gzip"})
    expect(400 <= response.status_code < 500, f"gzip: HTTP {response.status_code} {response.text[:200]!r}")
    expect(reached(place) == before, f"reached the upstream: {place.upstream.requests()[before:]}")


def a_call_without_an_id_is_still_judged(place):
    wire = place.wire("researcher", "old")
    wire.send({"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "delete_page", "arguments": {"id": "1"}}})
    seen = [entry["name"] for entry in place.upstream.requests() if entry.get("method") == "tools/call"]
    expect("delete_page" not in seen, "it reached the upstream")


def headers_must_say_what_the_body_says(place):
    wire = place.wire("researcher", "new")
    before = reached(place)
    params = {"name": "search", "arguments": {"query": "x"}}
    lies = [
        {"Mcp-Name": "delete_page"},
        {"Mcp-Method": "ping"},
        {"Mcp-Name": "=?base64?ZGVsZXRlX3BhZ2U=?="},
    ]
    for lie in lies:
        response = wire.request("tools/call", params, headers=lie)
        expect(response.status_code == 400, f"{lie}: HTTP {response.status_code} {response.text[:200]!r}")
        expect(answer(response)["error"]["code"] == -32020, f"{lie}: {response.text[:200]!r}")
    expect(reached(place) == before, "a request whose headers lie reached the upstream")
    # An encoded name that says the same is no lie.
    response = wire.request("tools/call", params, headers={"Mcp-Name": "=?base64?c2VhcmNo?="})
    expect(text(response) == "found x", f"an encoded name: HTTP {response.status_code} {response.text[:200]!r}")


def foreign_pages_and_hosts_are_refused(place):
    wire = place.wire("researcher", "old")
    before = reached(place)
    for header in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        response = wire.request("tools/list", headers=header)
        expect(response.status_code in (400, 403, 421), f"{header}: HTTP {response.status_code}")
    expect(reached(place) == before, "the request reached the upstream")


def other_paths_are_not_passed_on(place):
    before = reached(place)
    base = place.url.removesuffix("/mcp")
    paths = ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp", "/register", "/"]
    paths += ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/mcp/../admin"]
    for path in paths:
        response = httpx.get(base + path, timeout=5, trust_env=False)
        expect(response.status_code in (200, 401, 404, 405), f"{path}: HTTP {response.status_code}")
    expect(reached(place) == before, f"reached the upstream: {place.upstream.requests()[before:]}")


def a_large_body_is_refused_and_no_harm_done(place):
    wire = place.wire("researcher", "old")
    try:
        response = wire.call("search", {"query": "x" * 20_000_000})
        expect(400 <= response.status_code < 500, f"HTTP {response.status_code}")
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        pass  # Hanging up before all of it has come is an answer, too.
    expect(text(wire.call("search", {"query": "x"})) == "found x", "the session is lost")


def unknown_methods_are_not_forbidden(place):
    # With a 403 for server/discover some clients fail to connect at all.
    for era in ("old", "new"):
        response = place.wire("researcher", era).request("no/such")
        expect(response.status_code in (200, 404), f"{era}: HTTP {response.status_code} {response.text[:200]!r}")
        expect(answer(response)["error"]["code"] == -32601, f"{era}: {response.text[:200]!r}")


def progress_is_passed_on_as_it_comes(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era)
        params = {"name": "count", "arguments": {"to": 4, "every": 0.3}, "_meta": {"progressToken": "p"}}
        with wire.stream("tools/call", params) as response:
            came = [moment for moment, event in events(response) if "progress" in event.get("data", "")]
        expect(len(came) == 4, f"{era}: {len(came)} of 4 came")
        expect(came[-1] - came[0] > 0.6, f"{era}: all came within {came[-1] - came[0]:.2f} s, so they were held back")


def events_keep_their_ids_and_a_stream_can_be_resumed(place):
    wire = place.wire("researcher", "old")
    params = {"name": "cut", "arguments": {"to": 4}, "_meta": {"progressToken": "p"}}
    with wire.stream("tools/call", params, id="cut") as response:
        first = [event for _, event in events(response)]
    expect(first and first[0].get("data", "") == "" and first[0].get("id"), f"no priming event with an id: {first}")
    expect(first[0].get("retry") == "200", f"retry is {first[0].get('retry')!r} instead of 200")
    last = [event["id"] for event in first if "id" in event][-1]
    expect(
        not any('"result"' in event.get("data", "") for event in first),
        "the upstream did not hang up, so this shows nothing",
    )
    thief = place.wire("searcher", "old", open=False)
    thief.session = wire.session
    with thief.get({"Last-Event-ID": last}) as response:
        expect(response.status_code == 404, f"another agent resumes it: HTTP {response.status_code}")
    rest = []
    with wire.get({"Last-Event-ID": last}) as response:
        expect(response.status_code == 200, f"resuming: HTTP {response.status_code}")
        for _, event in events(response, 10):
            rest.append(event.get("data", ""))
            if '"result"' in rest[-1]:
                break
    said = json.loads(rest[-1])
    expect(said["id"] == "cut" and said["result"]["content"][0]["text"] == "counted to 4", f"the result is {said}")
    expect(sum("progress" in data for data in rest) == 3, f"3 numbers were still to come: {rest}")


def a_list_that_is_resumed_is_filtered(place):
    wire = place.wire("searcher", "old")
    for method, shown in (("tools/list", "delete_page"), ("resources/list", "roadmap"), ("prompts/list", "brief")):
        ids = [event["id"] for event in split(wire.request(method).text) if "id" in event]
        with wire.get({"Last-Event-ID": ids[0]}) as response:
            expect(response.status_code == 200, f"{method}: HTTP {response.status_code}")
            result = next(
                (event["data"] for _, event in events(response, 5) if '"result"' in event.get("data", "")), None
            )
        expect(result is not None, f"{method}: the result did not come again")
        expect(shown not in result, f"{method}: {result}")


def hanging_up_cancels_in_the_new_era(place):
    wire = place.wire("researcher", "new")
    params = {"name": "count", "arguments": {"to": 100}, "_meta": {"progressToken": "hang up"}}
    with wire.stream("tools/call", params) as response:
        next(events(response))
    end = time.monotonic() + 5
    while time.monotonic() < end:
        log = place.upstream.log()
        mine = [entry["request"] for entry in log if '"hang up"' in entry.get("body", "")]
        if any(entry.get("ended") in mine and entry["hung_up"] for entry in log):
            return
        time.sleep(0.1)
    raise AssertionError("5 s after the client hung up, the upstream is still at work")


def subscriptions_are_streamed_and_end_with_the_token(place):
    wire = Wire(place.url, place.tokens.bearer("researcher", "--ttl", "3s"), "new")
    began = time.monotonic()
    params = {"notifications": {"toolsListChanged": True}}
    with wire.stream("subscriptions/listen", params) as response:
        expect(response.status_code == 200, f"HTTP {response.status_code}")
        stream = events(response, 15)
        moment, event = next(stream)
        expect(moment - began < 2, f"the acknowledgement came after {moment - began:.1f} s")
        expect("acknowledged" in event.get("data", ""), f"the first event is {event}")
        try:
            for _ in stream:
                pass
        except httpx.HTTPError:
            pass
    lived = time.monotonic() - began
    expect(2 < lived < 10, f"the stream of a token for 3 s lived {lived:.1f} s")


def a_token_for_one_call_is_good_once(place):
    call = json.dumps({"operation": "tools:call:search", "arguments": {"query": "once"}})
    wire = Wire(place.url, place.tokens.bearer("researcher", "--call", call), "new")
    other = wire.call("search", {"query": "other"})
    expect("found" not in other.text, f"another call passed: {other.text[:200]!r}")
    first = wire.call("search", {"query": "once"})
    expect("found once" in first.text, f"the call itself: HTTP {first.status_code} {first.text[:200]!r}")
    again = wire.call("search", {"query": "once"})
    expect("found" not in again.text, f"the same call passed twice: {again.text[:200]!r}")


def a_policy_refuses_by_argument(place):
    for era in ("old", "new"):
        wire = place.wire("researcher", era)
        before = reached(place)
        refused = answer(wire.call("search", {"query": "forbidden"}))["result"]
        expect(refused.get("isError") is True, f"{era}: {refused}")
        expect(reached(place) == before, f"{era}: the call reached the upstream")
        expect(text(wire.call("search", {"query": "x"})) == "found x", f"{era}: another argument")


def a_list_leaves_out_what_a_policy_never_allows(place):
    for era in ("old", "new"):
        tools = [
            tool["name"] for tool in answer(place.wire("researcher", era).request("tools/list"))["result"]["tools"]
        ]
        expect("search" in tools and "count" not in tools, f"{era}: {tools}")


CASES = [
    without_a_token_every_method_gets_401,
    a_bad_token_gets_401_invalid_token,
    a_token_in_the_query_string_does_not_count,
    a_refused_call_echoes_its_id_and_type,
    a_method_without_the_right_is_a_json_rpc_error,
    lists_show_what_the_token_may_use,
    a_filtered_list_is_private,
    an_unknown_session_gets_404,
    a_session_belongs_to_who_opened_it,
    an_ended_session_gets_404,
    a_refusal_that_ends_the_connection_says_so,
    a_batch_cannot_carry_a_refused_call,
    what_can_be_read_two_ways_is_refused,
    a_call_without_an_id_is_still_judged,
    headers_must_say_what_the_body_says,
    foreign_pages_and_hosts_are_refused,
    other_paths_are_not_passed_on,
    a_large_body_is_refused_and_no_harm_done,
    unknown_methods_are_not_forbidden,
    progress_is_passed_on_as_it_comes,
    events_keep_their_ids_and_a_stream_can_be_resumed,
    a_list_that_is_resumed_is_filtered,
    hanging_up_cancels_in_the_new_era,
    subscriptions_are_streamed_and_end_with_the_token,
    a_token_for_one_call_is_good_once,
]
