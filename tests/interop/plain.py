"""The plain side: tokens of the profile, made, narrowed and decided with the Python Biscuit library alone.

What a block says is written from docs/profile.md; nothing here comes from Hardtack's code.
"""

import base64
import datetime
import hashlib
import json

import biscuit_auth as biscuit


class Key:
    """An Ed25519 key, as a file and as the library has it."""

    def __init__(self, text, path=None):
        secret = bytes.fromhex(text.strip().removeprefix("ed25519-private/"))
        self.path = path
        self.private = biscuit.PrivateKey.from_bytes(secret, biscuit.Algorithm.Ed25519)
        self.public = biscuit.KeyPair.from_private_key(self.private).public_key
        self.text = repr(self.public)
        self.digits = self.text.removeprefix("ed25519/")


class Request:
    """One call: what, with which arguments, of which server, so many seconds from now."""

    def __init__(self, operation="tools:call:search", arguments=None, resource=None, audience="notion.mcp", after=0,
                 stated_digest=None, params=None):
        self.operation = operation
        self.arguments = arguments or {}
        self.params = params or {}
        self.resource = resource
        self.audience = audience
        self.after = after
        self.stated_digest = stated_digest

    def members(self):
        members = {"operation": self.operation, "resource": self.resource, "arguments": self.arguments, "params": self.params}
        return {name: value for name, value in members.items() if value}

    def digest(self):
        """SHA-256 of the RFC 8785 form, which for integers and ASCII is what this writes."""
        text = json.dumps(self.members(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __repr__(self):
        return f"{self.members()} to {self.audience} after {self.after} s"


def moment(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def covered(scopes):
    """The expression that one of the scopes covers the operation."""
    exact = [scope for scope in scopes if not scope.endswith("*")]
    alternatives = [f'$operation.starts_with("{scope[:-1]}")' for scope in scopes if scope.endswith("*")]
    if exact:
        alternatives.append("{" + ", ".join(f'"{scope}"' for scope in exact) + "}.contains($operation)")
    return " || ".join(alternatives)


def texts(name, values):
    return "".join(f'{name}("{value}"); ' for value in values)


def narrowing(block, scopes, audiences, expires, holder):
    """The checks that say what the facts of a grant or hop say."""
    checks = f"check all time($time), $time < {moment(expires)};"
    if "*" not in scopes:
        checks += f"check all operation($operation), {covered(scopes)};"
    if audiences:
        allowed = ", ".join(f'"{name}"' for name in audiences)
        checks += f"check all verifier($verifier), {{{allowed}}}.contains($verifier);"
    if holder:
        checks += f"check if hop($hop), $hop > {block} trusting {holder.text};"
    return checks


def mint(root, now, holder, scopes=("tools:call:*",), audiences=(), life=3600, depth=8, more="", key_id=None,
         issued=None, subject="user:alice"):
    expires = now + life
    code = f'hardtack(1); subject("{subject}"); issued({moment(issued or now)}); expires({moment(expires)});'
    code += f"max_depth({depth}); reject if depth($depth), $depth > {depth};"
    code += texts("scope", scopes) + texts("audience", audiences)
    code += f"holder(hex:{holder.digits});" if holder else ""
    builder = biscuit.BiscuitBuilder(code + narrowing(0, scopes, audiences, expires, holder) + more)
    if key_id is not None:
        builder.set_root_key_id(key_id)
    return builder.build(root.private).to_base64()


def append(text, root, code, signer):
    """Adds a block: third-party by this key, or first-party for none."""
    token = biscuit.Biscuit.from_base64(text, root.public)
    block = biscuit.BlockBuilder(code)
    if signer is None:
        return token.append(block).to_base64()
    signed = token.third_party_request().create_block(signer.private, block)
    return token.append_third_party(signer.public, signed).to_base64()


def blocks_of(text, root):
    return biscuit.Biscuit.from_base64(text, root.public).block_count()


def delegate(text, root, now, signer, agent, holder, scopes=("tools:call:search",), audiences=(), life=900, more="",
             number=None, checks=True, parent=True, reason='reason("find the roadmap page");'):
    block = blocks_of(text, root)
    expires = now + life
    code = f'hop({block if number is None else number}); delegate("{agent}"); expires({moment(expires)}); {reason}'
    code += texts("scope", scopes) + texts("audience", audiences)
    code += f"holder(hex:{holder.digits});" if holder else ""
    code += f"parent(hex:{parent_of(text)});" if parent else ""
    code += narrowing(block, scopes, audiences, expires, holder) if checks else ""
    return append(text, root, code + more, signer)


def present(text, root, now, signer, audience="notion.mcp", life=300, call=None, more="", parent=True, checks=True):
    block = blocks_of(text, root)
    expires = now + (min(life, 60) if call else life)
    code = f'hop({block}); presentation("{"call" if call else "session"}"); audience("{audience}"); expires({moment(expires)});'
    code += f"parent(hex:{parent_of(text)});" if parent else ""
    if checks:
        code += narrowing(block, ["*"], [audience], expires, None)
    if call:
        code += f"digest(hex:{call.digest()}); nonce(hex:{'07' * 16}); check all call($call), $call == hex:{call.digest()};"
    return append(text, root, code + more, signer)


def decide(text, root, now, request):
    """The verdict of a plain Biscuit verifier that asserts the profile's facts, and why."""
    try:
        token = biscuit.Biscuit.from_base64(text + "=" * (-len(text) % 4), root.public)
    except Exception as error:  # Each kind of damage has an exception of its own.
        return False, f"no authentic token: {error}"
    signers = [token.block_external_key(block) for block in range(token.block_count())]
    hops = max(0, sum(signer is not None for signer in signers) - 1)
    authorizer = biscuit.AuthorizerBuilder("allow if true;")
    facts = [
        ("time({a})", [datetime.datetime.fromtimestamp(now + request.after, datetime.timezone.utc)]),
        ("operation({a})", [request.operation]),
        ("verifier({a})", [request.audience]),
        ("depth({a})", [hops]),
        ("call({a})", [bytes.fromhex(request.stated_digest or request.digest())]),
    ]
    if request.operation.startswith("tools:call:"):
        facts.append(("tool({a})", [request.operation.removeprefix("tools:call:")]))
    if request.resource:
        facts.append(("resource({a})", [request.resource]))
    for source, values in facts:
        authorizer.add_fact(biscuit.Fact(source, dict(zip("ab", values))))
    for name, value in request.arguments.items():
        # The library has no way to write an empty object within a value. No check here reads one.
        if "{}" not in json.dumps(value) or not value:
            authorizer.add_fact(argument(name, value))
    limits = authorizer.limits()
    # A millisecond unless told otherwise, which a busy machine takes for itself.
    limits.max_time = datetime.timedelta(seconds=10)
    authorizer.set_limits(limits)
    authorizer.register_extern_func("hardtack_path", within_folder)
    try:
        authorizer.build(token).authorize()
    except Exception as error:
        return False, str(error)
    return True, ""


def argument(name, value):
    """An argument as the profile asserts it."""
    if isinstance(value, float):
        value = int(value) if value.is_integer() else str(value)
    # The library takes a Python list of numbers for bytes, and an empty object's text for nothing.
    if value is None or isinstance(value, list) or (value and isinstance(value, dict)):
        return biscuit.Fact(f"arg({{a}}, {literal(value)})", {"a": name})
    return biscuit.Fact("arg({a}, {b})", {"a": name, "b": value})


def literal(value):
    """A value within a collection, which the library takes as text alone."""
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{literal(name)}: {literal(item)}" for name, item in value.items()) + "}"
    # Its strings have no escapes by number.
    return json.dumps(value, ensure_ascii=False)


def within_folder(path, folder):
    """The profile's `hardtack_path`, for plain paths: what steps out of the folder cannot be judged."""
    if not path.startswith("/"):
        raise ValueError("no absolute path")
    wanted = [name for name in folder.split("/") if name]
    steps = [step for step in path.split("/") if step not in ("", ".")]
    depth = 0
    for step in steps[len(wanted):]:
        depth += -1 if step == ".." else 1
        if depth < 0:
            raise ValueError("a path that steps out")
    if ".." in steps[:len(wanted)]:
        raise ValueError("a path that steps out")
    return steps[:len(wanted)] == wanted


# ---- what the profile reads of a token's Protobuf -------------------------------------------------

def parent_of(text):
    """The first 128 bits of SHA-256 over each block's length, bytes and signer."""
    read = hashlib.sha256()
    for number, content in fields(base64_bytes(text)):
        if number not in (2, 3):
            continue
        signed = dict(fields(content))
        read.update(len(signed[1]).to_bytes(8, "little") + signed[1])
        if 4 in signed:
            external = dict(fields(signed[4]))
            read.update(b"\1" + dict(fields(external[2]))[2])
        else:
            read.update(b"\0")
    return read.hexdigest()[:32]


def ids_of(text):
    """The external signature of each block, or its block signature."""
    signed = [dict(fields(content)) for number, content in fields(base64_bytes(text)) if number in (2, 3)]
    return [(dict(fields(block[4]))[1] if 4 in block else block[3]).hex() for block in signed]


def base64_bytes(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def fields(message):
    at = 0
    while at < len(message):
        key, at = number_at(message, at)
        value, at = number_at(message, at)
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        yield key >> 3, value


def number_at(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
