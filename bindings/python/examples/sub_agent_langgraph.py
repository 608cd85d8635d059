"""LangGraph: the node of an orchestrator starts a sub-agent with a part of its rights, delegated offline at run time.

The state has no token and no key, since checkpoints keep the state: the sub-agent's node is given its agent when the graph is made.
"""

import operator
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph

import hardtack
from hardtack import Call, Guard, Issuer, PrivateKey

root, orchestrator = PrivateKey.generate(), PrivateKey.generate()
grant = Issuer(root).mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)
guard = Guard([root.public], "bank.mcp", hardtack.Store.in_memory())
TOOLS = {"pay": lambda to, amount: f"paid {amount} to {to}", "balance": lambda: "balance: 1,000"}


class State(TypedDict):
    task: str
    asked: list[tuple[str, dict]]
    done: Annotated[list[str], operator.add]


def guarded(agent: hardtack.Agent, name: str, arguments: dict) -> str:
    """Presents the agent's capability for one call, and does it if the server's guard allows it."""
    asked = Call.tool(name, arguments)
    try:
        guard.check(agent.for_calls([asked]), asked)
    except hardtack.Denied as denied:
        return f"refused: {denied}"
    return TOOLS[name](**arguments)


def payer_of(agent: hardtack.Agent):
    """The sub-agent's graph."""
    graph = StateGraph(State)
    graph.add_node("pay", lambda state: {"done": [guarded(agent, *asked) for asked in state["asked"]]})
    graph.add_edge(START, "pay")
    graph.add_edge("pay", END)
    return graph.compile()


def delegate(state: State) -> dict:
    """The orchestrator's node: it hands on a part of its rights, and starts the sub-agent."""
    key = PrivateKey.generate()  # the sub-agent's own; only its public half is needed to delegate
    part = grant.delegate(
        orchestrator,
        to="agent.payer",
        scopes="tools:call:pay",
        reason=state["task"],
        holder=key.public,
        allow="amount <= 100",
        ttl=300,
    )
    payer = payer_of(hardtack.Agent(part, key, "bank.mcp"))
    return {"done": payer.invoke({**state, "done": []})["done"]}


graph = StateGraph(State)
graph.add_node("delegate", delegate)
graph.add_edge(START, "delegate")
graph.add_edge("delegate", END)
asked = [("pay", {"to": "bob", "amount": 40}), ("pay", {"to": "bob", "amount": 4000}), ("balance", {})]
print(*graph.compile().invoke({"task": "pay the invoices of May", "asked": asked, "done": []})["done"], sep="\n")
