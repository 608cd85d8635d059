"""An orchestrator starts a sub-agent at run time. It delegates offline, with a reason and a limit of an argument.

The tools are plain functions with a guard in front. What the sub-agent asks for beyond its part, the guard refuses; what it would
pass on beyond its part, the library refuses.
"""

import hardtack
from hardtack import Call, Capability, Guard, Issuer, PrivateKey, Store

# A person's issuer grants to the orchestrator, once.
root, orchestrator = PrivateKey.generate(), PrivateKey.generate()
grant = Issuer(root).mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)

# The tool server knows the root's public key. Nobody reaches a tool but through `call`.
store = Store.in_memory()  # or Store.open_or_create("hardtack.store")
guard = Guard([root.public], "bank.mcp", store)
tools = {"pay": lambda to, amount: f"paid {amount} to {to}", "balance": lambda: "balance: 1,000"}


def call(bearer, name, arguments):
    """What the server does for a request."""
    try:
        asked = Call.tool(name, arguments)
        permit = guard.check(bearer, asked)
    except hardtack.Denied as denied:
        return f"refused: {denied}"  # the words for the caller; `denied.message` goes to the log
    return f"{permit.agent}: {tools[name](**asked.arguments)}"


def sub_agent(token, key):
    """The sub-agent: it has its own key, and the token that it was handed."""
    agent = hardtack.Agent(Capability.parse(token), key, "bank.mcp")
    for name, arguments in [
        ("pay", {"to": "bob", "amount": 40}),
        ("pay", {"to": "bob", "amount": 4000}),
        ("balance", {}),
        ("pay", {"to": "carol", "amount": 60}),
    ]:
        asked = Call.tool(name, arguments)
        print(name, *arguments.values(), "->", call(agent.for_calls([asked]).bearer, name, arguments))
    try:
        Capability.parse(token).delegate(
            key, to="agent.friend", scopes="tools:call:balance", reason="more", holder=key.public
        )
    except hardtack.Error as error:
        print(f"{error.cause}: {error}")


# The orchestrator. The sub-agent's key is made where it runs; only its public half is needed here.
sub_key = PrivateKey.generate()
part = grant.delegate(
    orchestrator,
    to="agent.payer",
    scopes="tools:call:pay",
    reason="pay the invoices of May",
    holder=sub_key.public,
    allow="amount <= 100",
    ttl=300,
)
sub_agent(part.to_base64(), sub_key)

# One record for each call, of whoever made it and why it could.
for record in store.records():
    print(record["decision"], record["operation"], record["chain"]["hops"][0]["reason"])
store.close()
