"""Our side: the `hardtack` command."""

import json
import subprocess

from plain import Key, moment


class Hardtack:
    def __init__(self, binary, folder):
        self.binary = binary
        self.folder = folder

    def run(self, *arguments, token=""):
        return subprocess.run([self.binary, *arguments], input=token, capture_output=True, text=True, timeout=60)

    def ok(self, *arguments, token=""):
        done = self.run(*arguments, token=token)
        if done.returncode != 0:
            raise RuntimeError(f"hardtack {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def key(self, name):
        path = self.folder / f"{name}.key"
        self.ok("keygen", "--out", str(path))
        return Key(path.read_text(), path)

    def mint(self, root, holder, scopes=("tools:call:*",), audiences=(), allow=(), facts=(), depth=8, life=3600):
        lists = flags(scope=scopes, audience=audiences, allow=allow, fact=facts)
        bound = ["--holder", holder.text] if holder else []
        return self.ok("mint", "--key", str(root.path), "--subject", "user:alice", "--ttl", f"{life}s",
                       "--max-depth", str(depth), *lists, *bound)

    def delegate(self, token, signer, agent, holder, scopes=("tools:call:search",), audiences=(), allow=(), checks=()):
        lists = flags(scope=scopes, audience=audiences, allow=allow, check=checks)
        bound = ["--holder", holder.text] if holder else []
        keyed = ["--key", str(signer.path)] if signer else []
        return self.ok("delegate", *keyed, "--to", agent, "--reason", "find the roadmap page",
                       *lists, *bound, token=token)

    def present(self, token, signer, audience="notion.mcp", call=None):
        keyed = ["--key", str(signer.path)] if signer else []
        bound = ["--call", json.dumps(call.members())] if call else []
        return self.ok("present", *keyed, "--audience", audience, *bound, token=token)

    def decide(self, text, root, now, request, options=()):
        """The verdict, and the cause."""
        arguments = [f"--arg={name}={json.dumps(value)}" for name, value in request.arguments.items()]
        resource = ["--resource", request.resource] if request.resource else []
        done = self.run("check", "--root", root.text, "--audience", request.audience, "--operation", request.operation,
                        "--at", moment(now + request.after), "--json", *arguments, *resource, *options, token=text)
        if not done.stdout:
            raise RuntimeError(f"hardtack check: {done.stderr.strip()}")
        answer = json.loads(done.stdout)
        return answer["decision"] == "allow", answer["cause"] or ""


def flags(**lists):
    return [word for name, values in lists.items() for value in values for word in (f"--{name}", value)]
