"""A guard in a server of FastMCP's: who has no valid bearer is not let in, lists show what may be used, calls are decided.

::

    guard = hardtack.Guard([root], "notion.mcp", store)
    server = FastMCP("notion", auth=Verifier(guard), middleware=[Guarded(guard)])
"""

from __future__ import annotations

import json
import logging
from typing import Any, Callable, Iterable, Mapping, NoReturn, Optional, Sequence, TypeVar

from fastmcp.exceptions import PromptError, ResourceError, ToolError
from fastmcp.server.auth import AccessToken, TokenVerifier
from fastmcp.server.dependencies import get_access_token
from fastmcp.server.middleware import Middleware, MiddlewareContext

from ._errors import Denied, Error
from ._native import Call, Guard, Message

__all__ = ["Guarded", "Verifier"]

#: What a refusal's words for operators go to.
log = logging.getLogger("hardtack")

#: The methods that have a hook of their own, each with its error.
_HOOKED = {"tools/call": ToolError, "resources/read": ResourceError, "prompts/get": PromptError}

_T = TypeVar("_T")


class Verifier(TokenVerifier):
    """Lets in who presents a capability to this server. What may be called is decided by ``Guarded``, which is needed as well."""

    def __init__(self, guard: Guard, **options: Any) -> None:
        super().__init__(**options)
        self._guard = guard

    async def verify_token(self, token: str) -> Optional[AccessToken]:
        """Verifies a bearer: shape, signatures, expiry, revocation, and that every hop only narrows."""
        try:
            admitted = await self._guard.admit_async(token)
        except Denied as denied:
            log.warning("hardtack: %s (%s)", denied.message, denied.cause)
            return None
        # Sessions belong to their client: the key that presents, since names of agents are what delegators choose.
        presented = admitted.chain()["presentation"]
        return AccessToken(
            token=token,
            client_id=presented["signer"] or presented["revocation_id"],
            scopes=admitted.scopes,
            expires_at=admitted.expires_at,
            subject=admitted.subject,
            claims={"sub": admitted.subject, "iss": str(admitted.root), "agent": admitted.agent},
        )


class Guarded(Middleware):
    """Decides every call before it is done, and leaves out of lists what may not be used. Without a bearer, nothing is allowed.

    A refusal has the words for the caller, as a tool's error; those for operators go to the logger ``hardtack``.
    """

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def on_request(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Decides what has no hook of its own: completions, subscriptions, tasks. A method that is not known is refused."""
        if context.method not in _HOOKED:
            await self._decide(context, _params(context.message))
        return await call_next(context)

    async def on_call_tool(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Decides a call of a tool."""
        await self._decide(context, _named(context.message))
        return await call_next(context)

    async def on_read_resource(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Decides the reading of a resource."""
        await self._decide(context, {"uri": str(context.message.uri)})
        return await call_next(context)

    async def on_get_prompt(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Decides the getting of a prompt."""
        await self._decide(context, _named(context.message))
        return await call_next(context)

    async def on_list_tools(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Leaves out the tools that may not be called, whatever their arguments."""
        return await self._open(await call_next(context), lambda tool: Call.tool(tool.name))

    async def on_list_resources(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Leaves out the resources that may not be read. Those of schemes that the list names may be, from now on."""
        listed = await call_next(context)
        calls = [(resource, _read(str(resource.uri))) for resource in listed]
        for _, call in calls:
            if call is not None and call.resource is not None:
                self._guard.name_resource_scheme(call.resource.partition(":")[0])
        return await self._open([resource for resource, call in calls if call], lambda resource: Call.read(str(resource.uri)))

    async def on_list_resource_templates(
        self, context: MiddlewareContext[Any], call_next: Callable[..., Any]
    ) -> Any:
        """Leaves out the templates where no resource may be read at all. Which one is read is decided then."""
        listed = [template for template in await call_next(context) if self._names_scheme(str(template.uri_template))]
        return await self._open(listed, lambda _: Call("resources:read"))

    def _names_scheme(self, template: str) -> bool:
        """Whether resources of a template's scheme are judged, now that the server's list names it."""
        scheme, colon, _ = template.partition("{")[0].partition(":")
        return not colon or self._guard.name_resource_scheme(scheme)

    async def on_list_prompts(self, context: MiddlewareContext[Any], call_next: Callable[..., Any]) -> Any:
        """Leaves out the prompts that may not be got."""
        return await self._open(await call_next(context), lambda prompt: Call.prompt(prompt.name))

    async def _decide(self, context: MiddlewareContext[Any], said: Mapping[str, Any]) -> None:
        method = context.method or ""
        refusal = _HOOKED.get(method, ToolError)
        try:
            # What is judged is what is done: the message, as other middleware left it, and what else the request says.
            params = {**_wire(context), **said} if method in _HOOKED else said
            calls = _calls(method, params)
            bearer = _bearer()
            for call in calls:
                await self._guard.check_async(bearer, call)
        except Denied as denied:
            log.warning("hardtack: %s (%s)", denied.message, denied.cause)
            _refuse(refusal, str(denied))
        except (Error, TypeError, ValueError) as error:
            log.warning("hardtack: no call in %s", method)
            _refuse(refusal, str(error) if isinstance(error, Error) else "the request cannot be read exactly")

    async def _open(self, listed: Sequence[_T], call_of: Callable[[_T], Call]) -> list[_T]:
        entries: list[_T] = []
        calls: list[Call] = []
        for entry in listed:
            try:
                calls.append(call_of(entry))
            except Error:
                # A name that can be no part of an operation can be granted to nobody.
                continue
            entries.append(entry)
        try:
            seen = await self._guard.preview_async(_bearer(), calls)
        except Denied as denied:
            log.warning("hardtack: %s (%s)", denied.message, denied.cause)
            _refuse(ToolError, str(denied))
        return [entry for entry, preview in zip(entries, seen) if preview != "denied"]


def _refuse(refusal: type[Exception], words: str) -> NoReturn:
    raise refusal(f"denied: {words}") from None


def _bearer() -> str:
    """The bearer of the request that is answered; an empty one, which holds nowhere, if there is none."""
    token = get_access_token()
    return token.token if token is not None else ""


def _calls(method: str, params: Mapping[str, Any]) -> Iterable[Call]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    message = Message.read(json.dumps(body, allow_nan=False).encode())
    if message.task_ids():
        # Whose task it is, nobody here knows.
        raise Error("tasks are not told apart by who began them; call the tool without a task", cause="strange_task")
    return message.calls()


def _read(uri: str) -> Optional[Call]:
    """The call that reads a resource, if its URI has one form."""
    try:
        return Call.read(uri)
    except Error:
        return None


def _named(message: Any) -> Mapping[str, Any]:
    """What is judged of the call of a tool and of the getting of a prompt."""
    return {"name": message.name, "arguments": message.arguments or {}}


def _params(message: Any) -> Mapping[str, Any]:
    """The parameters of a request that came as they are, or as a model of them."""
    if isinstance(message, Mapping):
        return message
    params = getattr(message, "params", None)
    if params is None:
        return {}
    dumped: Mapping[str, Any] = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


def _wire(context: MiddlewareContext[Any]) -> Mapping[str, Any]:
    """The parameters as they came, if this is the request that came: a tool may call another one from within.

    Raises ValueError where they cannot be had: a presentation is bound to all that a request says.
    """
    within = context.fastmcp_context
    came = within.request_context if within is not None else None
    if came is None:
        return {}
    # FastMCP's middleware is given a message that was made anew, without what else the request says.
    request = getattr(came, "_srctx", None)
    if request is None or not hasattr(request, "params"):
        raise ValueError("this version of FastMCP does not show the request that came")
    params = request.params if request.method == context.method else None
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise ValueError("the parameters are no object")
    return params
