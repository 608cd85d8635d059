"""OpenAI Agents SDK: an orchestrator's tool starts a sub-agent with a part of its rights, delegated offline at run time.

The tools present for each call, and a guard decides. A model of your own goes into `model=`; here a script takes its place, so that the
example runs offline.
"""

import asyncio
import json

from agents import Agent, RunContextWrapper, Runner, function_tool, set_tracing_disabled
from agents.items import ModelResponse
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

import hardtack
from hardtack import Call, Guard, Issuer, PrivateKey

set_tracing_disabled(True)
root, orchestrator = PrivateKey.generate(), PrivateKey.generate()
grant = Issuer(root).mint(subject="user:alice", scopes="tools:call:*", holder=orchestrator.public)
guard = Guard([root.public], "bank.mcp", hardtack.Store.in_memory())


async def guarded(agent: hardtack.Agent, name: str, arguments: dict, work) -> str:
    """Presents the agent's capability for one call, and does it if the server's guard allows it."""
    asked = Call.tool(name, arguments)
    try:
        await guard.check_async(agent.for_calls([asked]), asked)
    except hardtack.Denied as denied:
        return f"refused: {denied}"
    return work(**arguments)


@function_tool
async def pay(context: RunContextWrapper[hardtack.Agent], to: str, amount: int) -> str:
    """Pays an amount to somebody."""
    work = lambda to, amount: f"paid {amount} to {to}"  # noqa: E731
    return await guarded(context.context, "pay", {"to": to, "amount": amount}, work)


@function_tool
async def balance(context: RunContextWrapper[hardtack.Agent]) -> str:
    """Says how much there is."""
    return await guarded(context.context, "balance", {}, lambda: "balance: 1,000")


@function_tool
async def start_payer(task: str) -> str:
    """Starts a sub-agent that pays invoices up to 100."""
    key = PrivateKey.generate()  # the sub-agent's own; only its public half is needed to delegate
    part = grant.delegate(
        orchestrator,
        to="agent.payer",
        scopes="tools:call:pay",
        reason=task,
        holder=key.public,
        allow="amount <= 100",
        ttl=300,
    )
    payer = Agent("payer", tools=[pay, balance], model=script(
        ("pay", {"to": "bob", "amount": 40}), ("pay", {"to": "bob", "amount": 4000}), ("balance", {}),
    ))
    result = await Runner.run(payer, task, context=hardtack.Agent(part, key, "bank.mcp"))
    outputs = [item.output for item in result.new_items if item.type == "tool_call_output_item"]
    return "\n".join(outputs)


def script(*calls) -> Model:
    """A model that asks for these tools, one after the other."""

    class Script(Model):
        turn = 0

        async def get_response(self, *_arguments, **_options) -> ModelResponse:
            self.turn += 1
            if self.turn > len(calls):
                text = ResponseOutputText(annotations=[], text="done", type="output_text")
                said = ResponseOutputMessage(id="m", content=[text], role="assistant", status="completed", type="message")
            else:
                name, arguments = calls[self.turn - 1]
                said = ResponseFunctionToolCall(
                    arguments=json.dumps(arguments), call_id=f"c{self.turn}", name=name, type="function_call"
                )
            return ModelResponse(output=[said], usage=Usage(), response_id=None)

        def stream_response(self, *_arguments, **_options):
            raise NotImplementedError

    return Script()


async def main():
    boss = Agent("orchestrator", tools=[start_payer], model=script(("start_payer", {"task": "pay the invoices of May"})))
    result = await Runner.run(boss, "Pay what is due.")
    print(*[item.output for item in result.new_items if item.type == "tool_call_output_item"], sep="\n")


asyncio.run(main())
