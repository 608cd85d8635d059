"""The cases: tokens of both sides, and the calls that are asked about each."""

import dataclasses

import plain
from plain import Request

# What is asked of most tokens: some of it is allowed, some is not.
CALLS = [
    Request(),
    Request(arguments={"query": "roadmap", "limit": 10}),
    Request(resource="https://notion.so/page"),
    Request(after=240),
    Request(after=3700),
    Request(audience="mail.mcp"),
    Request("tools:call:fetch"),
    Request("tools:call:searches"),
    Request("resources:read"),
]

# Checks that a delegator may add, and calls of the tool `search` with these arguments.
CHECKS = [
    ('check all arg("amount", $a), $a <= 100;', [{"amount": 100}, {"amount": 101}, {"amount": "100"}, {}]),
    ('reject if arg("amount", $a), $a > 100;', [{"amount": 100}, {"amount": 101}, {}]),
    ('check all arg("to", $to), {"bob", "carol"}.contains($to);', [{"to": "bob"}, {"to": "dan"}, {"to": 1}, {}]),
    ('check all arg("to", $to), $to.ends_with("@example.com");', [{"to": "b@example.com"}, {"to": "b@example.org"}]),
    ('check all arg($name, $value), {"a", "b"}.contains($name);', [{"a": 1}, {"a": 1, "b": 2}, {"c": 3}]),
    ('check if arg("a", 1) or arg("b", 1);', [{"a": 1}, {"b": 1}, {"a": 2, "b": 2}]),
    ('reject if arg("a", 1) or arg("b", 1);', [{"a": 1, "b": 1}, {"a": 2, "b": 2}]),
    ('check all arg("ids", $ids), $ids.all($id -> $id > 0);', [{"ids": [1, 2]}, {"ids": [0]}, {"ids": []}, {"ids": 1}]),
    ('check all arg("ids", $ids), $ids.length() <= 2;', [{"ids": [1, 2]}, {"ids": [1, 2, 3]}]),
    ('check all arg("on", $on), $on;', [{"on": True}, {"on": False}, {"on": 1}]),
    ('check all arg("to", $to), $to.get("host") == "a.example";', [{"to": {"host": "a.example"}}, {"to": {"host": "b"}}]),
    ('check all arg("n", $n), $n.type() == "integer" && $n > 3;', [{"n": 4}, {"n": 3}, {"n": "x"}]),
    ('check all arg("p", $p), $p.extern::hardtack_path("/srv/data");', [{"p": "/srv/data/a"}, {"p": "/etc"}, {"p": "a"}]),
    ('check if role("editor");', [{}]),
    ('check if role("admin");', [{}]),
    ('check if tool("search"), depth(1);', [{}]),
    ('check if 1 / 0 > 0;', [{}]),
]

# The same by our own words, and calls.
CONSTRAINTS = [
    ("amount <= 100", [{"amount": 100}, {"amount": 101}, {"amount": "100"}, {}]),
    ("limit? <= 50", [{"limit": 50}, {"limit": 51}, {}]),
    ("mode == read", [{"mode": "read"}, {"mode": "write"}, {"mode": 1}]),
    ('currency in ["EUR", "CHF"]', [{"currency": "EUR"}, {"currency": "USD"}, {}]),
    ("path within /srv/data", [{"path": "/srv/data/a"}, {"path": "/srv/database"}, {"path": 1}]),
    ("no other arguments", [{}, {"a": 1}]),
]


@dataclasses.dataclass
class Case:
    """A token, and what is asked about it."""

    kind: str
    title: str
    bearer: str
    requests: list
    # How our verifier is told what the other need not be.
    options: tuple = ()


class Cast:
    def __init__(self, ours, now):
        self.ours = ours
        self.now = now
        for name in ["root", "orchestrator", "researcher", "helper", "thief", "stranger"]:
            setattr(self, name, ours.key(name))

    # Python's side, with this moment and root.
    def mint(self, holder=None, **more):
        return plain.mint(self.root, self.now, holder or self.orchestrator, **more)

    def delegate(self, token, signer, agent="agent.researcher", holder=None, **more):
        return plain.delegate(token, self.root, self.now, signer, agent, holder or self.researcher, **more)

    def present(self, token, signer, **more):
        return plain.present(token, self.root, self.now, signer, **more)

    def chain(self, **hop):
        """Grant, the researcher's hop, a session presentation, all by Python."""
        return self.present(self.delegate(self.mint(), self.orchestrator, **hop), self.researcher)


def with_arguments(calls):
    return [Request(arguments=arguments) for arguments in calls]


def by_python(cast):
    """Python makes the whole token."""
    holders = [cast.orchestrator, cast.researcher, cast.helper, cast.thief, cast.stranger]

    def case(title, bearer, requests=CALLS, **more):
        return Case("made by Python", title, bearer, requests, **more)

    yield case("a grant, presented", cast.present(cast.mint(), cast.orchestrator))
    for hops in range(1, 5):
        token = cast.mint()
        for hop in range(hops):
            token = cast.delegate(token, holders[hop], f"agent.{hop}", holders[hop + 1], scopes=["tools:call:search", "tools:call:fetch"])
        yield case(f"{hops} hops", cast.present(token, holders[hops]))
    yield case("without parents", cast.present(cast.delegate(cast.mint(), cast.orchestrator, parent=False), cast.researcher, parent=False))
    wide = cast.mint(scopes=["tools:call:search", "resources:read"], audiences=["notion.mcp", "mail.mcp"])
    hop = cast.delegate(wide, cast.orchestrator, scopes=["resources:read"])
    yield case("two scopes and audiences", cast.present(wide, cast.orchestrator))
    yield case("one of two scopes", cast.present(hop, cast.researcher))
    yield case("the other audience", cast.present(hop, cast.researcher, audience="mail.mcp"))
    for call in [Request(), Request(arguments={"limit": 10, "query": "roadmap"}), Request(resource="https://notion.so/page")]:
        token = cast.delegate(cast.mint(), cast.orchestrator)
        yield case(f"for one call: {call}", cast.present(token, cast.researcher, call=call))
    for check, calls in CHECKS:
        yield case(f"in a hop: {check}", cast.present(cast.delegate(cast.mint(more='role("editor");'), cast.orchestrator, more=check), cast.researcher), with_arguments(calls))
    for check, calls in CHECKS[:4]:
        token = plain.append(cast.delegate(cast.mint(), cast.orchestrator), cast.root, check, None)
        yield case(f"in a caveat: {check}", cast.present(token, cast.researcher), with_arguments(calls))
        token = cast.delegate(cast.mint(more=check), cast.orchestrator)
        yield case(f"in the grant: {check}", cast.present(token, cast.researcher), with_arguments(calls))
    unbound = plain.mint(cast.root, cast.now, None)
    block = f'hop(1); presentation("session"); audience("notion.mcp"); expires({plain.moment(cast.now + 300)});'
    block += plain.narrowing(1, ["*"], ["notion.mcp"], cast.now + 300, None)
    yield case("unbound, and tolerated", plain.append(unbound, cast.root, block, None), options=("--accept-unbound-hops",))


def by_hardtack(cast):
    """Our command makes the whole token."""
    ours = cast.ours

    def case(title, bearer, requests=CALLS, **more):
        return Case("made by Hardtack", title, bearer, requests, **more)

    def seed(**hop):
        return ours.delegate(ours.mint(cast.root, cast.orchestrator, facts=['role("editor")']), cast.orchestrator, "agent.researcher", cast.researcher, **hop)

    yield case("a grant, presented", ours.present(ours.mint(cast.root, cast.orchestrator), cast.orchestrator))
    yield case("one hop", ours.present(seed(), cast.researcher))
    back = ours.delegate(seed(), cast.researcher, "agent.orchestrator", cast.orchestrator)
    yield case("a hop back", ours.present(back, cast.orchestrator))
    deep = ours.delegate(back, cast.orchestrator, "agent.helper", cast.helper)
    yield case("three hops", ours.present(deep, cast.helper))
    yield case("the audience of a hop", ours.present(seed(audiences=["mail.mcp"]), cast.researcher, audience="mail.mcp"))
    many = [f"tools:call:t{number}" for number in range(40)] + ["tools:call:search", "resources:read"]
    yield case("many scopes", ours.present(ours.mint(cast.root, cast.orchestrator, scopes=many), cast.orchestrator))
    for call in [Request(), Request(arguments={"limit": 10, "query": "roadmap"}), Request(resource="https://notion.so/page")]:
        yield case(f"for one call: {call}", ours.present(seed(), cast.researcher, call=call))
    for constraint, calls in CONSTRAINTS:
        yield case(f"a constraint: {constraint}", ours.present(seed(allow=[constraint]), cast.researcher), with_arguments(calls))
    for check, calls in CHECKS:
        check = check.removesuffix(";")
        yield case(f"a check: {check}", ours.present(seed(checks=[check]), cast.researcher), with_arguments(calls))
    unbound = ours.present(ours.mint(cast.root, None), None)
    yield case("unbound, and tolerated", unbound, options=("--accept-unbound-hops",))


def by_both(cast):
    """One side goes on with what the other made."""
    ours = cast.ours

    def case(title, bearer):
        return Case("made by both", title, bearer, CALLS)

    for number in range(1, 7):
        # Which of the three steps are Python's: neither all nor none.
        mints, delegates, presents = (bool(number >> step & 1) for step in range(3))
        token = cast.mint() if mints else ours.mint(cast.root, cast.orchestrator)
        token = cast.delegate(token, cast.orchestrator) if delegates else ours.delegate(token, cast.orchestrator, "agent.researcher", cast.researcher)
        if presents:
            bearer = cast.present(token, cast.researcher)
        else:
            bearer = ours.present(token, cast.researcher)
        said = ", ".join("Python" if python else "Hardtack" for python in (mints, delegates, presents))
        yield case(f"grant, hop, presentation by {said}", bearer)


def attacks(cast):
    """What both refuse, whatever is asked."""
    asked = [Request(), Request(arguments={"limit": 1}), Request("tools:call:fetch")]

    def case(title, bearer):
        return Case("attacks", title, bearer, asked)

    hop = cast.delegate(cast.mint(), cast.orchestrator)
    bearer = cast.present(hop, cast.researcher)
    yield case("a hop that a thief signs", cast.present(cast.delegate(cast.mint(), cast.thief), cast.researcher))
    yield case("a presentation that a thief signs", cast.present(hop, cast.thief))
    yield case("a stolen capability", hop)
    yield case("a stolen grant", cast.mint())
    yield case("a presentation that nobody signs", plain.append(hop, cast.root, 'hop(2); presentation("session")', None))
    yield case("another root", plain.present(plain.mint(cast.thief, cast.now, cast.thief), cast.thief, cast.now, cast.thief))
    yield case("expired", cast.present(hop, cast.researcher, life=0))
    yield case("a hop that expired", cast.present(cast.delegate(cast.mint(), cast.orchestrator, life=0), cast.researcher))
    yield case("more hops than granted", cast.present(cast.delegate(cast.mint(depth=0), cast.orchestrator), cast.researcher))
    yield case("a hop of what the grant has not", cast.present(cast.delegate(cast.mint(scopes=["resources:read"]), cast.orchestrator), cast.researcher))
    yield case("for another server", cast.present(hop, cast.researcher, audience="mail.mcp"))
    yield case("a check that never holds", cast.present(cast.delegate(cast.mint(), cast.orchestrator, more="check if false;"), cast.researcher))
    raw = bytearray(plain.base64_bytes(bearer))
    for at in [10, len(raw) // 3, len(raw) // 2, len(raw) - 3]:
        changed = bytearray(raw)
        changed[at] ^= 1
        yield case(f"byte {at * 100 // len(raw)} % changed", plain.base64.urlsafe_b64encode(bytes(changed)).decode())
    yield case("cut off", bearer[: len(bearer) // 2 // 4 * 4])
    yield case("no token", "garbage")


def strict(cast):
    """What only Hardtack's own walk refuses: a plain Biscuit verifier allows each. By the cause."""
    def case(cause, bearer, *requests):
        return Case("only Hardtack refuses", cause, bearer, list(requests) or [Request()])

    def last(token, signer, **more):
        return cast.present(token, signer, **more)

    grant, hop = cast.mint(), cast.delegate(cast.mint(), cast.orchestrator)
    said = "hop({}); audience(\"notion.mcp\"); expires({}); presentation(\"session\");"
    yield case("scope_wider", cast.chain(scopes=["tools:call:search", "resources:read"]))
    yield case("audience_wider", last(cast.delegate(cast.mint(more='audience("mail.mcp");'), cast.orchestrator, audiences=["notion.mcp"]), cast.researcher))
    yield case("expiry_wider", cast.chain(life=3601))
    yield case("too_long_lived", last(hop, cast.researcher, life=601))
    yield case("not_yet_issued", last(hop, cast.researcher), Request(after=-3000))
    yield case("issued_after_expiry", last(cast.mint(issued=cast.now + 50, life=40), cast.orchestrator, life=30))
    yield case("root_as_holder", last(cast.mint(holder=cast.root), cast.root))
    yield case("no_reason", cast.chain(reason=""))
    yield case("no_scope", cast.chain(scopes=[], checks=False))
    yield case("name", last(cast.mint(subject="alice"), cast.orchestrator))
    yield case("fact", cast.chain(number=7))
    yield case("content", cast.chain(more='role("admin");'))
    yield case("block_kind", last(plain.append(grant, cast.root, 'role("admin")', cast.orchestrator), cast.orchestrator))
    yield case("after_presentation", plain.append(last(hop, cast.researcher), cast.root, "check if true", None))
    yield case("other_parent", cast.chain(parent=False, more=f"parent(hex:{'00' * 16});"))
    yield case("over_limit", cast.chain(more="check if true; " * 65))
    yield case("wrong_signer", last(cast.delegate(grant, cast.orchestrator, checks=False), cast.orchestrator))
    yield case("unbound", plain.append(plain.mint(cast.root, cast.now, None), cast.root, said.format(1, plain.moment(cast.now + 300)), None))
    # Biscuit's library rejects only if every alternative matches.
    yield case("check_failed", cast.chain(more='reject if arg("a", 1) or arg("b", 1);'), Request(arguments={"a": 1}), Request(arguments={"b": 1}))
    yield case("foreign_signer", last(plain.mint(cast.root, cast.now, None), cast.thief))
    yield case("wrong_audience", last(hop, cast.researcher, audience="mail.mcp", checks=False))
    yield case("not_presented", plain.mint(cast.root, cast.now, None))
    yield case("not_granted", cast.present(cast.delegate(grant, cast.orchestrator, checks=False), cast.researcher), Request("tools:call:fetch"))
